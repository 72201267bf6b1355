"""What a run logged of its evaluations beyond the built-in metrics: those that a detector adds with ``add_metric``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from aigenbench.config.folder import METRICS_FILE
from aigenbench.csv_files import csv_rows
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.periods import ALL_PERIODS
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, window_folder
from aigenbench.files import open_regular

Logged = dict[str, dict[str, list[float | None]]]
"""Period -> metric -> one value a window, None where the run logged none."""


def logged_metrics(folder: Path | str, experiment: ExperimentPredictions) -> Logged:
    """The metrics of the user's own in the windows' logs, the latest value of each.

    They stand for themselves: they are not computed again from the predictions, so they have no intervals. A metric
    that is imported too (see ``METRICS``) is left out, since it is computed.

    Args:
        folder: the experiment's folder.
        experiment: its predictions.
    """
    found: Logged = {}
    for k in experiment.windows:
        for period, name, value in _lines(window_folder(folder, k) / METRICS_FILE, experiment.stage):
            columns = found.setdefault(period, {}).setdefault(name, [None] * experiment.n_windows)
            columns[k] = value
    names = sorted({name for of_period in found.values() for name in of_period})
    empty: list[float | None] = [None] * experiment.n_windows
    return {p: {name: found.get(p, {}).get(name, empty) for name in names} for p in ALL_PERIODS} if names else {}


def with_logged(scores: dict[str, Any], logged: Logged) -> dict[str, Any]:
    """Scores whose periods hold the logged metrics too, for tables and plots."""
    return scores | {"periods": {p: columns | logged.get(p, {}) for p, columns in scores["periods"].items()}}


def _lines(path: Path, stage: str) -> list[tuple[str, str, float]]:
    if not path.is_file():
        return []
    found = []
    with io.TextIOWrapper(open_regular(path), encoding="utf-8", errors="replace", newline="") as lines:
        for _, row in csv_rows(lines, path):
            # a line that a crash cut short is none
            kind, period, name = (*(row[1] if len(row) == 3 else "").split("/", 2), "", "")[:3]
            value = _number(row[2]) if kind == stage and period in ALL_PERIODS and name not in METRICS else None
            if value is not None:
                found.append((period, name, value))
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
