"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigenbench.evaluation.calibration import METHODS
from aigenbench.evaluation.carried import RATES as CARRIED_RATES
from aigenbench.evaluation.chart import Cell, Table
from aigenbench.evaluation.metrics import METRICS
from aigenbench.evaluation.overtime import TRANSFERS, generator_matrix
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


def transfer_table(run: Run) -> Table:
    """Forgetting and transfer of every generator."""
    intervals = run.bounds.get("over_time", {"generators": {}, "mean": {}})
    rows = []
    for name, v in run.over_time["generators"].items():
        own = intervals["generators"].get(name, {})
        rows.append(
            (Cell(name), Cell(str(v["entered"]), v["entered"]), *(_points(v[m], own.get(m)) for m in TRANSFERS))
        )
    means = (_points(run.over_time["mean"][m], intervals["mean"].get(m), strong=True) for m in TRANSFERS)
    rows.append((Cell("mean", strong=True), Cell("-"), *means))
    header = ("Generator", "Enters", *(m.replace("_", " ").capitalize() for m in TRANSFERS))
    return Table("transfer", "Forgetting and transfer (AUROC points)", header, tuple(rows))


def drop_table(run: Run) -> Table:
    """What each new family of generators costs: Past less Next AUROC."""
    intervals = run.bounds.get("over_time", {})
    windows, drops = run.scores["windows"], run.over_time["drop"]
    bounds = intervals.get("drop", [None] * len(drops))
    rows = [
        (Cell(str(k), k), Cell(", ".join(windows[k + 1])), _points(drop, bounds[k]))
        for k, drop in enumerate(drops[:-1])
    ]
    mean_drop = _points(run.over_time["mean_drop"], intervals.get("mean_drop"), strong=True)
    rows.append((Cell("mean", len(rows), strong=True), Cell("all new families"), mean_drop))
    area = shown(run.over_time["area"], intervals.get("area"), strong=True)
    rows.append((Cell("area", len(rows), strong=True), Cell("under the Next curve, per window (%)"), area))
    return Table(
        "drops", "The drop at each new family", ("Window", "New generators", "Past - Next (points)"), tuple(rows)
    )


def carried_table(run: Run) -> Table:
    """The threshold of 5 % false positives on the Past period, applied to the Next."""
    rows = []
    for point in run.carried:
        cells = [
            shown(point[side][m], point[f"{side}_intervals"][m]) for m in CARRIED_RATES for side in ("past", "next")
        ]
        rows.append((Cell(str(point["window"]), point["window"]), *cells))
    header = (
        "Window",
        *(f"{m}, {side}" for m in ("Recall", "FPR", "Balanced acc.") for side in ("Past", "Next")),
    )
    return Table("carried_forward", "A threshold carried forward (%)", header, tuple(rows))


def calibration_table(run: Run) -> Table:
    """Calibration error before and after scaling."""
    rows = []
    intervals = {entry["window"]: entry for entry in run.bounds.get("calibration", [])}
    for entry in (calibrated.measured() for calibrated in run.calibrated):
        k, temperature = entry["window"], entry["temperature"]
        cells = [Cell(str(k), k), Cell(f"{temperature:.2f}", temperature)]
        for side in ("past", "next"):
            for method in METHODS:
                interval = intervals[k][side][method]["ece"] if k in intervals else None
                cells.append(shown(entry[side][method]["ece"], interval))
        rows.append(tuple(cells))
    header = (
        "Window",
        "Temperature",
        *(f"{side}, {m}" for side in ("Past", "Next") for m in ("as is", "temperature", "Platt")),
    )
    return Table("calibration", "Expected calibration error (%)", header, tuple(rows))


def multiclass_table(run: Run) -> Table:
    """Which generator it was, as far as a multiclass detector tells; no rows for a binary one."""
    found, intervals = run.scores["multiclass"] or {}, run.bounds.get("multiclass") or {}
    nothing = [None] * run.experiment.n_windows
    rows = tuple(
        (Cell(str(k), k), *(shown(v[k], intervals.get(name, nothing)[k]) for name, v in found.items()))
        for k in (range(run.experiment.n_windows) if found else ())
    )
    header = ("Window", *(metric_title(name) for name in found))
    return Table("multiclass", "Naming the generator, Past period (%)", header, rows)


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
    header = ("Metric", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS))
    return Table(f"metrics_window_{window}", f"All metrics after window {window}", header, tuple(rows))


def _metric(name: str, value: float | None, interval: Sequence[float] | None) -> Cell:
    if value is None:
        return Cell("-")
    if name in COUNTS:
        return Cell(f"{value:.0f}", value)
    if name in PLAIN:
        note = "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
        return Cell(f"{value:.4f}", value, note)
    return shown(value, interval)


def _points(value: float | None, interval: Sequence[float] | None = None, strong: bool = False) -> Cell:
    return Cell("-" if value is None else f"{100 * value:+.2f}", value, interval_text(interval, 1), strong=strong)
