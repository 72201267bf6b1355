"""Every number of an experiment with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation import intervals
from aigenbench.evaluation.bootstrap import (
    OTHER_REPLICATES,
    REPLICATES,
    SEED,
    bootstrap_auroc,
    bootstrap_metrics,
    row_means,
)
from aigenbench.evaluation.experiment import Experiment
from aigenbench.evaluation.intervals import LEVEL, Interval
from aigenbench.evaluation.other_generators import resample_generators
from aigenbench.evaluation.periods import WindowGroups
from aigenbench.evaluation.table import SHOWN_PERIODS

RATES: dict[str, Callable[[tuple[int, int, int, int]], tuple[int, int]]] = {
    "accuracy": lambda c: (c[0] + c[2], sum(c)),
    "precision": lambda c: (c[0], c[0] + c[1]),
    "recall": lambda c: (c[0], c[0] + c[3]),
    "specificity": lambda c: (c[2], c[2] + c[1]),
}
"""Metrics that are rates: successes and trials from (tp, fp, tn, fn)."""

RESAMPLED = (
    "average_precision",
    "balanced_accuracy",
    "f1",
    "best_f1",
    "eer",
    "tpr_at_fpr_1",
    "tpr_at_fpr_5",
    "tpr_at_fpr_10",
    "ece",
    "brier",
    "nll",
)
"""Metrics whose intervals come from replicates."""


@dataclass(frozen=True)
class Effort:
    """How much is computed: replicates of AUROC, replicates of the other metrics, seed of the draws."""

    replicates: int = REPLICATES
    other_replicates: int = OTHER_REPLICATES
    seed: int = SEED


def uncertainty(
    experiment: Experiment, pairing: bool = True, threshold: float = 0.5, effort: Effort | None = None
) -> dict[str, Any]:
    """Intervals of an experiment's scores, 95 %.

    Args:
        experiment: loaded predictions.
        pairing: see `evaluate`.
        threshold: see `evaluate`.
        effort: numbers of replicates; with ``other_replicates`` 0 only AUROC and rates get intervals.

    Returns:
        ``level``, ``replicates``, ``headline`` (``images`` and ``generators``: [low, high]), ``periods``
        (period -> metric -> [low, high] a window; AUROC also as ``auroc_delong`` and ``auroc_generators``),
        ``means`` (period -> interval of the mean AUROC over the windows that have a Next period) and
        ``generators`` (name -> AUROC intervals, DeLong). None where undefined.

    Raises:
        InputError: see `pair_up`.
    """
    effort = effort or Effort()
    images = bootstrap_auroc(experiment, effort.replicates, effort.seed, pairing, SHOWN_PERIODS)
    generators = resample_generators(experiment, effort.replicates, effort.seed, pairing)
    periods: dict[str, dict[str, list[list[float] | None]]] = {}
    for period in SHOWN_PERIODS:
        periods[period] = {
            "auroc": _columns(images.periods[period]),
            "auroc_generators": _columns(generators.periods[period]),
        }
    _add_closed_forms(periods, experiment, pairing, threshold)
    if effort.other_replicates:
        found = bootstrap_metrics(
            experiment, RESAMPLED, SHOWN_PERIODS, effort.other_replicates, effort.seed, pairing, threshold
        )
        for period, by_name in found.items():
            periods[period] |= {name: _columns(values) for name, values in by_name.items()}
    counted = slice(0, max(experiment.n_windows - 1, 1))
    return {
        "level": LEVEL,
        "replicates": effort.replicates,
        "headline": {"images": _interval(images.headline), "generators": _interval(generators.headline)},
        "periods": periods,
        "means": {p: _interval(row_means(v[:, counted])) for p, v in images.periods.items()},
        "generators": generator_intervals(experiment, pairing),
    }


def generator_intervals(experiment: Experiment, pairing: bool = True) -> dict[str, list[list[float] | None]]:
    """DeLong's interval of every generator's AUROC after every window: name -> [low, high] a window."""
    names = [name for window in experiment.first.windows_timeline for name in window]
    found: dict[str, list[list[float] | None]] = {name: [None] * experiment.n_windows for name in names}
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions, pairing)
        for name in names:
            found[name][k] = _pair(intervals.delong(groups.generators(name)))
    return found


def _add_closed_forms(
    periods: dict[str, dict[str, list[list[float] | None]]],
    experiment: Experiment,
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
            columns["auroc_delong"][k] = _pair(intervals.delong(group))
            resampled = columns["auroc"][k]
            if resampled and resampled[0] == resampled[1]:
                # a perfect ranking is perfect in every replicate, which is no certainty
                columns["auroc"][k] = columns["auroc_delong"][k]
            for name, counts in RATES.items():
                columns[name][k] = _pair(intervals.wilson(*counts(group.confusion)))


def _columns(values: NDArray[np.float64]) -> list[list[float] | None]:
    return [_interval(values[:, k]) for k in range(values.shape[1])]


def _interval(replicates: NDArray[np.float64]) -> list[float] | None:
    return _pair(intervals.percentiles(replicates))


def _pair(interval: Interval) -> list[float] | None:
    return None if np.isnan(interval[0]) else list(interval)


def interval_text(interval: Sequence[float] | None, digits: int = 2) -> str:
    """``[low, high]`` in percent, or nothing."""
    return "" if interval is None else f"[{100 * interval[0]:.{digits}f}, {100 * interval[1]:.{digits}f}]"
