"""Data sets saved by Hugging Face ``datasets`` (``save_to_disk``), read through Arrow itself.

``state.json`` names the stream files; nothing else the ``datasets`` package writes is needed, so a folder saved
by any of its versions, with any feature types, opens. Images stay on disk until they are decoded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aigenbench.data.arrow_images import ArrowImages, read_tables
from aigenbench.data.tables import Columns, ImageTable, make_table
from aigenbench.errors import InputError

REQUIRED_COLUMNS = ("image", "label", "generator")
OPTIONAL_COLUMNS = ("height", "width", "origin_dataset")


def is_saved_dataset(path: Path) -> bool:
    """Whether ``path`` is a folder written by ``save_to_disk``."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def open_saved_dataset(path: Path) -> dict[str, ImageTable]:
    """Open every split of a ``DatasetDict`` folder.

    Raises:
        InputError: a single split, a missing or damaged file, or a missing column.
    """
    if not (path / "dataset_dict.json").is_file():
        raise InputError(
            f"{path} is a single saved split; expected the folder above it, with dataset_dict.json and the splits "
            "'train' and 'validation'"
        )
    names = _read_json(path / "dataset_dict.json").get("splits", [])
    return {name: _open_split(path / name, name) for name in names}


def _open_split(folder: Path, split: str) -> ImageTable:
    state = _read_json(folder / "state.json")
    files = [folder / entry["filename"] for entry in state.get("_data_files", [])]
    if not files:
        raise InputError(f"{folder}: state.json names no data files")
    table = read_tables(files)
    missing = [name for name in REQUIRED_COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{folder}: the column {', '.join(missing)} is missing; found {', '.join(table.column_names)}")
    if not pa.types.is_struct(table.schema.field("image").type):
        raise InputError(f"{folder}: column 'image' holds {table.schema.field('image').type}, expected encoded images")
    if not pa.types.is_integer(table.schema.field("label").type):
        raise InputError(f"{folder}: column 'label' holds {table.schema.field('label').type}, expected 0 and 1")
    codes, names = _dictionary(table.column("generator"))
    labels = _integers(table.column("label"), -1)
    columns = {name: partial(_read_column, files, name) for name in OPTIONAL_COLUMNS if name in table.column_names}
    return make_table(folder.parent, split, labels, codes, names, ArrowImages(files), Columns(columns))


def _dictionary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Index of every row into the distinct values, a missing value being an empty text."""
    found = pc.unique(column)
    texts = [text or "" for text in found.to_pylist()]
    names = tuple(dict.fromkeys(texts))
    code_of = np.array([names.index(text) for text in texts], dtype=np.int32)
    return code_of[_integers(pc.index_in(column, value_set=found), 0)], names


def _integers(column: pa.ChunkedArray, missing: int) -> npt.NDArray[Any]:
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([_chunk_integers(chunk, missing) for chunk in column.chunks if len(chunk)] or [empty])


def _chunk_integers(chunk: pa.Array, missing: int) -> npt.NDArray[Any]:
    if chunk.null_count:
        chunk = chunk.fill_null(missing)
    # Arrow's own conversion would import pandas
    return np.from_dlpack(chunk)


def _read_column(files: Sequence[Path], name: str) -> npt.NDArray[Any]:
    column = read_tables(files).column(name)
    if pa.types.is_integer(column.type):
        return _integers(column, 0)
    codes, names = _dictionary(column)
    return np.array([*names, ""], dtype=object)[codes]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; the data set is incomplete, copy it again") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON; the data set is damaged, copy it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON mapping; the data set is damaged, copy it again")
    return content
