"""Paired, stratified bootstrap of a whole experiment.

One replicate draws, within every generator, as many pairs (a fake and its real) as there are, with replacement
(see `Draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.definitions import BUILT_IN, value_of
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import ALL_PERIODS, WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics.draws import (
    OTHER_REPLICATES,
    REPLICATES,
    SEED,
    Pairs,
    Weights,
    pair_up,
    replicate_all,
)
from aigenbench.evaluation.statistics.ranked import Ranked


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
    experiment: ExperimentPredictions,
    replicates: int = REPLICATES,
    seed: int = SEED,
    pairing: bool = True,
    periods: Sequence[str] = ALL_PERIODS,
    units: Pairs | None = None,
) -> Replicates:
    """Replicates of AUROC for every window and period.

    Args:
        experiment: loaded predictions.
        replicates: how many.
        seed: of the draws; the same seed gives the same draws for every run on the same evaluation set.
        pairing: see `evaluate`; pairs are drawn together in both cases.
        periods: which periods.
        units: what is drawn together, where not the protocol's pairs; see `shared_images`.

    Raises:
        InputError: see `pair_up`.
    """
    return Replicates(_replicated(experiment, periods, WindowGroups.period_mask, replicates, seed, pairing, units))


def bootstrap_generators(
    experiment: ExperimentPredictions, replicates: int = OTHER_REPLICATES, seed: int = SEED, pairing: bool = True
) -> dict[str, NDArray[np.float64]]:
    """Replicates of every generator's AUROC: name -> (replicates, windows), from the draws of `bootstrap_auroc`."""
    names = [name for window in experiment.first.windows_timeline for name in window]
    return _replicated(experiment, names, lambda groups, name, _: groups.mask([name]), replicates, seed, pairing)


def bootstrap_metrics(
    experiment: ExperimentPredictions,
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
    found = {p: {n: np.full((replicates, experiment.n_windows), np.nan) for n in names} for p in periods}
    chosen = [
        (period, k, group, rows)
        for k, predictions in experiment.windows.items()
        for period, group, rows in _groups(predictions, k, pairing, periods, threshold)
    ]
    pairs = pair_up(experiment.first)
    of_rows = {k: pairs.of_rows(predictions) for k, predictions in experiment.windows.items()}
    values = resample(pairs, [(g, of_rows[k][rows]) for _, k, g, rows in chosen], names, replicates, seed)
    for i, (period, k, _, _) in enumerate(chosen):
        for j, name in enumerate(names):
            found[period][name][:, k] = values[:, i, j]
    return found


def resample(
    pairs: Pairs,
    groups: Sequence[tuple[Group, NDArray[np.int64]]],
    names: Sequence[str],
    replicates: int = OTHER_REPLICATES,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Replicates of metrics of any groups, (replicates, groups, names); NaN for an empty group.

    Args:
        pairs: of the evaluation set.
        groups: each with the pair (n,) of every row.
        names: of metrics. Our own know of weights; others are given the rows as often as they are drawn.
        replicates: how many.
        seed: of the draws.
    """

    def replicate(weights: Weights) -> NDArray[np.float64]:
        values = np.full((len(groups), len(names)), np.nan)
        for i, (group, of_rows) in enumerate(groups):
            if group.n:
                counts = weights.take(of_rows, mode="clip")
                weighted = group.weighted(counts)
                repeated = weighted if ours else group.take(np.repeat(np.arange(len(counts)), counts))
                values[i] = [value_of(name, weighted if name in BUILT_IN else repeated) for name in names]
        return values

    ours = BUILT_IN.issuperset(names)
    if not names or not groups:
        return np.full((replicates, len(groups), len(names)), np.nan)
    return replicate_all(pairs, replicate, replicates, seed)


def _replicated(
    experiment: ExperimentPredictions,
    names: Sequence[str],
    rows: Callable[[WindowGroups, str, int], NDArray[np.bool_]],
    replicates: int,
    seed: int,
    pairing: bool,
    units: Pairs | None = None,
) -> dict[str, NDArray[np.float64]]:
    """AUROC of the ``rows`` (groups, name, window) of every window: name -> (replicates, windows)."""
    pairs = pair_up(experiment.first) if units is None else units
    columns: dict[tuple[str, int], int] = {}
    prepared: list[Ranked] = []
    n = 0
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing)
        of_rows = pairs.of_rows(predictions)[groups.order]
        # names that hold the same images, as Past and Whole at the last window, are computed once
        chosen: dict[bytes, tuple[Group, NDArray[np.int64]]] = {}
        for name in names:
            mask = rows(groups, name, k)
            group = groups.whole.take(mask)
            if group.both_classes:
                chosen.setdefault(mask.tobytes(), (group, of_rows[mask]))
                columns[name, k] = n + list(chosen).index(mask.tobytes())
        if chosen:
            prepared.append(Ranked.of(list(chosen.values())))
        n += len(chosen)
    found = {name: np.full((replicates, experiment.n_windows), np.nan) for name in names}
    if prepared:
        values = replicate_all(pairs, lambda w: np.concatenate([g.auroc(w) for g in prepared]), replicates, seed)
        for (name, k), column in columns.items():
            found[name][:, k] = values[:, column]
    return found


def _groups(
    predictions: Predictions,
    window: int,
    pairing: bool,
    periods: Sequence[str],
    threshold: float,
) -> list[tuple[str, Group, NDArray[np.intp]]]:
    groups = WindowGroups(predictions, pairing, threshold)
    masks = [(period, groups.period_mask(period, window)) for period in periods]
    return [(period, groups.whole.take(mask), groups.order[mask]) for period, mask in masks]
