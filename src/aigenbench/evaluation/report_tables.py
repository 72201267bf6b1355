"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigenbench.evaluation.chart import Cell, Table
from aigenbench.evaluation.metrics import METRICS
from aigenbench.evaluation.overtime import generator_matrix
from aigenbench.evaluation.published import BASELINES, NOTE
from aigenbench.evaluation.run import Run
from aigenbench.evaluation.table import SHOWN_PERIODS, mean, percent
from aigenbench.evaluation.uncertainty import interval_text
from aigenbench.protocol.periods import PERIOD_TITLES

COUNTS = ("tp", "fp", "tn", "fn", "n_real", "n_fake")
PLAIN = ("nll", "brier", "best_f1_threshold")
METRIC_TITLES = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "tp": "True positives",
    "fp": "False positives",
    "tn": "True negatives",
    "fn": "False negatives",
    "n_real": "Reals",
    "n_fake": "Fakes",
    "best_f1": "Best F1",
    "best_f1_threshold": "… at threshold",
    "eer": "Equal error rate",
    "tpr_at_fpr_1": "TPR at 1 % FPR",
    "tpr_at_fpr_5": "TPR at 5 % FPR",
    "tpr_at_fpr_10": "TPR at 10 % FPR",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
    "nll": "Negative log-likelihood",
}


def metric_title(name: str) -> str:
    """How pages call a metric."""
    return METRIC_TITLES.get(name, name.replace("_", " ").capitalize())


def shown(value: float | None, interval: Sequence[float] | None = None, **kwargs: Any) -> Cell:
    """A share in percent with its interval."""
    return Cell(percent(value), value, interval_text(interval, 1), **kwargs)


def results_table(run: Run) -> Table:
    """Past, Next and Whole AUROC of every window."""
    scores, bounds = run.scores, run.bounds["periods"]
    rows = []
    for k, window in enumerate(scores["windows"]):
        cells = [
            shown(scores["periods"][p]["auroc"][k], bounds[p]["auroc"][k], strong=p == "immediate_future")
            for p in SHOWN_PERIODS
        ]
        rows.append((Cell(str(k), k), *cells, Cell(", ".join(window))))
    counted = slice(0, max(len(scores["windows"]) - 1, 1))
    means = [
        shown(mean(scores["periods"][p]["auroc"][counted]), run.bounds["means"][p], strong=True) for p in SHOWN_PERIODS
    ]
    rows.append((Cell("mean", len(rows)), *means, Cell("windows with a Next period")))
    header = ("Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Generators added")
    return Table("results", "AUROC (%) per window", header, tuple(rows))


def headline_table(runs: Sequence[Run]) -> Table:
    """The runs' mean AUROC beside the published baselines."""
    rows = []
    for run in runs:
        counted = slice(0, max(run.experiment.n_windows - 1, 1))
        cells = [shown(mean(run.scores["periods"][p]["auroc"][counted]), run.bounds["means"][p]) for p in SHOWN_PERIODS]
        generators = run.bounds["headline"]["generators"]
        rows.append(
            (Cell(run.name, strong=True), *cells, Cell(interval_text(generators, 1) or "-"), Cell("this report"))
        )
    for b in BASELINES:
        values = [Cell(percent(v), v) for v in (b.past, b.coming, b.whole)]
        rows.append((Cell(b.name), *values, Cell("-"), Cell(NOTE)))
    header = ("Detector", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Next, other generators", "Source")
    return Table("headline", "Mean AUROC (%) over the windows", header, tuple(rows))


def heat_map(run: Run) -> Table:
    """AUROC of every generator after every window; cells before the window that brings it are unemphasised."""
    names, entered, matrix = generator_matrix(run.scores)
    rows = []
    for name, e, values in zip(names, entered, matrix, strict=True):
        bounds = run.bounds["generators"][name]
        cells = []
        for k, v in enumerate(values.tolist()):
            known = None if v != v else v
            shade = None if known is None else max(0.0, min(1.0, 2 * known - 1))
            cells.append(Cell(percent(known, 1), known, interval_text(bounds[k], 1), shade, strong=k >= e))
        rows.append((Cell(name), Cell(str(e), e), *cells))
    header = ("Generator", "Enters", *(str(k) for k in range(matrix.shape[1])))
    return Table("generators", "AUROC (%) of every generator after every window", header, tuple(rows))


def metrics_table(run: Run, window: int) -> Table:
    """Every metric of one window."""
    rows = []
    for name in METRICS:
        cells = []
        for period in SHOWN_PERIODS:
            value = run.scores["periods"][period][name][window]
            interval = run.bounds["periods"][period].get(name, [None] * (window + 1))[window]
            cells.append(_metric(name, value, interval))
        rows.append((Cell(metric_title(name)), *cells))
        if name == "auroc":
            rows.append(
                (Cell("… interval over other generators"), *(_generators(run, p, window) for p in SHOWN_PERIODS))
            )
    header = ("Metric", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS))
    return Table(f"metrics_window_{window}", f"All metrics after window {window}", header, tuple(rows))


def _generators(run: Run, period: str, window: int) -> Cell:
    interval = run.bounds["periods"][period]["auroc_generators"][window]
    return Cell(interval_text(interval, 1) or "-")


def _metric(name: str, value: float | None, interval: Sequence[float] | None) -> Cell:
    if value is None:
        return Cell("-")
    if name in COUNTS:
        return Cell(f"{value:.0f}", value)
    if name in PLAIN:
        note = "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
        return Cell(f"{value:.4f}", value, note)
    return shown(value, interval)
