"""Quality against compute: which models are dominated, and where the difference is within noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from aigenbench import __version__, files
from aigenbench.evaluation.drawing.chart import Cell, Chart, Series, Tick, nice_ticks
from aigenbench.evaluation.drawing.chart import Table as ChartTable
from aigenbench.evaluation.drawing.plots import draw_chart
from aigenbench.evaluation.predictions.standing import Standing
from aigenbench.evaluation.report.compute import MEASURES, short
from aigenbench.evaluation.report.export import as_csv
from aigenbench.evaluation.report.pages import environment, resource
from aigenbench.evaluation.report.tables import points as in_points
from aigenbench.evaluation.report.tables import shown
from aigenbench.evaluation.statistics.compare import p_text
from aigenbench.evaluation.statistics.intervals import Bounds, interval_text

LARGEST_P = 0.05
NEXT = "immediate_future"


@dataclass(frozen=True)
class Point:
    """A model with what it reaches and what it took.

    Attributes:
        name: of the model.
        runs: how many trainings it is the mean over.
        value: Next-period AUROC, mean over the windows that have one, 0..1; None where there is none.
        interval: of 95 %, over images.
        cost: by measure; see ``cost_of``. The mean over its trainings.
        dominated: whether another costs no more and is no worse, and one of both is better.
        against: the model that it is compared with: the best of those that dominate it, else the next cheaper one
            that is not dominated; "" where there is none.
        difference: of its value from that one's.
        difference_interval: over images, and seeds where both have several.
        p: two-sided, Holm-corrected for all pairs of models.
        verdict: what follows, in a few words.
    """

    name: str
    runs: int
    value: float | None
    interval: Bounds
    cost: Mapping[str, float]
    dominated: bool = False
    against: str = ""
    difference: float | None = None
    difference_interval: Bounds = None
    p: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Frontier:
    """Models by what they took and reach.

    Attributes:
        measure: of compute, one of ``MEASURES``.
        points: cheapest first; those without that measure last.
        notes: what a reader should know, one line each.
        standings: what the results stand on, and whose they are where that differs.
        replicates: draws of the intervals.
    """

    measure: str
    points: tuple[Point, ...]
    notes: tuple[str, ...]
    standings: tuple[tuple[Standing, str], ...]
    replicates: int

    @property
    def chart(self) -> Chart:
        """The models as points, and the line that no model is above at its cost."""
        return frontier_chart(self.measure, [p for p in self.points if _is_placed(p, self.measure)])

    @property
    def table(self) -> ChartTable:
        """A row a model, numbered as in the chart."""
        return frontier_table(self.measure, self.points)

    def __str__(self) -> str:
        lines = [f"Next-period AUROC (%) against {MEASURES[self.measure]}, cheapest first", ""]
        width = max(len(p.name) for p in self.points)
        for p in self.points:
            cost = short(p.cost[self.measure]) if self.measure in p.cost else "-"
            value = "-" if p.value is None else f"{100 * p.value:.2f} {interval_text(p.interval)}"
            lines.append(f"  {p.name:<{width}}  {cost:>8}  {value}  {p.verdict}")
        return "\n".join([*lines, *(["", *(f"note: {note}" for note in self.notes)] if self.notes else [])])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        fields = [{**vars(p), "cost": dict(p.cost)} for p in self.points]
        return {"measure": self.measure, "points": fields, "notes": list(self.notes)}

    def write(self, page: Path) -> tuple[Path, ...]:
        """Write the page, and its chart as PNG and table as CSV beside it."""
        picture, table = page.with_suffix(".png"), page.with_suffix(".csv")
        made = environment().get_template("frontier.html")
        text = made.render(found=self, style=resource("style.css"), script=resource("script.js"), version=__version__)
        draw_chart(self.chart, picture)
        files.write_text(table, as_csv(self.table))
        files.write_text(page, text)
        return page, picture, table


def judged(points: Sequence[Point], differences: Sequence[Mapping[str, Any]], measure: str) -> tuple[Point, ...]:
    """Say of each point whether it is dominated, and what the difference is worth.

    Args:
        points: the models.
        differences: of every two, as ``compare_models`` gives them.
        measure: of compute.
    """
    placed = sorted((p for p in points if _is_placed(p, measure)), key=lambda p: (p.cost[measure], -(p.value or 0)))
    others = [p for p in points if not _is_placed(p, measure)]
    best = [p for p in placed if not any(_dominates(q, p, measure) for q in placed)]
    found = []
    for p in placed:
        above = [q for q in best if _dominates(q, p, measure)]
        cheaper = [q for q in best if q.cost[measure] < p.cost[measure]]
        against = max(above, key=_value) if above else cheaper[-1] if cheaper else None
        found.append(_compared(p, bool(above), against, differences, measure))
    untold = [Point(**{**vars(p), "verdict": f"{MEASURES[measure]} not counted"}) for p in others]
    return (*found, *untold)


def _is_placed(point: Point, measure: str) -> bool:
    return point.value is not None and measure in point.cost


def _value(point: Point) -> float:
    return point.value or 0.0


def _dominates(a: Point, b: Point, measure: str) -> bool:
    costs, values = (a.cost[measure], b.cost[measure]), (_value(a), _value(b))
    return costs[0] <= costs[1] and values[0] >= values[1] and (costs[0] < costs[1] or values[0] > values[1])


def _compared(
    point: Point, dominated: bool, other: Point | None, differences: Sequence[Mapping[str, Any]], measure: str
) -> Point:
    if other is None:
        return Point(**{**vars(point), "verdict": "the best at the lowest cost"})
    entry = next(d for d in differences if {d["a"], d["b"]} == {point.name, other.name})
    both, sign = entry["both"] or entry, 1 if entry["a"] == point.name else -1
    interval = both["interval"] and sorted(sign * bound for bound in both["interval"])
    p = entry["p_holm"]
    difference = None if entry["difference"] is None else sign * entry["difference"]
    within = p is None or p > LARGEST_P
    times = point.cost[measure] / other.cost[measure] if other.cost[measure] else None
    at = "at the same cost" if times == 1 else f"at {times:.3g} times the cost" if times else "at more cost"
    if dominated:
        verdict = f"dominated by {other.name}, {at}" + ("; the difference is within noise" if within else "")
    else:
        verdict = f"better than {other.name}, {at}" + (", but within noise" if within else "")
    judgement = {"against": other.name, "difference": difference, "difference_interval": interval, "p": p}
    return Point(**{**vars(point), "dominated": dominated, **judgement, "verdict": verdict})


def frontier_table(measure: str, points: Sequence[Point]) -> ChartTable:
    """A row a model, numbered as in the chart."""
    known = [name for name in MEASURES if any(name in p.cost for p in points)]
    costs = [measure, *(name for name in known if name != measure)]
    header = ("Model", "Next AUROC", *(MEASURES[name] for name in costs), "Difference (points)", "p, Holm", "Verdict")
    rows = []
    for i, p in enumerate(points, 1):
        is_placed = _is_placed(p, measure)
        trainings = f"{p.runs} trainings" if p.runs > 1 else ""
        name = Cell(f"{i} {p.name}" if is_placed else p.name, note=trainings, strong=is_placed and not p.dominated)
        cells = (Cell(short(p.cost[c]), p.cost[c]) if c in p.cost else Cell("-") for c in costs)
        tested = Cell("-") if p.p is None else Cell(p_text(p.p), p.p)
        judgement = (in_points(p.difference, p.difference_interval), tested, Cell(p.verdict))
        rows.append((name, shown(p.value, p.interval), *cells, *judgement))
    return ChartTable("frontier", "Models, cheapest first", header, tuple(rows))


def frontier_chart(measure: str, points: Sequence[Point]) -> Chart:
    """Points numbered in their order, over a logarithmic scale of compute."""
    costs = [p.cost[measure] for p in points]
    ends, ticks = _scale(costs)
    xs = [_place(cost, ends[0]) for cost in costs]
    best = [(x, 100 * _value(p)) for x, p in zip(xs, points, strict=True) if not p.dominated]
    steps = [(x, y) for (x, _), (_, y) in zip(best[1:], best, strict=False)]
    line = sorted([*best, *steps, (ends[1], best[-1][1])])
    series = [Series("", [x for x, _ in line], [y for _, y in line], "guide", dashed=True)]
    for i, (x, p) in enumerate(zip(xs, points, strict=True), 1):
        role = "growing_whole" if p.dominated else "immediate_future"
        low, high = ([100 * p.interval[side]] if p.interval else [None] for side in (0, 1))
        tip = f"{p.name}: {100 * _value(p):.2f} % {interval_text(p.interval)}, {short(p.cost[measure])} {p.verdict}"
        series.append(
            Series(f"{i} {p.name}", [x], [100 * _value(p)], role, low, high, markers=True, tips=[tip], name=str(i))
        )
    lowest = min(v for s in series for v in (*s.y, *s.low) if v is not None)
    highest = max(v for s in series for v in (*s.y, *s.high) if v is not None)
    pad = max(0.06 * (highest - lowest), 0.2)
    y_range = (max(0.0, lowest - pad), min(100.5, highest + pad))
    title = f"Next-period AUROC against {MEASURES[measure]}"
    label = f"{MEASURES[measure]} of training, logarithmic"
    y_ticks = nice_ticks(*y_range)
    return Chart("frontier", title, label, "AUROC (%)", tuple(series), ends, y_range, ticks, y_ticks, whiskers=True)


def _place(cost: float, left: float) -> float:
    return log10(cost) if cost > 0 else left + 0.1


def _scale(costs: Sequence[float]) -> tuple[tuple[float, float], tuple[Tick, ...]]:
    """Ends and ticks of a logarithmic scale; what costs nothing stands at its left end."""
    positive = [cost for cost in costs if cost > 0] or [1.0]
    low, high = log10(min(positive)), log10(max(positive))
    # of 1, 2 and 5, one is always in sight
    pad = 0.08 * (high - low) + 0.2
    free = 0 in costs
    ends = (low - pad - (0.4 if free else 0), high + pad)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        decades = range(floor(low - pad), ceil(high + pad) + 1)
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [value for value in values if low - pad <= log10(value) <= high + pad]
        if len(inside) <= 7:
            break
    ticks = [(log10(value), short(value)) for value in inside[:: ceil(len(inside) / 7)]]
    return ends, tuple([(ends[0] + 0.1, "0")] * free + ticks)
