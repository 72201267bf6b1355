"""Intervals of what is derived from several scores: transfer over time, calibration errors, named classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.definitions import NAN
from aigenbench.evaluation.metrics.multiclass import CLASS_METRICS, judged
from aigenbench.evaluation.metrics.over_time import TRANSFERS, area, over_time, transfers
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.bootstrap import Replicates, resample, row_means
from aigenbench.evaluation.statistics.calibration import MEASURES, METHODS, Calibrated
from aigenbench.evaluation.statistics.draws import OTHER_REPLICATES, SEED, Weights, pair_up, replicate_all
from aigenbench.evaluation.statistics.intervals import Bounds, uncertain_bounds

SIDES = {"past": "past", "next": "coming"}
"""What is told of a window's calibration, and where `Calibrated` keeps it."""


def over_time_intervals(
    scores: dict[str, Any], images: Replicates, generators: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """Intervals of everything that `over_time` gives, under the same names.

    Forgetting takes a maximum, which noise pushes up: its replicates are moved onto the value (see `centred`).

    Args:
        scores: what `score` returns.
        images: replicates of AUROC by period.
        generators: replicates of AUROC by generator.
    """
    points = over_time(scores)
    by_name: dict[str, dict[str, Bounds]] = {}
    all_replicates: dict[str, list[NDArray[np.float64]]] = {m: [] for m in TRANSFERS}
    for name, values in points["generators"].items():
        found = transfers(generators[name], values["entered"])
        by_name[name] = {m: uncertain_bounds(m, found[m], values[m]) for m in TRANSFERS}
        for m in TRANSFERS:
            all_replicates[m].append(found[m])
    means = {m: row_means(np.stack(columns, axis=1)) for m, columns in all_replicates.items()}
    drops = images.periods["growing"] - images.periods["immediate_future"]
    return {
        "generators": by_name,
        "mean": {m: uncertain_bounds(m, means[m], points["mean"][m]) for m in TRANSFERS},
        "drop": [uncertain_bounds("drop", drops[:, k], points["drop"][k]) for k in range(drops.shape[1])],
        "mean_drop": uncertain_bounds("drop", row_means(drops), points["mean_drop"]),
        "area": uncertain_bounds("area", area(images.periods["immediate_future"]), points["area"]),
    }


def calibration_intervals(
    experiment: ExperimentPredictions,
    calibrated: Sequence[Calibrated],
    replicates: int = OTHER_REPLICATES,
    seed: int = SEED,
    methods: Sequence[str] = METHODS,
) -> list[dict[str, Any]]:
    """Intervals of the calibration errors: a window's ``past`` and ``next`` -> method -> measure -> [low, high].

    The images reported on are drawn anew; the scalings stay as they were fitted.
    """
    places = [(entry, side, method) for entry in calibrated for side in SIDES for method in methods]
    groups = [getattr(entry, SIDES[side])[method] for entry, side, method in places]
    values = resample(pair_up(experiment.first), groups, MEASURES, replicates, seed)
    by_window: dict[int, dict[str, Any]] = {
        entry.window: {"window": entry.window, **{side: {} for side in SIDES}} for entry in calibrated
    }
    points = {entry.window: entry.measured() for entry in calibrated}
    for i, (entry, side, method) in enumerate(places):
        of_method = points[entry.window][side][method]
        by_window[entry.window][side][method] = {
            m: uncertain_bounds(m, values[:, i, j], of_method[m]) for j, m in enumerate(MEASURES)
        }
    return list(by_window.values())


def class_intervals(
    experiment: ExperimentPredictions, replicates: int = OTHER_REPLICATES, seed: int = SEED
) -> dict[str, list[Bounds]] | None:
    """Intervals of `multiclass` on Past: metric -> [low, high] a window; None for a binary detector."""
    if experiment.first.fused_multiclass_predictions is None:
        return None
    pairs = pair_up(experiment.first)
    known = {k: found for k, p in experiment.windows.items() if (found := judged(p, k)) is not None}
    of_rows = {k: pairs.of_rows(experiment.windows[k])[found.rows] for k, found in known.items()}

    def replicate(weights: Weights) -> NDArray[np.float64]:
        measured = [found.measured(weights.take(of_rows[k])) for k, found in known.items()]
        return np.array([[NAN if m[n] is None else m[n] for n in CLASS_METRICS] for m in measured], dtype=np.float64)

    by_name: dict[str, list[Bounds]] = {name: [None] * experiment.n_windows for name in CLASS_METRICS}
    points = {k: found.measured() for k, found in known.items()}
    if known:
        values = replicate_all(pairs, replicate, replicates, seed)
        for i, k in enumerate(known):
            for j, name in enumerate(CLASS_METRICS):
                by_name[name][k] = uncertain_bounds(name, values[:, i, j], points[k][name])
    return by_name
