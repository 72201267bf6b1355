"""The one table at the end of a sweep: what differs between cells, and what each has come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aigenbench.engine.results import evaluated
from aigenbench.engine.sweep.cells import Cell, varied
from aigenbench.engine.sweep.file import SEED, shown
from aigenbench.engine.sweep.record import read_record
from aigenbench.engine.sweep.text import aligned
from aigenbench.evaluation.drawing import chart
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, mean_over_windows
from aigenbench.evaluation.report.export import as_csv
from aigenbench.evaluation.report.seeds import over_seeds
from aigenbench.evaluation.report.tables import shown as share
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.evaluation.statistics.intervals import Bounds, bounds
from aigenbench.files import write_json, write_text
from aigenbench.protocol.off_protocol import gathered, marked
from aigenbench.protocol.periods import PERIOD_TITLES

NEXT = "immediate_future"


@dataclass(frozen=True)
class Row:
    """A model of a sweep: a cell, or all that differ in their seed alone.

    Attributes:
        values: what its cells say beside the base and other models' do not, by dotted key.
        cells: names of the experiments.
        seeds: of each.
        state: ``finished``, or how many of the cells are and what became of the others.
        means: period (``growing``, ``immediate_future``, ``growing_whole``) -> mean AUROC over the windows that have a
            Next period, over the finished cells, 0..1.
        intervals: period -> interval of 95 % of that mean.
        over: what the intervals are over: ``images``, or ``seeds`` where several cells are finished; "" without any.
        off_protocol: why the training of its cells is off protocol; none where it is not, and before one is finished.
    """

    values: Mapping[str, Any]
    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    state: str
    means: Mapping[str, float | None] = field(default_factory=dict)
    intervals: Mapping[str, Bounds] = field(default_factory=dict)
    over: str = ""
    off_protocol: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "values": dict(self.values),
            "cells": list(self.cells),
            "seeds": list(self.seeds),
            "state": self.state,
            "means": dict(self.means),
            "intervals": dict(self.intervals),
            "intervals_over": self.over,
            **({"off_protocol": list(self.off_protocol)} if self.off_protocol else {}),
        }


@dataclass(frozen=True)
class SweepTable:
    """What a sweep has come to.

    Attributes:
        folder: of the sweep, with its experiments.
        keys: in which the models differ.
        rows: a model each, in the order of the file.
    """

    folder: Path
    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        table = self._table
        texts = [[f"{cell.text} {cell.note}".strip() for cell in row] for row in table.rows]
        words = len(self.keys)
        return "\n".join([table.title, "", *aligned([list(table.header), *texts], words)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``table.json`` holds them."""
        return {"folder": str(self.folder), "keys": list(self.keys), "rows": [row.to_dict() for row in self.rows]}

    def write(self) -> None:
        """Write ``table.txt``, ``table.csv`` and ``table.json`` into the sweep's folder."""
        write_text(self.folder / "table.txt", f"{self}\n")
        write_text(self.folder / "table.csv", as_csv(self._table))
        write_json(self.folder / "table.json", self.to_dict())

    @property
    def _table(self) -> chart.Table:
        periods = [NEXT, *(p for p in SHOWN_PERIODS if p != NEXT)]
        header = (*self.keys, *(PERIOD_TITLES[p] for p in periods), "Interval over", "Seeds", "State", "Cells")
        rows = tuple(
            (
                *(_plain(shown(key, row.values.get(key, ""))) for key in self.keys),
                *(share(row.means.get(p), row.intervals.get(p)) for p in periods),
                *map(_plain, (row.over, ", ".join(map(str, row.seeds)), marked(row.state, row.off_protocol))),
                _plain(", ".join(row.cells)),
            )
            for row in self.rows
        )
        return chart.Table("table", "Mean AUROC (%) over the windows with a Next period, 95 % interval", header, rows)


def make_table(cells: Sequence[Cell], folder: Path, replicates: int = REPLICATES) -> SweepTable:
    """Gather what the cells of a sweep have come to.

    Args:
        cells: of the sweep.
        folder: of the sweep.
        replicates: bootstrap draws of the intervals over images.

    Raises:
        InputError: a file of an experiment is damaged.
    """
    models: dict[str, list[Cell]] = {}
    for cell in cells:
        models.setdefault(cell.recipe, []).append(cell)
    keys = varied(cells, without=[SEED])
    return SweepTable(folder, keys, tuple(_row(model, keys, replicates) for model in models.values()))


def _row(cells: Sequence[Cell], keys: Sequence[str], replicates: int) -> Row:
    finished = [cell for cell in cells if cell.is_finished]
    row = Row(
        {key: cells[0].values[key] for key in keys if key in cells[0].values},
        tuple(cell.name for cell in cells),
        tuple(int(cell.config[SEED]) for cell in cells),
        _state(cells, finished),
    )
    found = [evaluated(cell.folder) for cell in finished]
    row = replace(row, off_protocol=gathered(*(one.experiment.off_protocol for one in found)))
    of_cells = {p: [mean_over_windows(one.values, p) for one in found] for p in SHOWN_PERIODS}
    if len(found) == 1:
        intervals = found[0].intervals(replicates)["means"]
        means = {p: values[0] for p, values in of_cells.items()}
        return replace(row, means=means, intervals=dict(intervals), over="images")
    if found:
        over = {p: over_seeds(values) for p, values in of_cells.items()}
        means = {p: mean for p, (mean, _) in over.items()}
        student = {p: bounds(interval) for p, (_, interval) in over.items()}
        return replace(row, means=means, intervals=student, over="seeds")
    return row


def _state(cells: Sequence[Cell], finished: Sequence[Cell]) -> str:
    if len(finished) == len(cells):
        return "finished"
    others = dict.fromkeys(_ending(cell) for cell in cells if cell not in finished)
    of = f"{len(finished)} of {len(cells)} finished, others " if len(cells) > 1 else ""
    return of + ", ".join(others)


def _ending(cell: Cell) -> str:
    record = read_record(cell)
    if not record.starts and not cell.folder.is_dir():
        return "not begun"
    return {"": "not finished", "stopped": "not finished", "memory": "killed for memory"}.get(
        record.ending, record.ending
    )


def _plain(text: str) -> chart.Cell:
    return chart.Cell(text, text)
