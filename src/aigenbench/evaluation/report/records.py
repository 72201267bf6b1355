"""What a run recorded of itself: versions, hardware, time and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.report.compute import MEASURES, cost_of, short

PER_WINDOW = {
    "started": "Started",
    "seconds": "Training (s)",
    "embedding_seconds": "Embedding (s)",
    **{name: title for name, title in MEASURES.items() if name != "seconds"},
}
"""What differs from window to window, and its title: entries, and measures of compute."""

LASTING = (
    "host",
    "processors",
    "threads",
    "device",
    "devices",
    "precision",
    "trained_parameters",
    "aigenbench",
    "python",
)
"""Entries that a run usually has once."""

Records = Mapping[int, Mapping[str, Any]]
"""A record a window."""


def times_table(records: Records) -> Table:
    """When each window was trained and what it took, with the sums; no rows where nothing is known."""
    records = {k: {**cost_of([record]), **record} for k, record in records.items()}
    names = [name for name in PER_WINDOW if any(name in record for record in records.values())]
    rows = [
        (Cell(str(k), k), *(_cell(name, record.get(name)) for name in names)) for k, record in records.items() if names
    ]
    if len(rows) > 1:
        sums = (_cell(n, _total(records, n)) if n != "started" else Cell("-") for n in names)
        rows.append((Cell("sum", len(rows), strong=True), *sums))
    return Table("times", "Time and compute", ("Window", *(PER_WINDOW[name] for name in names)), tuple(rows))


def versions_table(records: Records) -> Table:
    """Versions and hardware; where windows differ, every value in the order of the windows."""
    flat = [{**{n: r[n] for n in LASTING if n in r}, **r.get("packages", {})} for r in records.values()]
    names = list(dict.fromkeys(name for record in flat for name in record))
    rows = []
    for name in names:
        values = dict.fromkeys(str(record[name]) for record in flat if name in record)
        rows.append((Cell(name.replace("_", " ")), Cell(", then ".join(values))))
    return Table("versions", "Versions and hardware", ("What", "Value"), tuple(rows))


def _cell(name: str, value: Any) -> Cell:
    if value is None:
        return Cell("-")
    if name == "started" or not isinstance(value, int | float):
        return Cell(str(value).partition("+")[0].replace("T", " "))
    return Cell(short(value) if name in MEASURES and name != "seconds" else f"{value:,.1f}", float(value))


def _total(records: Records, name: str) -> float | None:
    values = [record[name] for record in records.values() if isinstance(record.get(name), int | float)]
    return sum(values) if len(values) == len(records) else None
