"""A Hugging Face ``DatasetDict`` in memory as a source: what a loader of a user's own gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aigenbench.data.sources.tables import REQUIRED_COLUMNS, Columns, ImageTable, SplitTables, file_size, make_table
from aigenbench.errors import InputError
from aigenbench.files import read_regular

_ROWS = 1000


def source_of(dataset: Any, place: str) -> SplitTables:
    """The splits of a ``DatasetDict``, or of a mapping of ``Dataset``; images stay where they are.

    Args:
        dataset: with the columns of the published data set.
        place: what made it, for messages.

    Raises:
        InputError: it is none, or lacks a column.
    """
    if not hasattr(dataset, "items"):
        raise InputError(f"{place} must return a DatasetDict of splits, found {type(dataset).__name__}")
    return SplitTables(Path(place), {str(name): _table(split, str(name), place) for name, split in dataset.items()})


def _table(split: Any, name: str, place: str) -> ImageTable:
    missing = [column for column in REQUIRED_COLUMNS if column not in split.column_names]
    if missing:
        raise InputError(f"{place}, split {name!r}: the column {', '.join(missing)} is missing")
    facts = split.select_columns(["label", "generator"]).with_format("arrow")[:]
    labels = np.array([-1 if value is None else int(value) for value in facts.column("label").to_pylist()])
    names = getattr(split.features["generator"], "names", None)
    texts = [_text(value, names) for value in facts.column("generator").to_pylist()]
    distinct = tuple(dict.fromkeys(texts))
    code_of = {text: code for code, text in enumerate(distinct)}
    codes = np.array([code_of[text] for text in texts], dtype=np.int32)
    return make_table(Path(place), name, labels, codes, distinct, DatasetImages(split), Columns({}))


def _text(value: Any, names: list[str] | None) -> str:
    if value is None:
        return ""
    return names[value] if names is not None and isinstance(value, int) else str(value)


class DatasetImages:
    """The encoded images of a ``Dataset``, as Arrow stores them."""

    def __init__(self, split: Any) -> None:
        self._images = split.select_columns(["image"]).with_format("arrow")

    def read(self, row: int) -> Any:
        """The file's bytes; where only a path is stored, the bytes at that path."""
        image = self._image(row)
        data = image.field("bytes")[0]
        if data.is_valid:
            return data.as_buffer()
        path = image.field("path")[0].as_py()
        if not path:
            raise OSError("neither bytes nor a path are stored")
        return read_regular(Path(path))

    def name(self, row: int) -> str:
        """The stored path, or ``""``."""
        return self._image(row).field("path")[0].as_py() or ""

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file; int64 (n,)."""
        sizes = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(self._images), _ROWS):
            for chunk in self._images[start : start + _ROWS].column("image").chunks:
                lengths = pc.fill_null(pc.binary_length(chunk.field("bytes")), -1)
                sizes.append(np.asarray(lengths.to_pylist(), dtype=np.int64))
        found = np.concatenate(sizes)
        for row in np.flatnonzero(found < 0):
            found[row] = file_size(Path(self.name(int(row))))
        return found

    def _image(self, row: int) -> pa.StructArray:
        return self._images[row : row + 1].column("image").combine_chunks()
