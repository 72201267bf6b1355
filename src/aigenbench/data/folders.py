"""A folder of image files with ``index.csv``: columns path, label, generator, split."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.tables import Columns, ImageTable, file_size, make_table
from aigenbench.errors import InputError

INDEX = "index.csv"
REQUIRED_COLUMNS = ("path", "label", "generator", "split")
_LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


class FolderImages:
    """Image files named relative to a folder."""

    def __init__(self, folder: Path, paths: list[str]) -> None:
        self._folder = folder
        # one array of bytes, not thousands of str objects: workers share its pages
        self._paths = np.array([path.encode() for path in paths])

    def name(self, row: int) -> str:
        """The path as the index gives it."""
        return bytes(self._paths[row]).decode()

    def read(self, row: int) -> Any:
        """The file's bytes."""
        return (self._folder / self.name(row)).read_bytes()

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, -1 where there is none; int64 (n,)."""
        return np.array([file_size(self._folder / self.name(row)) for row in range(len(self._paths))], dtype=np.int64)


def open_indexed_folder(path: Path) -> dict[str, ImageTable]:
    """Open the splits an ``index.csv`` names. Row numbers count within a split, in the index's order.

    Raises:
        InputError: a column, label or file name is missing or wrong.
    """
    index = path / INDEX
    with index.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{index}: the column {', '.join(missing)} is missing; found {reader.fieldnames}")
        rows = list(reader)
    by_split: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(rows, start=2):
        if any(row[name] is None for name in REQUIRED_COLUMNS) or not row["path"]:
            raise InputError(f"{index}, line {number}: fewer fields than the header, or no path")
        if row["label"] not in _LABELS:
            raise InputError(f"{index}, line {number}: label {row['label']!r}; expected 'real' or 'fake'")
        by_split.setdefault(row["split"], []).append(row)
    return {split: _table(path, split, rows) for split, rows in by_split.items()}


def _table(path: Path, split: str, rows: list[dict[str, str]]) -> ImageTable:
    codes, names = _codes([row["generator"] for row in rows])
    columns = {}
    if "origin_dataset" in rows[0]:
        columns["origin_dataset"] = partial(_decoded, *_codes([row["origin_dataset"] or "" for row in rows]))
    return make_table(
        path,
        split,
        np.array([_LABELS[row["label"]] for row in rows], dtype=np.int64),
        codes,
        names,
        FolderImages(path, [row["path"] for row in rows]),
        Columns(columns),
    )


def _codes(texts: list[str]) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    names = sorted(set(texts))
    code = {name: i for i, name in enumerate(names)}
    return np.array([code[text] for text in texts], dtype=np.int32), tuple(names)


def _decoded(codes: npt.NDArray[np.int32], names: tuple[str, ...]) -> npt.NDArray[Any]:
    return np.array(names, dtype=object)[codes]
