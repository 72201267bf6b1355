"""Charts as SVG: no script needed, colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from aigenbench.evaluation.drawing.chart import Chart, Forest, Series, Span, nice_ticks

WIDTH = 640.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 46.0
LINE = 12.5
"""Height of a further line of a label below the x axis."""
CAP = 3.5
"""Half the width of a whisker's end."""


def svg(chart: Chart | Forest) -> str:
    """Draw ``chart``: a responsive ``<svg>`` whose colours are classes named after the roles of its series."""
    if isinstance(chart, Forest):
        return _forest(chart)
    frame = _Frame(chart)
    # points that take the focus are no part of an image
    role = "group" if any(s.markers for s in chart.series) else "img"
    box = f"0 0 {WIDTH:g} {frame.height:g}"
    parts = [
        f'<svg class="chart" viewBox="{box}" role="{role}" aria-label="{escape(chart.title)}">',
        *_axes(chart, frame),
        *(band for s in chart.series for band in (_whiskers if chart.whiskers else _bands)(s, frame)),
        *(line for s in chart.series for line in _line(s, frame)),
        *_guide_labels(chart, frame),
        *(mark for s in chart.series for mark in _marks(s, frame)),
        "</svg>",
    ]
    return "\n".join(parts)


class _Frame:
    """Where data lie on the drawing."""

    def __init__(self, chart: Chart) -> None:
        labels = LINE * max((label.count("\n") for _, label in chart.x_ticks), default=0)
        self.height = (WIDTH if chart.square else 340.0) + labels
        self.x0, self.x1 = LEFT, WIDTH - RIGHT
        self.y0, self.y1 = self.height - BOTTOM - labels, TOP
        self.label = self.height - BOTTOM + 38
        self.x_range, self.y_range = chart.x_range, chart.y_range

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.x0 + (self.x1 - self.x0) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.y_range
        at = self.y0 + (self.y1 - self.y0) * (value - low) / (high - low)
        return min(max(at, self.y1 - 2), self.y0 + 2)


def _axes(chart: Chart, frame: _Frame) -> list[str]:
    parts = []
    for value, label in chart.y_ticks:
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{frame.x0:.1f}" x2="{frame.x1:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{frame.x0 - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        )
    for value, label in chart.x_ticks:
        x = frame.x(value)
        if chart.square:
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y0:.1f}" y2="{frame.y1:.1f}"/>')
        parts += _tick(label, x, frame.y0 + 18)
    middle = (frame.x0 + frame.x1) / 2
    parts.append(f'<line class="axis" x1="{frame.x0}" x2="{frame.x1}" y1="{frame.y0}" y2="{frame.y0}"/>')
    parts.append(
        f'<text class="label" x="{middle:.1f}" y="{frame.label:.1f}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>"
    )
    centre = (frame.y0 + frame.y1) / 2
    parts.append(
        f'<text class="label" transform="translate(13 {centre:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


def _tick(label: str, x: float, y: float) -> list[str]:
    first, *more = label.split("\n")
    texts = [f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(first)}</text>']
    for i, line in enumerate(more):
        # a narrow page has room for the year of a date, and for no names
        kind = "tick date" if i == 0 else "tick name"
        at = f'x="{x:.1f}" y="{y + LINE * (i + 1):.1f}" text-anchor="middle"'
        texts.append(f'<text class="{kind}" {at}>{escape(line)}</text>')
    if more and more[0]:
        at = f'x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle"'
        texts.append(f'<text class="tick year" {at}>&#8217;{escape(more[0][2:4])}</text>')
    return texts


def _guide_labels(chart: Chart, frame: _Frame) -> list[str]:
    if chart.square:
        return []
    return [
        f'<text class="guide-label" x="{frame.x1:.1f}" y="{frame.y(s.y[-1]) - 4:.1f}" text-anchor="end">'
        f"{escape(s.label)}</text>"
        for s in chart.series
        if s.role == "guide" and s.y[-1] is not None
    ]


def _whiskers(series: Series, frame: _Frame) -> list[str]:
    drawn = []
    for i, (low, high) in enumerate(zip(series.low, series.high, strict=True)):
        if low is not None and high is not None:
            x, top, bottom = frame.x(series.x[i]), frame.y(high), frame.y(low)
            few = " few" if series.few and series.few[i] else ""
            drawn.append(
                f'<path class="whisker {series.role}{few}" d="M{x:.1f} {top:.1f}V{bottom:.1f}'
                f'M{x - CAP:.1f} {top:.1f}h{2 * CAP}M{x - CAP:.1f} {bottom:.1f}h{2 * CAP}"/>'
            )
    return drawn


def _runs(series: Series, values: Sequence[Sequence[float | None]]) -> list[list[int]]:
    """Stretches of points at which all of ``values`` are known."""
    runs: list[list[int]] = [[]]
    for i in range(len(series.x)):
        if all(v[i] is not None for v in values):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(series: Series, ys: Sequence[float | None], rows: Sequence[int], frame: _Frame) -> str:
    return " ".join(f"{frame.x(series.x[i]):.1f},{frame.y(ys[i] or 0.0):.1f}" for i in rows)


def _bands(series: Series, frame: _Frame) -> list[str]:
    if not series.low:
        return []
    return [
        f'<polygon class="band {series.role}" points="{_path(series, series.high, run, frame)} '
        f'{_path(series, series.low, run[::-1], frame)}"/>'
        for run in _runs(series, (series.low, series.high))
    ]


def _line(series: Series, frame: _Frame) -> list[str]:
    kind = "line dashed" if series.dashed else "line"
    return [
        f'<polyline class="{kind} {series.role}" points="{_path(series, series.y, run, frame)}"/>'
        for run in _runs(series, (series.y,))
    ]


def _marks(series: Series, frame: _Frame) -> list[str]:
    if not series.markers:
        return []
    marks = []
    for i, y in enumerate(series.y):
        if y is not None:
            tip = escape(series.tips[i]) if series.tips else ""
            at = f'cx="{frame.x(series.x[i]):.1f}" cy="{frame.y(y):.1f}"'
            told = f' tabindex="0" role="img" aria-label="{tip}"><title>{tip}</title>' if tip else ">"
            marks.append(f'<circle class="mark {series.role}" {at} r="4.5"{told}</circle>')
            if series.name:
                place = f'x="{frame.x(series.x[i]) + 7:.1f}" y="{frame.y(y) - 5:.1f}"'
                marks.append(f'<text class="label" {place}>{escape(series.name)}</text>')
    return marks


ROW = 46.0


def _forest(chart: Forest) -> str:
    height = TOP + ROW * len(chart.rows) + BOTTOM
    low, high = 12.0, WIDTH - 12.0
    middle, reach = (low + high) / 2, chart.reach

    def x(value: float) -> float:
        return middle + (high - low) / 2 * value / reach

    bottom = TOP + ROW * len(chart.rows) + 6
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="group" aria-label="{escape(chart.title)}">']
    for value, label in nice_ticks(-100 * reach, 100 * reach, 6):
        at = x(value / 100)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{escape(label)}</text>'
        )
    parts.append(f'<line class="zero" x1="{middle}" x2="{middle}" y1="{TOP}" y2="{bottom:.1f}"/>')
    parts += [part for i, row in enumerate(chart.rows) for part in _span(row, TOP + ROW * i, x)]
    parts.append(
        f'<text class="label" x="{middle}" y="{bottom + 34:.1f}" text-anchor="middle">{escape(chart.x_label)}</text>'
    )
    return "\n".join([*parts, "</svg>"])


def _span(row: Span, top: float, x: Callable[[float], float]) -> list[str]:
    y = top + 31
    parts = [
        f'<text class="label" x="14" y="{top + 17:.1f}">{escape(row.label)}</text>',
        f'<text class="tick" x="{WIDTH - 14}" y="{top + 17:.1f}" text-anchor="end">{escape(row.text)}</text>',
    ]
    for kind, interval in (("outer", row.outer), ("inner", row.inner)):
        if interval:
            ends = f'x1="{x(interval[0]):.1f}" x2="{x(interval[1]):.1f}"'
            parts.append(f'<line class="span {kind} run1" {ends} y1="{y}" y2="{y}"/>')
    tip = escape(f"{row.label}: {row.text}")
    at = f'cx="{x(row.value):.1f}" cy="{y}"'
    told = f'tabindex="0" role="img" aria-label="{tip}"'
    parts.append(f'<circle class="mark run1" {at} r="5.5" {told}><title>{tip}</title></circle>')
    return parts
