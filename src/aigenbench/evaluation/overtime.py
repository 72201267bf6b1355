"""What happens to a detector over the windows: learning, forgetting, and thresholds carried forward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation import metrics
from aigenbench.evaluation.experiment import Experiment
from aigenbench.evaluation.group import Group
from aigenbench.evaluation.periods import WindowGroups

CHANCE = 0.5
"""AUROC of a detector that knows nothing: what forward transfer is measured against."""


def generator_matrix(scores: dict[str, Any]) -> tuple[list[str], list[int], NDArray[np.float64]]:
    """AUROC of every generator after every window.

    Args:
        scores: what `score_experiment` returns.

    Returns:
        Generator names (g) in timeline order, the window each enters at (g), and AUROC (g, windows) with NaN
        where unknown.
    """
    names = [name for window in scores["windows"] for name in window]
    entered = [k for k, window in enumerate(scores["windows"]) for _ in window]
    rows = [[np.nan if v is None else v for v in scores["generators"][name]["auroc"]] for name in names]
    return names, entered, np.array(rows, dtype=np.float64).reshape(len(names), len(scores["windows"]))


def over_time(scores: dict[str, Any]) -> dict[str, Any]:
    """Transfer and forgetting of every generator and on average.

    With R[k] the AUROC of a generator after window k, e the window it enters at and K the last window:
    forgetting is max(R[e..K-1]) - R[K], backward transfer R[K] - R[e], forward transfer R[e-1] - 0.5. The gap
    of a window is its Past less its Next AUROC: what a new set of generators costs. The area is the trapezoid
    mean of Next AUROC over the windows.

    Returns:
        ``generators``: name -> forgetting, backward_transfer, forward_transfer, entered; ``mean`` of each;
        ``gap`` per window; ``area``. None where undefined.
    """
    names, entered, matrix = generator_matrix(scores)
    by_name = {name: {"entered": e, **_transfer(row, e)} for name, e, row in zip(names, entered, matrix, strict=True)}
    past, coming = scores["periods"]["growing"]["auroc"], scores["periods"]["immediate_future"]["auroc"]
    gaps = [None if p is None or n is None else p - n for p, n in zip(past, coming, strict=True)]
    measures = ("forgetting", "backward_transfer", "forward_transfer")
    return {
        "generators": by_name,
        "mean": {m: _mean([values[m] for values in by_name.values()]) for m in measures},
        "gap": gaps,
        "mean_gap": _mean(gaps),
        "area": _area(coming),
    }


def carried_forward(experiment: Experiment, fpr: float = 0.05, pairing: bool = True) -> list[dict[str, Any]]:
    """What a deployment would get: a threshold fitted on what is known, applied to what comes.

    At each window the threshold is the lowest whose false positive rate on the Past period (its paired reals)
    is at most ``fpr``; it is then applied to the Next period.

    Args:
        experiment: loaded predictions.
        fpr: the false positive rate aimed at.
        pairing: see `evaluate`.

    Returns:
        One mapping a window: ``threshold`` (on the logit where known, else the score), ``past`` and ``next``
        with ``recall``, ``false_positive_rate`` and ``balanced_accuracy``; None where a period is empty.
    """
    points = []
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing)
        past, coming = groups.period("growing", k), groups.period("immediate_future", k)
        threshold = threshold_at_fpr(past, fpr)
        points.append(
            {
                "window": k,
                "threshold": None if np.isnan(threshold) else threshold,
                "past": _rates(past, threshold),
                "next": _rates(coming, threshold),
            }
        )
    return points


def threshold_at_fpr(group: Group, fpr: float) -> float:
    """The lowest rank above which at most ``fpr`` of the reals lie; NaN without reals."""
    if not group.n_reals:
        return metrics.NAN
    reals = group.rows.ranks[~group.fakes]
    allowed = int(np.floor(fpr * len(reals) + 1e-9))
    return float(reals[allowed]) if allowed < len(reals) else -np.inf


def _rates(group: Group, threshold: float) -> dict[str, float | None]:
    names = ("recall", "false_positive_rate", "balanced_accuracy")
    if not group.both_classes or np.isnan(threshold):
        return dict.fromkeys(names)
    called = group.rows.ranks > threshold
    recall = float(np.mean(called[group.fakes]))
    false_positives = float(np.mean(called[~group.fakes]))
    return dict(zip(names, (recall, false_positives, (1 + recall - false_positives) / 2), strict=True))


def _transfer(row: NDArray[np.float64], e: int) -> dict[str, float | None]:
    last = len(row) - 1
    before_last = row[e:last]
    known = before_last[~np.isnan(before_last)]
    return {
        "forgetting": _number(known.max() - row[last]) if len(known) else None,
        "backward_transfer": _number(row[last] - row[e]) if e < last else None,
        "forward_transfer": _number(row[e - 1] - CHANCE) if e > 0 else None,
    }


def _number(value: np.floating[Any] | float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _area(values: list[float | None]) -> float | None:
    known = [(k, v) for k, v in enumerate(values) if v is not None]
    if len(known) < 2:
        return known[0][1] if known else None
    at, heights = np.array(known).T
    return float(np.trapezoid(heights, at) / (at[-1] - at[0]))
