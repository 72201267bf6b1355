"""Perturbation results as tables and charts, for pages, files and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from aigenbench.evaluation.drawing.chart import FEW, Cell, Chart, Table
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, percent
from aigenbench.evaluation.report.charts import auroc_chart, auroc_series, lower_end
from aigenbench.evaluation.report.shifts import shift_charts, shifts_table
from aigenbench.evaluation.report.tables import diverging, points, shown
from aigenbench.evaluation.robustness.score import Estimate, Family, Result
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.protocol.periods import PERIOD_TITLES

NEXT = "immediate_future"


@dataclass(frozen=True)
class RobustnessView:
    """What a page shows of perturbations; without rows and charts where nothing was evaluated.

    Attributes:
        table: every level beside the clean result.
        windows: Next-period AUROC after every window.
        generators: AUROC of every generator after the last window.
        charts: one a family.
        shifts: how every level moves the logits of reals and of fakes.
        shift_charts: one a family.
    """

    table: Table
    windows: Table
    generators: Table
    charts: tuple[Chart, ...]
    shifts: Table
    shift_charts: tuple[Chart, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that have rows."""
        return tuple(table for table in (self.table, self.shifts, self.windows, self.generators) if table.rows)


def robustness_view(families: Sequence[Family]) -> RobustnessView:
    """Arrange results for a page."""
    return RobustnessView(
        robustness_table(families),
        _windows_table(families),
        _generators_table(families),
        robustness_charts(families),
        shifts_table(families),
        shift_charts(families),
    )


def robustness_charts(families: Sequence[Family]) -> tuple[Chart, ...]:
    """One chart a family: Past, Next and Whole AUROC, clean at the left, then level by level."""
    values = [
        bound
        for family in families
        for result in (family.clean, *family.levels)
        for estimate in result.mean.values()
        if estimate is not None
        for bound in (estimate.value, estimate.interval[0])
        if not isnan(bound)
    ]
    # one scale for all, so that families can be compared
    low = lower_end(100 * min(values, default=0.5))
    return tuple(_chart(family, low) for family in families)


def _chart(family: Family, low: float) -> Chart:
    results = (family.clean, *family.levels)
    series = []
    for period in SHOWN_PERIODS:
        estimates = [result.mean[period] for result in results]
        if not any(estimates):
            continue
        bounds = [_bounds(e) for e in estimates]
        label = f"{PERIOD_TITLES[period]} period"
        tips = [
            f"{label}, {result.label}: {percent(e.value if e else None)} % {interval_text(b)}"
            for result, e, b in zip(results, estimates, bounds, strict=True)
        ]
        values = [None if e is None else e.value for e in estimates]
        counts = [FEW if e is None else e.trials for e in estimates]
        series.append(auroc_series(label, period, values, bounds, counts, tips))
    ticks = tuple((float(i), result.label) for i, result in enumerate(results))
    title = f"{family.title.partition(',')[0].partition(':')[0]} ({_over(family)})"
    return auroc_chart(f"robustness_{family.name}", title, family.title, series, ticks, low, 0.18)


def robustness_table(families: Sequence[Family]) -> Table:
    """Every level beside the clean result: after the last window, and the mean Next-period AUROC and its change."""
    rows = []
    for family in families:
        for result in (family.clean, *family.levels):
            cells = [_cell(result.last[period]) for period in SHOWN_PERIODS]
            rows.append(
                (
                    Cell(family.name, family.name, strong=result is family.clean),
                    Cell(result.label, result.label),
                    Cell(str(family.windows[-1]), family.windows[-1]),
                    *cells,
                    _cell(result.mean[NEXT]),
                    _change(family, result),
                )
            )
    header = ("Family", "Level", "Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Mean Next", "Change")
    return Table("robustness", "AUROC (%) under perturbations", header, tuple(rows))


def _windows_table(families: Sequence[Family]) -> Table:
    windows = sorted({k for family in families for k in family.counted})
    rows = []
    for family in families:
        for result in (family.clean, *family.levels):
            values = [result.windows.get(k, {}).get(NEXT) for k in windows]
            rows.append((Cell(f"{family.name} {result.label}"), *(_shaded(value) for value in values)))
    header = ("Perturbation", *(str(k) for k in windows))
    return Table("robustness_windows", "Next-period AUROC (%) after every window", header, tuple(rows))


def _generators_table(families: Sequence[Family]) -> Table:
    if not families:
        return Table("robustness_generators", "", (), ())
    results = [(family, result) for family in families for result in family.levels]
    rows = []
    for name, clean in families[0].clean.generators.items():
        values = [clean, *(result.generators[name] for _, result in results)]
        rows.append((Cell(name), *(_shaded(value) for value in values)))
    header = ("Generator", "clean", *(f"{family.name} {result.label}" for family, result in results))
    title = "AUROC (%) of every generator after the last window evaluated"
    return Table("robustness_generators", title, header, tuple(rows))


def robustness_text(name: str, families: Sequence[Family]) -> str:
    """The tables for a terminal: AUROC, and the shift of the logits."""
    lines = [f"{name} · validate · AUROC (%) under perturbations", "", *_text(robustness_table(families)), ""]
    lines.append("Past, Next, Whole: after the window named. Mean Next: over the evaluated windows with a Next period.")
    shifts = shifts_table(families)
    lines += ["", shifts.title, "", *_text(shifts), ""]
    lines.append("After the last window evaluated, images of Past and Next. Moved: mean. Now: crossed the score 0.5.")
    return "\n".join(lines)


def _text(table: Table) -> list[str]:
    rows = [table.header, *(tuple(cell.text for cell in row) for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines: list[str] = []
    for i, row in enumerate(rows):
        if i and row[0] != rows[i - 1][0]:
            lines.append("─" * (sum(widths) + 2 * len(widths) - 2))
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        lines.append("  ".join([*cells, *(c.rjust(w) for c, w in zip(row[2:], widths[2:], strict=True))]).rstrip())
    return lines


def _over(family: Family) -> str:
    if len(family.counted) == 1:
        return f"after window {family.counted[0]}"
    return f"mean over windows {', '.join(map(str, family.counted))}"


def _change(family: Family, result: Result) -> Cell:
    clean, perturbed = family.clean.mean[NEXT], result.mean[NEXT]
    if result is family.clean or clean is None or perturbed is None:
        return Cell("-")
    difference, interval = perturbed.change_from(clean)
    return points(difference, interval)


def _bounds(estimate: Estimate | None) -> list[float] | None:
    if estimate is None:
        return None
    low, high = estimate.interval
    return None if isnan(low) else [low, high]


def _cell(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("-")
    return shown(estimate.value, _bounds(estimate), estimate.trials)


def _shaded(value: float | None) -> Cell:
    return shown(value, digits=1, shade=diverging(value), strong=True)
