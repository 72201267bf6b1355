"""The scores of an experiment, from its predictions files alone."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, fewest_pairs, mean_over_windows
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.multiclass import multiclass
from aigenbench.evaluation.metrics.periods import ALL_PERIODS, WindowGroups, evaluate, evaluate_generators
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.published import windows_with_next

HEADLINE_PERIOD = "immediate_future"
HEADLINE_METRIC = "auroc"


def score_experiment(
    folder: Path | str, stage: str = "validate", pairing: bool = True, threshold: float = 0.5
) -> dict[str, Any]:
    """Score every window of an experiment.

    Args:
        folder: the experiment's folder, with ``window_<k>`` in it.
        stage: ``validate`` or ``test``.
        pairing: whether a real counts only where its paired fake's generator counts.
        threshold: a score counts as fake where it is strictly greater.

    Returns:
        A JSON-able mapping: ``experiment``, ``stage``, ``pairing``, ``threshold``, ``protocol_fingerprint``,
        ``pairing_fingerprint``, ``data_fingerprint``, ``headline``,
        ``periods`` (period -> metric -> one value a window),
        ``generators`` (name -> metric -> one value a window), ``multiclass`` (metric -> one value a window, or
        None for a binary detector), ``windows`` (the generators of each) and ``notes``. None where a period is
        empty, a value undefined or a window missing. With a timeline of one's own also ``timeline``, its name and
        version; where that extends the published one also ``standard``, what the published windows alone come to:
        ``headline``, ``means`` (period -> mean AUROC), ``pairs`` (of the smallest window), ``protocol_fingerprint``.
        Of a training off protocol also ``off_protocol``, the reasons.

    Raises:
        InputError: see `load_experiment`.
    """
    return score(load_experiment(folder, stage), pairing, threshold)


def score(experiment: ExperimentPredictions, pairing: bool = True, threshold: float = 0.5) -> dict[str, Any]:
    """`score_experiment` of an experiment that is already loaded."""
    by_window = {k: evaluate(p, k, pairing, threshold) for k, p in experiment.windows.items()}
    by_generator = {k: evaluate_generators(WindowGroups(p, pairing, threshold)) for k, p in experiment.windows.items()}
    first = experiment.first

    def columns(found: dict[int, dict[str, dict[str, float | None]]], group: str) -> dict[str, list[float | None]]:
        windows = range(experiment.n_windows)
        return {name: [found[k][group][name] if k in found else None for k in windows] for name in METRICS}

    periods = {period: columns(by_window, period) for period in ALL_PERIODS}
    names = [name for window in experiment.timeline for name in window]
    classes = {k: multiclass(p, k) for k, p in experiment.windows.items()}
    values = {
        "experiment": experiment.name,
        "stage": experiment.stage,
        "pairing": pairing,
        "threshold": threshold,
        "protocol_fingerprint": first.protocol_fingerprint,
        "pairing_fingerprint": first.pairing_fingerprint,
        "data_fingerprint": first.data_fingerprint,
        "headline": headline(periods[HEADLINE_PERIOD][HEADLINE_METRIC]),
        "periods": periods,
        "generators": {name: columns(by_generator, name) for name in names},
        "multiclass": {
            name: [classes[k][name] if k in classes else None for k in range(experiment.n_windows)]
            for name in classes[min(classes)]
        }
        if first.fused_multiclass_predictions is not None
        else None,
        "windows": [list(window) for window in experiment.timeline],
        "notes": [*experiment.about, *_notes(experiment, periods)],
    }
    if first.timeline is not None:
        values["timeline"] = first.timeline
    if experiment.off_protocol:
        values["off_protocol"] = list(experiment.off_protocol)
    if experiment.standard is not None:
        values["standard"] = _of_standard(score(experiment.standard, pairing, threshold))
    return values


def _of_standard(scores: dict[str, Any]) -> dict[str, Any]:
    return {
        "headline": scores["headline"],
        "means": {period: mean_over_windows(scores, period) for period in SHOWN_PERIODS},
        "pairs": {period: fewest_pairs(scores, period) for period in SHOWN_PERIODS},
        "protocol_fingerprint": scores["protocol_fingerprint"],
    }


def _notes(experiment: ExperimentPredictions, periods: dict[str, dict[str, list[float | None]]]) -> list[str]:
    """What makes values undefined or meaningless, one line each."""
    notes = []
    constant = [k for k, p in experiment.windows.items() if np.ptp(p.fused_scores) == 0]
    if constant:
        notes.append(f"every image has the same score in window {', '.join(map(str, constant))}: AUROC is one half")
    for period in SHOWN_PERIODS:
        counts = zip(periods[period]["n_real"], periods[period]["n_fake"], strict=True)
        # an empty period has neither count
        one = [k for k, (reals, fakes) in enumerate(counts) if (reals or fakes) and not (reals and fakes)]
        if one:
            where = ", ".join(map(str, one))
            notes.append(f"one class only in the {PERIOD_TITLES[period]} period of window {where}: AUROC is undefined")
    return notes


def headline(values: list[float | None]) -> dict[str, Any]:
    """The mean over the windows that have a Next period, and how many there were (protocol section 5).

    Windows without a value (not evaluated yet, or one class only) are left out; ``windows`` tells how many
    entered. The last window never does: it has no Next period.
    """
    known = [value for k in windows_with_next(len(values)) if (value := values[k]) is not None]
    return {
        "metric": HEADLINE_METRIC,
        "period": HEADLINE_PERIOD,
        "mean": fmean(known) if known else None,
        "windows": len(known),
    }
