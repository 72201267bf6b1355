"""What a sweep keeps of each cell's starts: how often, how long, and how the last one ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Literal

from aigenbench.engine.sweep.cells import Cell
from aigenbench.errors import InputError, MissingFileError
from aigenbench.files import read_json, write_json

Ending = Literal["", "finished", "stopped", "refused", "memory", "killed", "failed"]
"""``""`` while it runs, or where the sweep itself was killed; ``refused`` is bad input."""


@dataclass(frozen=True)
class Record:
    """A cell's starts.

    Attributes:
        starts: how many there were.
        seconds: what those took whose end was seen.
        ending: of the last one.
        said: what it said last, in a line.
        is_whole: whether the end of every start was seen, so that ``seconds`` are all there were.
    """

    starts: int = 0
    seconds: float = 0.0
    ending: Ending = ""
    said: str = ""
    is_whole: bool = True


def read_record(cell: Cell) -> Record:
    """The cell's record; empty where it was never started.

    Raises:
        InputError: it is damaged.
    """
    path = cell.file(".json")
    try:
        values = read_json(path)
    except MissingFileError:
        return Record()
    kinds = {field.name: type(getattr(Record(), field.name)) for field in fields(Record)}
    if not isinstance(values, dict) or {key: type(value) for key, value in values.items()} != kinds:
        raise InputError(f"{path} is damaged: expected {', '.join(kinds)}; remove it to go on without it")
    return Record(**values)


def write_record(cell: Cell, record: Record) -> None:
    """Keep the cell's record; it is replaced whole."""
    write_json(cell.file(".json"), asdict(record))
