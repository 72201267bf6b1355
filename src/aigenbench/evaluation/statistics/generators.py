"""How the results would differ with other generators: intervals from resampling generators, not images."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.periods import ALL_PERIODS, WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.bootstrap import Replicates, row_means
from aigenbench.evaluation.statistics.draws import REPLICATES, SEED
from aigenbench.evaluation.statistics.intervals import UNDEFINED, Interval, centred, holding
from aigenbench.protocol.published import windows_with_next

FEWEST_GENERATORS = 4
"""Of a window whose generators are drawn anew: of three, only six draws are possible, and 95 % of them are all."""


def resample_generators(
    experiment: ExperimentPredictions, replicates: int = REPLICATES, seed: int = SEED, pairing: bool = True
) -> Replicates:
    """Replicates of AUROC in which each window's generators are drawn anew.

    Within a window of n generators, n - 1 are drawn with replacement: with so few units that is what makes the
    spread of the replicates an unbiased estimate (drawing n would understate it by the factor (n - 1) / n). A
    generator brings all its fakes and, with pairing, their reals. Periods that hold a window of fewer than
    ``FEWEST_GENERATORS`` generators have none (NaN).

    Args:
        experiment: loaded predictions.
        replicates: how many.
        seed: of the draws.
        pairing: see `evaluate`.
    """
    first = experiment.first
    names = [name for window in first.windows_timeline for name in window]
    counts = _draws([len(window) for window in first.windows_timeline], replicates, seed)
    periods = {period: np.full((replicates, experiment.n_windows), np.nan) for period in ALL_PERIODS}
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing)
        wins, fakes, reals = pairwise_wins(groups, names, pairing)
        for period in ALL_PERIODS:
            chosen = set(predictions.period_generators(period, k))
            if any(chosen & set(window) and len(window) < FEWEST_GENERATORS for window in first.windows_timeline):
                continue
            held = np.isin(names, list(chosen))
            drawn = counts * held
            # without pairing every real stands beside any generator, however often it was drawn
            drawn_reals = drawn if pairing else np.ones((replicates, 1))
            won = np.einsum("rg,gh,rh->r", drawn, wins, drawn_reals, optimize=True)
            total = (drawn @ fakes) * (drawn_reals @ reals)
            np.divide(won, total, out=periods[period][:, k], where=total > 0)
    return Replicates(periods)


def generators_interval(replicates: NDArray[np.float64], value: float) -> Interval:
    """The interval of an AUROC of this value from its replicates over generators (r,); it holds the value.

    A generator that is drawn twice meets its own reals more often than the others', so that replicates lie around
    another value where detectors tell generators apart: they are moved by their mean onto this one (see `centred`).
    """
    low, high = holding(centred(replicates, value), value)
    return (max(low, 0.0), min(high, 1.0)) if not np.isnan(low) else UNDEFINED


def headline_interval(replicates: Replicates, values: Sequence[float | None]) -> Interval:
    """The interval of the mean Next-period AUROC; undefined where a window has a value but no replicates.

    Args:
        replicates: see `resample_generators`.
        values: Next-period AUROC a window.
    """
    columns = replicates.periods["immediate_future"]
    counted = [k for k in windows_with_next(len(values)) if values[k] is not None]
    if not counted or np.isnan(columns[:, counted]).all(axis=0).any():
        return UNDEFINED
    return generators_interval(row_means(columns[:, counted]), fmean(values[k] or 0.0 for k in counted))


def pairwise_wins(
    groups: WindowGroups, names: list[str], pairing: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How often fakes of one generator rank above reals paired with another (ties one half).

    Returns:
        Wins (g, g), fakes (g,) and reals (g,) in the order of ``names``; without pairing all reals are one
        column: (g, 1), (g,) and (1,).
    """
    ranks, is_fake = groups.whole.rows.ranks, groups.whole.fakes
    masks = [groups.mask([name]) for name in names]
    fakes = [np.sort(ranks[mask & is_fake]) for mask in masks]
    reals = [np.sort(ranks[mask & ~is_fake]) for mask in (masks if pairing else masks[:1])]
    wins = np.empty((len(fakes), len(reals)))
    for h, of_reals in enumerate(reals):
        for g, of_fakes in enumerate(fakes):
            below = np.searchsorted(of_reals, of_fakes, side="left").sum()
            wins[g, h] = (below + np.searchsorted(of_reals, of_fakes, side="right").sum()) / 2
    return wins, np.array([len(f) for f in fakes], float), np.array([len(r) for r in reals], float)


def _draws(sizes: list[int], replicates: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.Generator(np.random.Philox(key=[seed, 2**63]))
    columns = []
    for size in sizes:
        drawn = rng.integers(0, max(size, 1), (replicates, max(size - 1, 1)))
        columns.append((drawn[:, :, None] == np.arange(size)).sum(axis=1))
    return np.concatenate(columns, axis=1).astype(np.float64)
