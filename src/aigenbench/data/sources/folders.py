"""A folder of image files with ``index.csv``: columns path, label, generator, split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.csv_files import read_csv
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.tables import LABELS, Columns, ImageTable, file_size, make_table
from aigenbench.errors import InputError
from aigenbench.files import read_regular, readable_name, user_path

INDEX = "index.csv"
REQUIRED_COLUMNS = ("path", "label", "generator", "split")

Row = tuple[int, dict[str, str]]
"""Line number, and values by column."""


class FolderImages:
    """Image files named relative to a folder, or by whole paths."""

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self._folder = folder
        # one array of bytes, not thousands of str objects: workers share its pages
        self._paths = np.array([path.encode("utf-8", "surrogateescape") for path in paths])

    def name(self, row: int) -> str:
        """The path as the index gives it, in a form that can be shown."""
        return readable_name(self._path(row))

    def read(self, row: int) -> Any:
        """The file's bytes."""
        return read_regular(self._file(row))

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, -1 where there is none; int64 (n,)."""
        return np.array([file_size(self._file(row)) for row in range(len(self._paths))], dtype=np.int64)

    @property
    def paths(self) -> list[str]:
        """All paths, in order."""
        return [self._path(row) for row in range(len(self._paths))]

    def _path(self, row: int) -> str:
        return bytes(self._paths[row]).decode("utf-8", "surrogateescape")

    def _file(self, row: int) -> Path:
        return self._folder / self._path(row)


def open_indexed_folder(path: Path, follow_links: bool = False) -> dict[str, ImageTable]:
    """Open the splits an ``index.csv`` names. Row numbers count within a split, in the index's order.

    Raises:
        InputError: a column, label or file name is missing or wrong, or a path leads outside, where ``follow_links``
            does not allow it.
    """
    index = read_csv(path / INDEX, REQUIRED_COLUMNS)
    by_split: dict[str, list[Row]] = {}
    for line, row in index.rows:
        _check_path(index.path, line, row)
        if row["label"].strip().lower() not in LABELS:
            raise InputError(f"{index.path}, line {line}: label {row['label']!r}; expected 'real' or 'fake'")
        by_split.setdefault(row["split"].strip(), []).append((line, row))
    if not follow_links:
        check_inside(path, [_file_name(row) for _, row in index.rows], str(index.path))
    return {split: _table(path, split, [row for _, row in rows]) for split, rows in by_split.items()}


def open_unlabelled_folder(path: Path, follow_links: bool = False) -> FolderImages:
    """The files that ``index.csv`` names, by its column ``path`` alone.

    Where it tells splits apart, those of ``test``, or else of ``validation``, as evaluation takes them.

    Raises:
        InputError: there is no such column, or no such split, or a path leads outside, where ``follow_links`` does not
            allow it.
    """
    index = read_csv(path / INDEX, ("path",))
    splits = {row["split"].strip() for _, row in index.rows if row.get("split", "").strip()}
    wanted = next((split for split in ("test", "validation") if split in splits), None)
    if splits and wanted is None:
        raise InputError(
            f"{index.path}: no split 'test' or 'validation'; found {', '.join(sorted(splits))}; "
            "without a column 'split' all its images are taken"
        )
    rows = [(line, row) for line, row in index.rows if wanted is None or row["split"].strip() == wanted]
    for line, row in rows:
        _check_path(index.path, line, row)
    if not rows:
        raise InputError(f"{index.path} names no image")
    names = [_file_name(row) for _, row in rows]
    if not follow_links:
        check_inside(path, names, str(index.path))
    return FolderImages(path, names)


def _check_path(index: Path, line: int, row: dict[str, str]) -> None:
    if not row["path"].strip():
        raise InputError(f"{index}, line {line}: no path")


def _file_name(row: dict[str, str]) -> str:
    # a name that merely begins with a tilde is a name
    return os.fspath(user_path(row["path"])) if row["path"].startswith("~/") else row["path"]


def _table(path: Path, split: str, rows: list[dict[str, str]]) -> ImageTable:
    codes, names = _codes([row["generator"].strip() for row in rows])
    paths = [_file_name(row) for row in rows]
    columns: dict[str, Callable[[], npt.NDArray[Any]]] = {}
    columns["file_id"] = partial(_texts, [row.get("file_id") or path for row, path in zip(rows, paths, strict=True)])
    if "origin_dataset" in rows[0]:
        columns["origin_dataset"] = partial(_decoded, *_codes([row["origin_dataset"] for row in rows]))
    return make_table(
        path,
        split,
        np.array([LABELS[row["label"].strip().lower()] for row in rows], dtype=np.int64),
        codes,
        names,
        FolderImages(path, paths),
        Columns(columns),
    )


def _texts(texts: list[str]) -> npt.NDArray[Any]:
    return np.array(texts, dtype=object)


def _codes(texts: list[str]) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    names = sorted(set(texts))
    code = {name: i for i, name in enumerate(names)}
    return np.array([code[text] for text in texts], dtype=np.int32), tuple(names)


def _decoded(codes: npt.NDArray[np.int32], names: tuple[str, ...]) -> npt.NDArray[Any]:
    return np.array(names, dtype=object)[codes]
