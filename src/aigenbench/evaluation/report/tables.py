"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.drawing.seen import starred
from aigenbench.evaluation.drawing.table import (
    SHOWN_PERIODS,
    fewest_pairs,
    mean_over_windows,
    pairs,
    percent,
    standard_images,
)
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.over_time import generator_matrix
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.statistics.intervals import interval_text, outward
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.published import BASELINES, NOTE

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


def shown(
    value: float | None,
    interval: Sequence[float] | None = None,
    count: int | None = None,
    digits: int = 2,
    **kwargs: Any,
) -> Cell:
    """A share in percent with its interval, and the number of pairs it stands on."""
    if value is None:
        return Cell("-", share=True, **kwargs)
    text, note = percent(value, digits), interval_text(interval)
    return Cell(text, value, note, interval=interval, count=count, share=True, **kwargs)


def points(
    value: float | None, interval: Sequence[float] | None = None, count: int | None = None, **kwargs: Any
) -> Cell:
    """A difference of shares in points."""
    if value is None:
        return Cell("-", share=True, **kwargs)
    note = interval_text(interval, sign="+")
    return Cell(f"{100 * value:+.2f}", value, note, interval=interval, count=count, share=True, **kwargs)


def diverging(value: float | None) -> float | None:
    """How far a share lies from chance, -1..1."""
    return None if value is None else 2 * value - 1


def results_table(run: ExperimentResults) -> Table:
    """Past, Next and Whole AUROC of every window."""
    scores, bounds = run.scores, run.bounds["periods"]
    rows = []
    for k, window in enumerate(scores["windows"]):
        cells = [
            shown(
                scores["periods"][p]["auroc"][k],
                bounds[p]["auroc"][k],
                pairs(scores, p, k),
                strong=p == "immediate_future",
            )
            for p in SHOWN_PERIODS
        ]
        rows.append((Cell(str(k), k), *cells, Cell(starred(window, scores.get("foreign")))))
    rows.append((Cell("mean", len(rows)), *_means(run, strong=True), Cell("windows with a Next period")))
    header = ("Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Generators added")
    return Table("results", "AUROC (%) per window", header, tuple(rows))


def headline_table(run: ExperimentResults) -> Table:
    """A run's mean AUROC; on the benchmark itself beside the published baselines."""
    rows = [
        (Cell(run.name, strong=True), *_means(run), bracket(run.bounds["headline"]["generators"]), Cell(run.source))
    ]
    rows += [*standard_rows(run, 0), *baseline_rows(run.standing.is_benchmark, 1)]
    header = ("Detector", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Next, other generators", "Source")
    return known_columns(Table("headline", "Mean AUROC (%) over the windows", header, tuple(rows)))


def standard_rows(run: ExperimentResults, blanks: int) -> list[tuple[Cell, ...]]:
    """Where the timeline extends the published one: what the published windows alone come to."""
    if "standard" not in run.scores:
        return []
    standard, bounds = run.scores["standard"], run.bounds["standard"]
    cells = [shown(standard["means"][p], bounds["means"][p], standard["pairs"][p], mean=True) for p in SHOWN_PERIODS]
    name = Cell(run.name, note=f"the published windows{standard_images(run.scores)}")
    return [(name, *cells, *[Cell("-")] * blanks, bracket(bounds["headline"]["generators"]), Cell("this report"))]


def _means(run: ExperimentResults, strong: bool = False) -> list[Cell]:
    means = run.bounds["means"]
    return [
        shown(mean_over_windows(run.scores, p), means[p], fewest_pairs(run.scores, p), mean=True, strong=strong)
        for p in SHOWN_PERIODS
    ]


def known_columns(table: Table, always: int = 4) -> Table:
    """A table without the columns of which no row knows anything, the first ``always`` aside."""
    kept = [i for i in range(len(table.header)) if i < always or any(row[i].text != "-" for row in table.rows)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, header=tuple(table.header[i] for i in kept), rows=rows)


def baseline_rows(is_benchmark: bool, blanks: int) -> list[tuple[Cell, ...]]:
    """The published baselines, where what they stand beside is the benchmark itself."""
    if not is_benchmark:
        return []
    return [
        (Cell(b.name), *map(shown, (b.past, b.coming, b.whole)), *[Cell("-")] * blanks, Cell(NOTE)) for b in BASELINES
    ]


def bracket(interval: Sequence[float] | None) -> Cell:
    """An interval alone."""
    return Cell(interval_text(interval) or "-", interval=interval, share=True)


def heat_map(run: ExperimentResults) -> Table:
    """AUROC of every generator after every window; cells before the window that brings it are unemphasised."""
    names, entered, matrix = generator_matrix(run.scores)
    foreign, seen = run.experiment.foreign, run.experiment.first.seen_generators or ()
    rows = []
    for name, e, values in zip(names, entered, matrix, strict=True):
        bounds, n = run.bounds["generators"][name], generator_pairs(run, name)
        cells = []
        for k, v in enumerate(values.tolist()):
            known = None if v != v else v
            trained = name in seen if foreign else k >= e
            cells.append(shown(known, bounds[k], n, 1, shade=diverging(known), strong=trained))
        rows.append((Cell(name), Cell(str(e), e), Cell(str(n or "-"), n), *cells))
    header = ("Generator", "Enters", "Pairs", *(str(k) for k in range(matrix.shape[1])))
    return Table("generators", "AUROC (%) of every generator after every window", header, tuple(rows))


def seen_table(run: ExperimentResults) -> Table:
    """AUROC over what a detector that no run of the protocol has trained had seen, and had not; no rows of others."""
    groups = run.scores.get("foreign", {}).get("groups", {})
    rows = tuple(
        (Cell(part, part), shown(g["auroc"], g["interval"], g["pairs"]), Cell(", ".join(g["generators"]) or "none"))
        for part, g in groups.items()
    )
    return Table("seen", "AUROC (%) over what it had seen", ("Seen before?", "AUROC", "Generators"), rows)


def metrics_table(run: ExperimentResults, window: int) -> Table:
    """Every metric of one window."""
    rows = []
    for name in METRICS:
        cells = []
        for period in SHOWN_PERIODS:
            value = run.scores["periods"][period][name][window]
            interval = run.bounds["periods"][period].get(name, [None] * (window + 1))[window]
            cells.append(_metric(name, value, interval, pairs(run.scores, period, window)))
        rows.append((Cell(metric_title(name)), *cells))
        if name == "auroc":
            rows.append(
                (Cell("… interval over other generators"), *(_generators(run, p, window) for p in SHOWN_PERIODS))
            )
    for name in next(iter(run.logged.values()), {}):
        values = [run.logged[period][name][window] for period in SHOWN_PERIODS]
        rows.append((Cell(f"{metric_title(name)}, as the run logged it"), *map(_plain, values)))
    header = ("Metric", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS))
    return Table(f"metrics_window_{window}", f"All metrics after window {window}", header, tuple(rows))


def _generators(run: ExperimentResults, period: str, window: int) -> Cell:
    return bracket(run.bounds["periods"][period]["auroc_generators"][window])


def _plain(value: float | None) -> Cell:
    return Cell("-" if value is None else f"{value:.4f}", value)


def generator_pairs(run: ExperimentResults, name: str) -> int | None:
    """Pairs of a generator's fakes and their reals."""
    counts = [run.scores["generators"][name][n] for n in ("n_fake", "n_real")]
    known = [[int(v) for v in column if v is not None] for column in counts]
    return min(min(column) for column in known) if all(known) else None


def _metric(name: str, value: float | None, interval: Sequence[float] | None, count: int | None) -> Cell:
    if value is None:
        return Cell("-")
    if name in COUNTS:
        return Cell(f"{value:.0f}", value)
    if name in PLAIN:
        note = "" if interval is None else outward(interval, 3)
        return Cell(f"{value:.4f}", value, note, interval=interval, count=count)
    return shown(value, interval, count)
