"""Charts as SVG: no script needed, colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from aigenbench.evaluation.chart import Chart, Series

WIDTH = 640.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 46.0


def svg(chart: Chart) -> str:
    """Draw ``chart``: a responsive ``<svg>`` whose colours are classes named after the roles of its series."""
    height = WIDTH if chart.square else 340.0
    frame = _Frame(chart, height)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(chart.title)}">',
        *_axes(chart, frame),
        *(band for s in chart.series for band in _bands(s, frame)),
        *(line for s in chart.series for line in _line(s, frame)),
        *(mark for s in chart.series for mark in _marks(s, frame)),
        "</svg>",
    ]
    return "\n".join(parts)


class _Frame:
    """Where data lie on the drawing."""

    def __init__(self, chart: Chart, height: float) -> None:
        self.x0, self.x1 = LEFT, WIDTH - RIGHT
        self.y0, self.y1 = height - BOTTOM, TOP
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
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{frame.y0 + 18:.1f}" text-anchor="middle">{escape(label)}</text>'
        )
    middle = (frame.x0 + frame.x1) / 2
    parts.append(f'<line class="axis" x1="{frame.x0}" x2="{frame.x1}" y1="{frame.y0}" y2="{frame.y0}"/>')
    parts.append(
        f'<text class="label" x="{middle:.1f}" y="{frame.y0 + 38:.1f}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>"
    )
    centre = (frame.y0 + frame.y1) / 2
    parts.append(
        f'<text class="label" transform="translate(13 {centre:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


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
            title = f"<title>{tip}</title>" if tip else ""
            marks.append(f'<circle class="mark {series.role}" {at} r="4.5" tabindex="0">{title}</circle>')
    return marks
