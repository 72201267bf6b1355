"""What perturbations cost: AUROC under each of them beside the clean one, with intervals of both and of the change.

Intervals are DeLong's, carried over to means of windows and to differences: every image has an influence on an AUROC
(its placement less the AUROC, over the number of its class), and the influences of an image on several AUROCs add up
before they are squared. So images that several windows share, and that are the same clean and perturbed, count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.perturbations import FAMILIES, Perturbation
from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS
from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.record import Predictions, load_predictions
from aigenbench.evaluation.robustness.perturbed import FOLDER, current_windows, predictions_path
from aigenbench.evaluation.robustness.shifts import Shifts, shifts_between
from aigenbench.evaluation.statistics.draws import THREADS
from aigenbench.evaluation.statistics.intervals import Placements, normal_reach, on_logit_scale
from aigenbench.protocol.published import windows_with_next


@dataclass(frozen=True)
class Estimate:
    """An AUROC, or a mean of several.

    Attributes:
        value: 0..1.
        influence: float64 (n images,), in evaluation order.
        trials: images of the smallest class there is in it.
    """

    value: float
    influence: NDArray[np.float64]
    trials: int

    @property
    def interval(self) -> list[float]:
        """95 % interval."""
        return list(on_logit_scale(self.value, float(np.square(self.influence).sum()), self.trials))

    def change_from(self, clean: Estimate) -> tuple[float, list[float] | None]:
        """Difference to ``clean``, and its 95 % interval; None where the images say nothing of its spread."""
        difference = self.value - clean.value
        spread = normal_reach() * sqrt(np.square(self.influence - clean.influence).sum())
        return difference, [difference - spread, difference + spread] if spread > 0 else None


Estimates = dict[str, Estimate | None]
"""By period; None where the period is empty or has one class only."""


@dataclass(frozen=True)
class Result:
    """AUROCs of one experiment, clean or under one perturbation.

    Attributes:
        label: ``clean`` or the level's title.
        perturbation: None for the clean result.
        mean: over the windows that the family counts.
        last: after the last of its windows.
        windows: by window, the AUROC of every period.
        generators: AUROC of every generator after the last window.
        shifts: how the logits of reals and fakes move from clean, after the last window; empty for the clean result.
    """

    label: str
    perturbation: Perturbation | None
    mean: Estimates
    last: Estimates
    windows: dict[int, dict[str, float | None]]
    generators: dict[str, float | None]
    shifts: Shifts = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """The results of a family of perturbations.

    Attributes:
        name, title: of the family.
        windows: those evaluated under every level that is there.
        counted: those of them that have a Next period, or all where none has: what means are over.
        clean: the clean result over the same windows.
        levels: from the weakest on.
    """

    name: str
    title: str
    windows: tuple[int, ...]
    counted: tuple[int, ...]
    clean: Result
    levels: tuple[Result, ...]


def load_robustness(folder: Path | str, experiment: ExperimentPredictions) -> tuple[Family, ...]:
    """Results under ``folder/robustness``, beside those of the experiment in ``folder``; empty where there are none.

    Raises:
        InputError: a predictions file is broken, or of other images than the experiment's.
    """
    if experiment.stage != "validate" or not (Path(folder) / FOLDER).is_dir():
        return ()
    found = current_windows(Path(folder))
    families = []
    for name, members in groupby(found, lambda perturbation: perturbation.family):
        levels = list(members)
        shared = set.intersection(*(set(found[level]) for level in levels)) & set(experiment.windows)
        if shared:
            families.append(_family(Path(folder), experiment, name, levels, tuple(sorted(shared))))
    return tuple(families)


def _family(
    folder: Path, experiment: ExperimentPredictions, name: str, levels: Sequence[Perturbation], windows: tuple[int, ...]
) -> Family:
    counted = tuple(k for k in windows if k in windows_with_next(experiment.n_windows)) or windows
    clean = _result("clean", None, {k: experiment.windows[k] for k in windows}, counted)
    last = max(windows)

    def result(level: Perturbation) -> Result:
        perturbed = {k: _perturbed(folder, experiment, level, k) for k in windows}
        shifts = shifts_between(experiment.windows[last], perturbed[last], last)
        return replace(_result(level.title, level, perturbed, counted), shifts=shifts)

    with ThreadPoolExecutor(THREADS) as pool:
        results = tuple(pool.map(result, levels))
    return Family(name, FAMILIES[name], windows, counted, clean, results)


def _perturbed(folder: Path, experiment: ExperimentPredictions, level: Perturbation, window: int) -> Predictions:
    path = predictions_path(folder, level, window)
    predictions = load_predictions(path)
    clean = experiment.windows[window]
    if field := predictions.first_difference(clean, ("windows_timeline", "generator_id_to_name", "benchmark_type")):
        raise InputError(f"{path} differs from the experiment's own predictions in {field}; remove it")
    if predictions.first_difference(clean, ("pairing", "identifier")):
        raise InputError(f"{path} is of other images than the experiment's own predictions; remove it")
    return predictions


def _result(
    label: str, perturbation: Perturbation | None, predictions: dict[int, Predictions], counted: tuple[int, ...]
) -> Result:
    sums: dict[str, list[Estimate | None]] = {period: [] for period in SHOWN_PERIODS}
    values: dict[int, dict[str, float | None]] = {}
    last = max(predictions)
    for k, of_window in predictions.items():
        groups = WindowGroups(of_window)
        estimates = {period: _estimate(groups, period, k) for period in SHOWN_PERIODS}
        values[k] = {period: None if e is None else e.value for period, e in estimates.items()}
        if k in counted:
            for period, estimate in estimates.items():
                sums[period].append(estimate)
        if k == last:
            final, generators = estimates, _generators(groups)
    mean = {period: _mean(of_period) for period, of_period in sums.items()}
    return Result(label, perturbation, mean, final, values, generators)


def _estimate(groups: WindowGroups, period: str, window: int) -> Estimate | None:
    mask = groups.period_mask(period, window)
    group = groups.whole.take(mask)
    if not group.both_classes:
        return None
    area, placed, rows = auroc(group), Placements.of(group), groups.order[mask]
    influence = np.zeros(len(mask))
    for of_class, placements in ((group.fakes, placed.fakes), (~group.fakes, placed.reals)):
        n = len(placements)
        # as many degrees of freedom as DeLong's variance has; with one image there is none
        influence[rows[of_class]] = (placements - area) / sqrt(n * (n - 1)) if n > 1 else np.nan
    return Estimate(area, influence, min(group.n_fakes, group.n_reals))


def _mean(estimates: Sequence[Estimate | None]) -> Estimate | None:
    known = [e for e in estimates if e is not None]
    if not known:
        return None
    influence = np.sum([e.influence for e in known], axis=0) / len(known)
    return Estimate(sum(e.value for e in known) / len(known), influence, min(e.trials for e in known))


def _generators(groups: WindowGroups) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in (name for window in groups.windows for name in window):
        group = groups.generators(name)
        found[name] = auroc(group) if group.both_classes else None
    return found
