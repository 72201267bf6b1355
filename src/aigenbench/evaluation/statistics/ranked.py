"""AUROCs of many groups of images at once, of images that count as often as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.statistics.draws import Weights


@dataclass(frozen=True)
class Ranked:
    """Groups prepared for weighted AUROC, one behind the other: whose pairs they hold, where fakes fall among reals.

    Attributes:
        fakes: pair of every fake, by group, then by rising rank, (f,).
        reals: pair of every real, likewise, (r,).
        below: how many reals, those of earlier groups included, stand before each fake's place, (f,).
        tied: fakes that a real ties with, (t,).
        up_to: like ``below``, tied reals included, for each tied fake, (t,).
        fake_starts: first fake of every group, (g,).
        real_starts: first real of every group, and the number of all, (g + 1,).
    """

    fakes: NDArray[np.intp]
    reals: NDArray[np.intp]
    below: NDArray[np.intp]
    tied: NDArray[np.intp]
    up_to: NDArray[np.intp]
    fake_starts: NDArray[np.intp]
    real_starts: NDArray[np.intp]

    @staticmethod
    def of(groups: Sequence[tuple[Group, NDArray[np.int64]]]) -> Ranked:
        """Prepare groups that have both classes, each with the pairs (n,) of its rows."""
        fakes, reals, below, up_to = [], [], [], []
        before = 0
        for group, of_rows in groups:
            assert group.both_classes, "a group without both classes has no AUROC"
            ranks, fake, pairs = group.rows.ranks[::-1], group.fakes[::-1], of_rows[::-1].astype(np.intp)
            of_reals, of_fakes = ranks[~fake], ranks[fake]
            fakes.append(pairs[fake])
            reals.append(pairs[~fake])
            below.append(before + np.searchsorted(of_reals, of_fakes, side="left"))
            up_to.append(before + np.searchsorted(of_reals, of_fakes, side="right"))
            before += len(of_reals)
        lowest, highest = np.concatenate(below), np.concatenate(up_to)
        tied = np.flatnonzero(lowest != highest)
        return Ranked(
            np.concatenate(fakes),
            np.concatenate(reals),
            lowest,
            tied,
            highest[tied],
            np.cumsum([0, *(len(f) for f in fakes[:-1])]),
            np.cumsum([0, *(len(r) for r in reals)]),
        )

    def auroc(self, weights: Weights) -> NDArray[np.float64]:
        """AUROC of every group, (g,), each image counted as often as its pair; NaN where a class is not drawn."""
        # int32 sums are twice as fast as doubles and count images; the doubles below hold whole numbers and halves
        of_reals = np.zeros(len(self.reals) + 1, dtype=np.int32)
        np.cumsum(weights.take(self.reals, mode="clip"), out=of_reals[1:], dtype=np.int32)
        of_fakes = weights.take(self.fakes, mode="clip").astype(np.float64)
        below = of_reals.take(self.below, mode="clip").astype(np.float64)
        if len(self.tied):
            below[self.tied] = (below[self.tied] + of_reals[self.up_to]) / 2
        below *= of_fakes
        fakes = np.add.reduceat(of_fakes, self.fake_starts)
        up_to = of_reals[self.real_starts].astype(np.float64)
        won = np.add.reduceat(below, self.fake_starts) - fakes * up_to[:-1]
        total = fakes * np.diff(up_to)
        return np.divide(won, total, out=np.full(len(total), np.nan), where=total > 0)
