"""How perturbations move the logits of reals and of fakes, as a table and charts."""

from __future__ import annotations

from collections.abc import Sequence

from aigenbench.evaluation.drawing.chart import Cell, Chart, Series, Table, nice_ticks
from aigenbench.evaluation.report.tables import shown
from aigenbench.evaluation.robustness.score import Family
from aigenbench.evaluation.robustness.shifts import Shift, reading
from aigenbench.evaluation.statistics.intervals import Bounds, outward

_TITLES = {"real": "Reals", "fake": "Fakes"}
_ROLES = {"real": "real", "fake": "immediate_future"}


def shifts_table(families: Sequence[Family]) -> Table:
    """Every level: how far reals and fakes move, and the share of each that crosses the threshold 0.5."""
    rows = []
    for family in families:
        for result in family.levels:
            real, fake = result.shifts.get("real"), result.shifts.get("fake")
            rows.append(
                (
                    Cell(family.name, family.name),
                    Cell(result.label, result.label),
                    *_moved(real),
                    *_moved(fake),
                    _crossed(real, "to_fake"),
                    _crossed(fake, "to_real"),
                    Cell(reading(result.shifts) or "-"),
                )
            )
    header = (
        "Family",
        "Level",
        *(f"{title} {what}" for title in _TITLES.values() for what in ("moved", "median")),
        "Reals now fake (%)",
        "Fakes now real (%)",
        "What moves",
    )
    return Table("robustness_shifts", "Shift of the logits from clean, towards fake positive", header, tuple(rows))


def shift_charts(families: Sequence[Family]) -> tuple[Chart, ...]:
    """One chart a family: the mean shift of reals and of fakes, level by level, all on one scale."""
    ends = [
        bound
        for family in families
        for result in family.levels
        for shift in result.shifts.values()
        if shift is not None
        for bound in (shift.mean, *(shift.mean_interval or ()))
    ]
    low, high = min([*ends, -0.5]), max([*ends, 0.5])
    margin = 0.05 * (high - low)
    return tuple(_chart(family, (low - margin, high + margin)) for family in families if _known(family))


def _known(family: Family) -> bool:
    return any(shift is not None for result in family.levels for shift in result.shifts.values())


def _chart(family: Family, y_range: tuple[float, float]) -> Chart:
    ends = (-0.35, len(family.levels) + 0.35)
    series = [Series("unmoved", ends, (0.0, 0.0), "guide", dashed=True)]
    for name, title in _TITLES.items():
        shifts = [result.shifts.get(name) for result in family.levels]
        labels = ["clean", *(result.label for result in family.levels)]
        values = [0.0, *(None if s is None else s.mean for s in shifts)]
        bounds = [None, *(None if s is None else s.mean_interval for s in shifts)]
        lows, highs = ([None if b is None else b[side] for b in bounds] for side in (0, 1))
        tips = [
            f"{title}, {label}: {_signed(v)} {_bracket(b)}" for label, v, b in zip(labels, values, bounds, strict=True)
        ]
        line = Series(title, range(len(values)), values, _ROLES[name], lows, highs, markers=True, tips=tips)
        # side by side, as they may be the same
        series.append(line.shifted(-0.04 if name == "real" else 0.04))
    ticks = tuple((float(i), label) for i, label in enumerate(["clean", *(r.label for r in family.levels)]))
    short = family.title.partition(",")[0].partition(":")[0]
    title = f"{short}: mean shift of the logits (after window {family.windows[-1]})"
    y_ticks = nice_ticks(*y_range)
    label = "towards real · towards fake"
    return Chart(f"shift_{family.name}", title, family.title, label, tuple(series), ends, y_range, ticks, y_ticks)


def _moved(shift: Shift | None) -> tuple[Cell, Cell]:
    if shift is None:
        return Cell("-"), Cell("-")
    return _logits(shift.mean, shift.mean_interval), _logits(shift.median, shift.median_interval)


def _logits(value: float, interval: Bounds) -> Cell:
    return Cell(_signed(value), value, _bracket(interval), interval=interval)


def _crossed(shift: Shift | None, way: str) -> Cell:
    if shift is None:
        return Cell("-")
    return shown(getattr(shift, way), getattr(shift, f"{way}_interval"), digits=1)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _bracket(interval: Bounds) -> str:
    return "" if interval is None else outward(interval, 2, "+")
