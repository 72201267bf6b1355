"""The tables of a report that tell what is derived: change over time, thresholds carried, calibration, classes."""

from __future__ import annotations

from collections.abc import Sequence

from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.drawing.table import pairs
from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.report.tables import generator_pairs, metric_title, points, shown
from aigenbench.evaluation.statistics.breakdown import ORIGINS, SIZES, Classes
from aigenbench.evaluation.statistics.calibration import METHODS
from aigenbench.evaluation.statistics.intervals import bounds, delong, wilson
from aigenbench.evaluation.statistics.thresholds import RATES as CARRIED_RATES
from aigenbench.protocol.published import windows_with_next

PERIODS = {"past": "growing", "next": "immediate_future"}
TRANSFER_TITLES = {
    "forgetting": "Forgetting",
    "backward_transfer": "Backward transfer",
    "forward_transfer": "Forward transfer",
}


def over_time_table(run: ExperimentResults) -> Table:
    """What happens over the windows, in one number each."""
    found, intervals = run.over_time, run.bounds.get("over_time", {"mean": {}})
    rows = [
        (Cell(f"{title}, mean over generators"), points(found["mean"][m], intervals["mean"].get(m)))
        for m, title in TRANSFER_TITLES.items()
    ]
    rows.append(
        (Cell("Drop at a new family, mean over windows"), points(found["mean_drop"], intervals.get("mean_drop")))
    )
    rows.append((Cell("Area under the Next curve, a window"), shown(found["area"], intervals.get("area"))))
    return Table("over_time", "Over time (AUROC points)", ("Measure", "Value"), tuple(rows))


def drop_table(run: ExperimentResults) -> Table:
    """What each new family of generators costs: Past less Next AUROC."""
    windows, drops = run.scores["windows"], run.over_time["drop"]
    bounds = run.bounds.get("over_time", {}).get("drop", [None] * len(drops))
    rows = [
        (Cell(str(k), k), Cell(", ".join(windows[k + 1])), points(drops[k], bounds[k], _least(run, k)))
        for k in windows_with_next(len(drops))
    ]
    header = ("Window", "New generators", "Past - Next (points)")
    return Table("drops", "The drop at each new family", header, tuple(rows))


def transfer_table(run: ExperimentResults) -> Table:
    """Forgetting and transfer of every generator."""
    intervals = run.bounds.get("over_time", {"generators": {}, "mean": {}})
    rows = []
    for name, v in run.over_time["generators"].items():
        own, n = intervals["generators"].get(name, {}), generator_pairs(run, name)
        cells = (points(v[m], own.get(m), n) for m in TRANSFER_TITLES)
        rows.append((Cell(name), Cell(str(v["entered"]), v["entered"]), *cells))
    means = (points(run.over_time["mean"][m], intervals["mean"].get(m), strong=True) for m in TRANSFER_TITLES)
    rows.append((Cell("mean", strong=True), Cell("-"), *means))
    header = ("Generator", "Enters", *TRANSFER_TITLES.values())
    return Table("transfer", "Forgetting and transfer (AUROC points)", header, tuple(rows))


def carried_table(run: ExperimentResults) -> Table:
    """The threshold of 5 % false positives on the Past period, applied to the Next."""
    rows = []
    for point in run.carried:
        cells = [
            shown(point[side][m], point[f"{side}_intervals"][m], pairs(run.scores, PERIODS[side], point["window"]))
            for m in CARRIED_RATES
            for side in ("past", "next")
        ]
        rows.append((Cell(str(point["window"]), point["window"]), *cells))
    header = (
        "Window",
        *(f"{m}, {side}" for m in ("Recall", "FPR", "Balanced acc.") for side in ("Past", "Next")),
    )
    return Table("carried_forward", "A threshold carried forward (%)", header, tuple(rows))


def calibration_table(run: ExperimentResults) -> Table:
    """Calibration error before and after scaling."""
    rows = []
    intervals = {entry["window"]: entry for entry in run.bounds.get("calibration", [])}
    for entry in (calibrated.measured() for calibrated in run.calibrated):
        k, temperature = entry["window"], entry["temperature"]
        cells = [Cell(str(k), k), Cell(f"{temperature:.2f}", temperature)]
        for side in ("past", "next"):
            for method in METHODS:
                interval = intervals[k][side][method]["ece"] if k in intervals else None
                cells.append(shown(entry[side][method]["ece"], interval, pairs(run.scores, PERIODS[side], k)))
        rows.append(tuple(cells))
    header = (
        "Window",
        "Temperature",
        *(f"{side}, {m}" for side in ("Past", "Next") for m in ("as is", "temperature", "Platt")),
    )
    return Table("calibration", "Expected calibration error (%)", header, tuple(rows))


def multiclass_table(run: ExperimentResults) -> Table:
    """Which generator it was, as far as a multiclass detector tells; no rows for a binary one."""
    found, intervals = run.scores["multiclass"] or {}, run.bounds.get("multiclass") or {}
    nothing = [None] * run.experiment.n_windows
    rows = tuple(
        (Cell(str(k), k), *(shown(v[k], intervals.get(name, nothing)[k]) for name, v in found.items()))
        for k in (range(run.experiment.n_windows) if found else ())
    )
    header = ("Window", *(metric_title(name) for name in found))
    return Table("multiclass", "Naming the generator, Past period (%)", header, rows)


def _least(run: ExperimentResults, window: int) -> int | None:
    known = [n for period in PERIODS.values() if (n := pairs(run.scores, period, window))]
    return min(known, default=None)


def breakdowns(classes: Classes, window: int) -> tuple[Table, ...]:
    """False positives by origin after every window, and rates and AUROC by size after ``window``."""
    tables = []
    if ORIGINS in classes:
        rows = [_origin_row(name, windows) for name, windows in classes[ORIGINS].items()]
        n_windows = len(next(iter(classes[ORIGINS].values()), ()))
        header = ("Origin", "Reals", *(str(k) for k in range(n_windows)))
        tables.append(
            Table("origins", "False positives (%) by origin of the real, after every window", header, tuple(rows))
        )
    if SIZES in classes:
        rows = [_size_row(name, group) for name, windows in classes[SIZES].items() if (group := windows[window])]
        header = ("Image size", "Reals", "FPR (%)", "Fakes", "Recall (%)", "AUROC (%)")
        tables.append(Table("sizes", f"By image size after window {window}", header, tuple(rows)))
    return tuple(tables)


def _origin_row(name: str, windows: Sequence[Group | None]) -> tuple[Cell, ...]:
    n = next(g.n for g in windows if g)
    rates = (_rate(g.confusion[1], g.n_reals) if g else Cell("-") for g in windows)
    return (Cell(name or "not given"), Cell(f"{n:,}", n), *rates)


def _size_row(name: str, group: Group) -> tuple[Cell, ...]:
    tp, fp, _, _ = group.confusion
    reals, fakes = group.n_reals, group.n_fakes
    area = shown(auroc(group), bounds(delong(group))) if group.both_classes else Cell("-")
    return (
        Cell(name),
        Cell(f"{reals:,}", reals),
        _rate(fp, reals),
        Cell(f"{fakes:,}", fakes),
        _rate(tp, fakes),
        area,
    )


def _rate(hits: int, n: int) -> Cell:
    return shown(hits / n, bounds(wilson(hits, n))) if n else Cell("-")
