"""Every number of an experiment with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, mean_over_windows
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics import intervals
from aigenbench.evaluation.statistics.bootstrap import (
    bootstrap_auroc,
    bootstrap_generators,
    bootstrap_metrics,
    row_means,
)
from aigenbench.evaluation.statistics.calibration import MEASURES, METHODS, Calibrated, calibrate
from aigenbench.evaluation.statistics.derived import calibration_intervals, class_intervals, over_time_intervals
from aigenbench.evaluation.statistics.draws import OTHER_REPLICATES, REPLICATES, SEED
from aigenbench.evaluation.statistics.generators import generators_interval, headline_interval, resample_generators
from aigenbench.evaluation.statistics.intervals import LEVEL, Bounds, bounds, bounds_of, uncertain_bounds
from aigenbench.protocol.published import averaged_windows

RATES: dict[str, Callable[[tuple[int, int, int, int]], tuple[int, int]]] = {
    "accuracy": lambda c: (c[0] + c[2], sum(c)),
    "precision": lambda c: (c[0], c[0] + c[1]),
    "recall": lambda c: (c[0], c[0] + c[3]),
    "specificity": lambda c: (c[2], c[2] + c[1]),
}
"""Metrics that are rates: successes and trials from (tp, fp, tn, fn)."""

CLOSED_FORM = ("auroc", "best_f1_threshold", "tp", "fp", "tn", "fn", "n_real", "n_fake", *RATES)
"""Metrics whose intervals do not come from `bootstrap_metrics`, and counts, which have none."""


@dataclass(frozen=True)
class Effort:
    """How much is computed: replicates of AUROC, replicates of the other metrics, seed of the draws."""

    replicates: int = REPLICATES
    other_replicates: int = OTHER_REPLICATES
    seed: int = SEED

    @staticmethod
    def of(replicates: int) -> Effort:
        """So many replicates of AUROC, and of the other metrics no more than they usually get."""
        return Effort(replicates, min(OTHER_REPLICATES, replicates))


def uncertainty(
    experiment: ExperimentPredictions,
    pairing: bool = True,
    threshold: float = 0.5,
    effort: Effort | None = None,
    scores: dict[str, Any] | None = None,
    calibrated: Sequence[Calibrated] | None = None,
) -> dict[str, Any]:
    """Intervals of an experiment's scores, 95 %.

    Args:
        experiment: loaded predictions.
        pairing: see `evaluate`.
        threshold: see `evaluate`.
        effort: numbers of replicates; with ``other_replicates`` 0 only AUROC and rates get intervals.
        scores: of `score` with the same arguments, where already known.
        calibrated: of `calibrate`, where already known.

    Returns:
        ``level``, ``replicates``, ``other_replicates``, ``headline`` (``images`` and ``generators``: [low, high]),
        ``periods`` (period -> metric -> [low, high] a window; AUROC also as ``auroc_delong`` and ``auroc_generators``),
        ``means`` (period -> interval of the mean AUROC over the windows that have a Next period),
        ``generators`` (name -> AUROC intervals, DeLong), and with ``other_replicates`` also ``over_time``,
        ``calibration`` and ``multiclass`` (see `over_time_intervals`, `calibration_intervals`,
        `class_intervals`). Where the timeline extends the published one, also ``standard``, ``headline`` and ``means``
        of the published windows alone. None where undefined.

    Raises:
        InputError: see `pair_up`.
    """
    effort, scores = effort or Effort(), scores or score(experiment, pairing, threshold)
    images = bootstrap_auroc(experiment, effort.replicates, effort.seed, pairing, SHOWN_PERIODS)
    generators = resample_generators(experiment, effort.replicates, effort.seed, pairing)
    aurocs = {p: scores["periods"][p]["auroc"] for p in SHOWN_PERIODS}
    periods: dict[str, dict[str, list[Bounds]]] = {
        p: {
            "auroc": [bounds_of("auroc", images.periods[p][:, k], value) for k, value in enumerate(aurocs[p])],
            "auroc_generators": _of_generators(generators.periods[p], aurocs[p]),
        }
        for p in SHOWN_PERIODS
    }
    _add_closed_forms(periods, experiment, pairing, threshold)
    counted = averaged_windows(experiment.n_windows)
    means = {
        p: _of_mean(row_means(images.periods[p][:, counted]), columns["auroc"][counted], mean_over_windows(scores, p))
        for p, columns in periods.items()
    }
    found = {
        "level": LEVEL,
        "replicates": effort.replicates,
        "other_replicates": effort.other_replicates,
        "headline": {
            "images": means["immediate_future"] if experiment.has_next else None,
            "generators": bounds(headline_interval(generators, aurocs["immediate_future"])),
        },
        "periods": periods,
        "means": means,
        "generators": generator_intervals(experiment, pairing),
    }
    if experiment.standard is not None:
        alone = uncertainty(experiment.standard, pairing, threshold, replace(effort, other_replicates=0))
        found["standard"] = {name: alone[name] for name in ("headline", "means")}
    if effort.other_replicates:
        _add_other_metrics(periods, scores, experiment, effort, pairing, threshold)
        by_generator = bootstrap_generators(experiment, effort.other_replicates, effort.seed, pairing)
        found["over_time"] = over_time_intervals(scores, images, by_generator)
        found["calibration"] = _calibration(periods, experiment, calibrated, effort, pairing)
        found["multiclass"] = class_intervals(experiment, effort.other_replicates, effort.seed)
    return found


def _add_other_metrics(
    periods: dict[str, dict[str, list[Bounds]]],
    scores: dict[str, Any],
    experiment: ExperimentPredictions,
    effort: Effort,
    pairing: bool,
    threshold: float,
) -> None:
    names = [name for name in METRICS if name not in CLOSED_FORM]
    found = bootstrap_metrics(
        experiment, names, SHOWN_PERIODS, effort.other_replicates, effort.seed, pairing, threshold
    )
    for period, by_name in found.items():
        values = scores["periods"][period]
        for name, columns in by_name.items():
            periods[period][name] = [uncertain_bounds(name, columns[:, k], v) for k, v in enumerate(values[name])]


def _calibration(
    periods: dict[str, dict[str, list[Bounds]]],
    experiment: ExperimentPredictions,
    calibrated: Sequence[Calibrated] | None,
    effort: Effort,
    pairing: bool,
) -> list[dict[str, Any]]:
    # with pairing, the periods as they are have their intervals already
    methods = METHODS[1:] if pairing else METHODS
    calibrated = calibrate(experiment) if calibrated is None else calibrated
    found = calibration_intervals(experiment, calibrated, effort.other_replicates, effort.seed, methods)
    for entry in found if pairing else ():
        for side, period in (("past", "growing"), ("next", "immediate_future")):
            entry[side]["before"] = {m: periods[period][m][entry["window"]] for m in MEASURES}
    return found


def generator_intervals(experiment: ExperimentPredictions, pairing: bool = True) -> dict[str, list[Bounds]]:
    """DeLong's interval of every generator's AUROC after every window: name -> [low, high] a window."""
    names = [name for window in experiment.first.windows_timeline for name in window]
    found: dict[str, list[Bounds]] = {name: [None] * experiment.n_windows for name in names}
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing)
        for name in names:
            found[name][k] = bounds(intervals.delong(groups.generators(name)))
    return found


def _add_closed_forms(
    periods: dict[str, dict[str, list[Bounds]]],
    experiment: ExperimentPredictions,
    pairing: bool,
    threshold: float,
) -> None:
    for columns in periods.values():
        for name in ("auroc_delong", *RATES):
            columns[name] = [None] * experiment.n_windows
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing, threshold)
        for period, columns in periods.items():
            group = groups.period(period, k)
            columns["auroc_delong"][k] = bounds(intervals.delong(group))
            resampled = columns["auroc"][k]
            if resampled and resampled[0] == resampled[1]:
                # a perfect ranking is perfect in every replicate, which is no certainty
                columns["auroc"][k] = columns["auroc_delong"][k]
            for name, counts in RATES.items():
                columns[name][k] = bounds(intervals.wilson(*counts(group.confusion)))


def _of_generators(replicates: NDArray[np.float64], values: Sequence[float | None]) -> list[Bounds]:
    return [
        None if value is None else bounds(generators_interval(replicates[:, k], value))
        for k, value in enumerate(values)
    ]


def _of_mean(replicates: NDArray[np.float64], columns: Sequence[Bounds], value: float | None) -> Bounds:
    found, known = bounds_of("auroc", replicates, value), [c for c in columns if c is not None]
    if found is None or found[0] < found[1] or not known:
        return found
    # replicates that are all equal are no certainty either; a mean lies between the means of bounds
    return [float(np.mean([c[side] for c in known])) for side in (0, 1)]
