"""Paired, stratified bootstrap of a whole experiment, and the interval from other generators.

One replicate draws, within every generator, as many pairs (a fake and its real) as there are, with replacement. The
draw depends on the seed, the replicate's number and the pairs alone, so every window, period and compared run
sees the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.experiment import Experiment
from aigenbench.evaluation.group import Group
from aigenbench.evaluation.metrics import METRICS
from aigenbench.evaluation.pairs import Pairs, pair_up
from aigenbench.evaluation.periods import ALL_PERIODS, WindowGroups
from aigenbench.evaluation.predictions import Predictions
from aigenbench.protocol.periods import period_generators

REPLICATES = 2000
OTHER_REPLICATES = 500
SEED = 20865
THREADS = 2

Weights = NDArray[np.int32]


@dataclass(frozen=True)
class Ranked:
    """A group prepared for weighted AUROC: which pairs its images belong to, and where fakes fall among reals.

    Attributes:
        fakes: pair of every fake, by rising rank, (f,).
        reals: pair of every real, by rising rank, (r,).
        below: how many reals rank below each fake, (f,).
        tied: fakes that a real ties with, (t,).
        up_to: how many reals rank below or equal to each tied fake, (t,).
    """

    fakes: NDArray[np.intp]
    reals: NDArray[np.intp]
    below: NDArray[np.intp]
    tied: NDArray[np.intp]
    up_to: NDArray[np.intp]

    @staticmethod
    def of(group: Group, pairs: NDArray[np.int64]) -> Ranked:
        """Prepare ``group``, whose rows belong to ``pairs`` (n,)."""
        ranks, fakes, pairs = group.rows.ranks[::-1], group.fakes[::-1], pairs[::-1].astype(np.intp)
        reals = ranks[~fakes]
        below = np.searchsorted(reals, ranks[fakes], side="left")
        up_to = np.searchsorted(reals, ranks[fakes], side="right")
        tied = np.flatnonzero(below != up_to)
        return Ranked(pairs[fakes], pairs[~fakes], below, tied, up_to[tied])

    def auroc(self, weights: Weights) -> float:
        """AUROC with each image counted as often as its pair's weight says; NaN without both classes."""
        # int32 throughout: twice as fast as doubles, and no sum exceeds the number of images
        of_reals = np.zeros(len(self.reals) + 1, dtype=np.int32)
        np.cumsum(weights.take(self.reals, mode="clip"), out=of_reals[1:], dtype=np.int32)
        of_fakes = weights.take(self.fakes, mode="clip").astype(np.float64)
        total = of_fakes.sum() * of_reals[-1]
        if not total:
            return float("nan")
        below = of_reals.take(self.below, mode="clip").astype(np.float64)
        if len(self.tied):
            below[self.tied] = (below[self.tied] + of_reals[self.up_to]) / 2
        return float(np.dot(of_fakes, below) / total)


def draw(pairs: Pairs, replicate: int, seed: int = SEED) -> Weights:
    """How often each pair is drawn in a replicate, int32 (pairs,): each generator keeps its number of pairs."""
    rng = np.random.Generator(np.random.Philox(key=[seed, replicate]))
    starts = np.flatnonzero(np.append(True, pairs.strata[1:] != pairs.strata[:-1]))
    sizes = np.diff(starts, append=len(pairs))
    size_of, start_of = np.repeat(sizes, sizes), np.repeat(starts, sizes)
    drawn = start_of + (rng.random(len(pairs)) * size_of).astype(np.int64)
    return np.bincount(drawn, minlength=len(pairs)).astype(np.int32)


def replicate_all(
    pairs: Pairs, function: Callable[[Weights], NDArray[np.float64]], replicates: int, seed: int = SEED
) -> NDArray[np.float64]:
    """``function`` of the weights of every replicate, (replicates, ...); the same on any number of threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return np.array(list(pool.map(lambda r: function(draw(pairs, r, seed)), range(replicates))))


@dataclass(frozen=True)
class Replicates:
    """Bootstrap replicates of AUROC.

    Attributes:
        periods: period -> (replicates, windows); NaN where a period is empty or a window missing.
    """

    periods: dict[str, NDArray[np.float64]]

    @property
    def headline(self) -> NDArray[np.float64]:
        """Mean Next-period AUROC of every replicate, (replicates,); NaN without a Next period."""
        return row_means(self.periods["immediate_future"][:, :-1])


def row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row over its numbers; NaN for a row without any."""
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(sums, n, out=np.full(len(values), np.nan), where=n > 0)


def bootstrap_auroc(
    experiment: Experiment,
    replicates: int = REPLICATES,
    seed: int = SEED,
    pairing: bool = True,
    periods: Sequence[str] = ALL_PERIODS,
) -> Replicates:
    """Replicates of AUROC for every window and period.

    Args:
        experiment: loaded predictions.
        replicates: how many.
        seed: of the draws; the same seed gives the same draws for every run on the same evaluation set.
        pairing: see `evaluate`; pairs are drawn together in both cases.
        periods: which periods.

    Raises:
        InputError: see `pair_up`.
    """
    pairs = pair_up(experiment.first)
    columns: dict[tuple[str, int], int] = {}
    prepared: list[Ranked] = []
    for k, predictions in experiment.windows.items():
        # periods that hold the same images, as Past and Whole at the last window, are computed once
        seen: dict[bytes, int] = {}
        for period, group, rows in _groups(predictions, k, pairing, periods):
            if group.both_classes:
                column = seen.setdefault(rows.tobytes(), len(prepared))
                columns[period, k] = column
                if column == len(prepared):
                    prepared.append(Ranked.of(group, pairs.of_rows(predictions)[rows]))
    values = replicate_all(pairs, lambda w: np.array([g.auroc(w) for g in prepared]), replicates, seed)
    found = {period: np.full((replicates, experiment.n_windows), np.nan) for period in periods}
    for (period, k), column in columns.items():
        found[period][:, k] = values[:, column]
    return Replicates(found)


def bootstrap_metrics(
    experiment: Experiment,
    names: Sequence[str],
    periods: Sequence[str],
    replicates: int = OTHER_REPLICATES,
    seed: int = SEED,
    pairing: bool = True,
    threshold: float = 0.5,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Replicates of any metrics: period -> metric -> (replicates, windows), from the draws of `bootstrap_auroc`.

    In a replicate an image counts as often as it was drawn.
    """
    pairs = pair_up(experiment.first)
    shape = (replicates, experiment.n_windows)
    found = {period: {name: np.full(shape, np.nan) for name in names} for period in periods}
    groups = [
        (period, k, group, pairs.of_rows(predictions)[rows])
        for k, predictions in experiment.windows.items()
        for period, group, rows in _groups(predictions, k, pairing, periods, threshold)
        if group.n
    ]

    def all_metrics(weights: Weights) -> NDArray[np.float64]:
        values = []
        for _, _, group, of_rows in groups:
            resampled = group.weighted(weights.take(of_rows, mode="clip"))
            values.append([METRICS[name](resampled) for name in names])
        return np.array(values)

    if groups:
        values = replicate_all(pairs, all_metrics, replicates, seed)
        for i, (period, k, _, _) in enumerate(groups):
            for j, name in enumerate(names):
                found[period][name][:, k] = values[:, i, j]
    return found


def _groups(
    predictions: Predictions,
    window: int,
    pairing: bool,
    periods: Sequence[str] = ALL_PERIODS,
    threshold: float = 0.5,
) -> list[tuple[str, Group, NDArray[np.intp]]]:
    groups = WindowGroups(predictions, pairing, threshold)
    masks = [(period, groups.mask(period_generators(period, groups.windows, window))) for period in periods]
    return [(period, groups.whole.take(mask), groups.order[mask]) for period, mask in masks]
