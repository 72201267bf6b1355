"""A threshold chosen on what is known and carried to what comes: what a deployment would get."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from aigenbench.evaluation.metrics.definitions import NAN
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.intervals import Interval, wilson

FPR = 0.05
RATES = ("recall", "false_positive_rate", "balanced_accuracy")


def carried_forward(experiment: ExperimentPredictions, fpr: float = FPR) -> list[dict[str, Any]]:
    """Fit a threshold on what is known, and apply it to what comes.

    At each window the threshold is the lowest whose false positive rate on the Past period (its paired reals)
    is at most ``fpr``; it is then applied to the Next period.

    Args:
        experiment: loaded predictions.
        fpr: the false positive rate aimed at.

    Returns:
        One mapping a window: ``threshold`` (on the logit where known, else the score), ``past`` and ``next`` with
        ``recall``, ``false_positive_rate`` and ``balanced_accuracy``, and ``past_intervals`` and
        ``next_intervals`` with the 95 % interval of each at this threshold; None where a period is empty.
    """
    points = []
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions)
        past, coming = groups.period("growing", k), groups.period("immediate_future", k)
        threshold = threshold_at_fpr(past, fpr)
        point: dict[str, Any] = {"window": k, "threshold": None if np.isnan(threshold) else threshold}
        for side, group in (("past", past), ("next", coming)):
            point[side], point[f"{side}_intervals"] = _rates(group, threshold)
        points.append(point)
    return points


def threshold_at_fpr(group: Group, fpr: float) -> float:
    """The lowest rank above which at most ``fpr`` of the reals lie; NaN without reals."""
    if not group.n_reals:
        return NAN
    reals = group.rows.ranks[~group.fakes]
    allowed = whole_number(fpr, len(reals))
    return float(reals[allowed]) if allowed < len(reals) else -np.inf


def whole_number(share: float, n: int) -> int:
    """The whole number of ``n`` images that a share is at most."""
    return int(np.floor(share * n + 1e-9))


def _rates(group: Group, threshold: float) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    if not group.both_classes or np.isnan(threshold):
        return dict.fromkeys(RATES), dict.fromkeys(RATES)
    called = group.rows.ranks > threshold
    hits, alarms = int(np.sum(called[group.fakes])), int(np.sum(called[~group.fakes]))
    recall, false_positives = hits / group.n_fakes, alarms / group.n_reals
    of_recall, of_alarms = wilson(hits, group.n_fakes), wilson(alarms, group.n_reals)
    of_balanced = _of_balanced(recall, of_recall, 1 - false_positives, (1 - of_alarms[1], 1 - of_alarms[0]))
    values = (recall, false_positives, (1 + recall - false_positives) / 2)
    bounds = (list(of_recall), list(of_alarms), list(of_balanced))
    return dict(zip(RATES, values, strict=True)), dict(zip(RATES, bounds, strict=True))


def _of_balanced(recall: float, of_recall: Interval, specificity: float, of_specificity: Interval) -> Interval:
    """Interval of the mean of two independent rates from their own intervals (Zou and Donner's recovered variances)."""
    centre = (recall + specificity) / 2
    low = sqrt((recall - of_recall[0]) ** 2 + (specificity - of_specificity[0]) ** 2) / 2
    high = sqrt((of_recall[1] - recall) ** 2 + (of_specificity[1] - specificity) ** 2) / 2
    return centre - low, centre + high
