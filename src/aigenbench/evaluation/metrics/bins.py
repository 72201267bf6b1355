"""Bins of equal mass, for calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.group import Group

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Bins:
    """Sums over bins of a group.

    Attributes:
        counts: images in each bin, (b,).
        scores: sum of their scores, (b,).
        fakes: fakes among them, (b,).
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    fakes: NDArray[np.int64]


def mass_bins(group: Group, n_bins: int = CALIBRATION_BINS) -> Bins:
    """Cut a group into bins of equal mass by score, the highest first; equal scores share a bin.

    A run of equal scores goes where its middle falls, so the order of rows does not matter.
    """
    curve = group.score_curve
    up_to = np.append(0, curve.tps + curve.fps)
    doubled_middles = up_to[1:] + up_to[:-1]
    # the first run of equal scores whose middle reaches each bound
    edges = np.searchsorted(doubled_middles, 2 * group.n * np.arange(1, n_bins) / n_bins)
    edges = np.concatenate(([0], edges, [len(doubled_middles)]))
    filled = edges[1:] > edges[:-1]
    sums = np.zeros(n_bins)
    sums[filled] = np.add.reduceat(np.diff(up_to) * curve.thresholds.astype(np.float64), edges[:-1][filled])
    return Bins(np.diff(up_to[edges]), sums, np.diff(np.append(0, curve.tps)[edges]))
