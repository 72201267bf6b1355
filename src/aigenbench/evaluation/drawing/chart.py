"""Charts as data: drawn as SVG into pages and by matplotlib for papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

Tick = tuple[float, str]

FEW = 30
"""Pairs of a fake and a real; intervals of fewer are greyed: they say little, themselves included."""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: as the legend calls it.
        x, y: points; the line breaks at a y of None.
        role: names the colour: ``growing``, ``immediate_future``, ``growing_whole``, ``guide``, or ``run0`` ...
        low, high: a band around the line, as long as ``y``.
        markers: whether points are marked.
        dashed: whether the line is dashed.
        tips: what a reader sees on pointing at each point; empty for none.
        few: which points stand on fewer than ``FEW`` pairs, so that their intervals are greyed; empty for none.
        name: written beside each marked point.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    role: str
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    markers: bool = False
    dashed: bool = False
    tips: Sequence[str] = ()
    few: Sequence[bool] = ()
    name: str = ""

    def shifted(self, by: float) -> Series:
        """The same, moved along x."""
        return replace(self, x=[x + by for x in self.x])


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: file name without ending.
        title: what it shows.
        x_label, y_label: of the axes.
        series: drawn in this order; ``guide`` series are left out of the legend.
        x_range, y_range: ends of the axes.
        x_ticks, y_ticks: (position, label); a label may have several lines.
        square: whether both axes are equally long.
        whiskers: whether intervals are drawn as whiskers, not as bands.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    square: bool = False
    whiskers: bool = False

    @property
    def legend(self) -> tuple[Series, ...]:
        """The series that the legend names, each label once."""
        return tuple({s.label: s for s in self.series if s.role != "guide"}.values())


@dataclass(frozen=True)
class Span:
    """One row of a forest plot.

    Attributes:
        label: what is measured.
        value: the measure.
        inner, outer: a narrower and a wider interval around it, None where there is none.
        text: the numbers, as they are shown beside the label.
    """

    label: str
    value: float
    inner: tuple[float, float] | None
    outer: tuple[float, float] | None
    text: str


@dataclass(frozen=True)
class Forest:
    """Measures with intervals below each other, on one scale with a line at zero.

    Attributes:
        name: file name without ending.
        title: what it shows.
        x_label: of the scale.
        rows: from above.
    """

    name: str
    title: str
    x_label: str
    rows: tuple[Span, ...]

    @property
    def reach(self) -> float:
        """How far the scale reaches on both sides of zero."""
        ends = [abs(v) for row in self.rows for v in (row.value, *(row.inner or ()), *(row.outer or ()))]
        return 1.08 * max([*ends, 1e-3])


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: as it is shown.
        value: as it is sorted and exported; None where there is none.
        note: a second, smaller line, such as an interval.
        shade: -1..1 where the cell is coloured by its value: 0 is chance.
        strong: whether it is emphasised.
        interval: the interval that ``note`` tells, in the unit of ``value``.
        count: how many pairs of a fake and a real ``value`` stands on, where that is told.
        share: whether ``value`` is a share of one, which pages show in per cent.
        mean: whether ``count`` is that of the smallest of the windows that ``value`` is a mean over.
    """

    text: str
    value: float | str | None = None
    note: str = ""
    shade: float | None = None
    strong: bool = False
    interval: Sequence[float] | None = None
    count: int | None = None
    share: bool = False
    mean: bool = False

    @property
    def few(self) -> bool:
        """Whether it stands on so few pairs that its interval is greyed."""
        return self.count is not None and self.count < FEW

    @property
    def exported(self) -> float | str:
        """What stands in a CSV file."""
        if self.value is None:
            return "" if self.text == "-" else self.text
        return self.value


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: file name without ending.
        title: what it shows.
        header: titles of the columns.
        rows: as many cells as there are columns; the first names the row.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def nice_ticks(low: float, high: float, about: int = 5, suffix: str = "") -> tuple[Tick, ...]:
    """Round numbers between ``low`` and ``high``, some ``about`` of them."""
    span = max(high - low, 1e-9)
    step = 10.0 ** _floor_log10(span / about)
    for factor in (1, 2, 2.5, 5, 10):
        if span / (step * factor) <= about:
            step *= factor
            break
    first = -int(-low // step)
    ticks = []
    while first * step <= high + 1e-9:
        value = round(first * step, 10)
        ticks.append((value, f"{value:g}{suffix}"))
        first += 1
    return tuple(ticks)


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
