"""Data sets saved by Hugging Face ``datasets`` (``save_to_disk``), read through Arrow itself.

``state.json`` names the stream files; nothing else the ``datasets`` package writes is needed, so a folder saved
by any of its versions, with any feature types, opens. Image bytes stay in the memory map until they are decoded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aigenbench.data.tables import ImageTable, file_size, make_table
from aigenbench.errors import InputError

REQUIRED_COLUMNS = ("image", "label", "generator")
OPTIONAL_COLUMNS = ("height", "width", "origin_dataset", "file_id")


class ArrowImages:
    """Images of one split inside memory-mapped Arrow stream files. Pickles as the paths alone."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._open(_read_tables(self._files))

    def _open(self, table: pa.Table) -> None:
        self._chunks = table.column("image").chunks
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._chunks)])

    def __getstate__(self) -> tuple[Path, ...]:
        return self._files

    def __setstate__(self, files: tuple[Path, ...]) -> None:
        self._files = files
        self._open(_read_tables(files))

    def _locate(self, row: int) -> tuple[Any, int]:
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._chunks[chunk], row - int(self._starts[chunk])

    def read(self, row: int) -> Any:
        """Buffer of the file's bytes, not copied; or, where only a path is stored, the bytes at that path."""
        chunk, i = self._locate(row)
        data = chunk.field("bytes")[i]
        if data.is_valid:
            return data.as_buffer()
        path = chunk.field("path")[i].as_py()
        if not path:
            raise OSError("neither bytes nor a path are stored")
        return Path(path).read_bytes()

    def name(self, row: int) -> str:
        """The stored path, or ``""``."""
        chunk, i = self._locate(row)
        return chunk.field("path")[i].as_py() or ""

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, without reading them; int64 (n,)."""
        lengths = pa.chunked_array([pc.binary_length(chunk.field("bytes")).cast(pa.int64()) for chunk in self._chunks])
        sizes = pc.fill_null(lengths, -1).to_numpy().copy()
        for row in np.flatnonzero(sizes < 0):
            sizes[row] = file_size(Path(self.name(int(row))))
        return sizes


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
    table = _read_tables(files)
    missing = [name for name in REQUIRED_COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{folder}: the column {', '.join(missing)} is missing; found {', '.join(table.column_names)}")
    if not pa.types.is_struct(table.schema.field("image").type):
        raise InputError(f"{folder}: column 'image' holds {table.schema.field('image').type}, expected encoded images")
    if not pa.types.is_integer(table.schema.field("label").type):
        raise InputError(f"{folder}: column 'label' holds {table.schema.field('label').type}, expected 0 and 1")
    codes, names = _dictionary(table.column("generator"))
    labels = pc.fill_null(table.column("label"), -1).to_numpy()
    columns = {name: _optional(table.column(name)) for name in OPTIONAL_COLUMNS if name in table.column_names}
    return make_table(folder.parent, split, labels, codes, names, ArrowImages(files), columns)


def _read_tables(files: Sequence[Path]) -> pa.Table:
    tables = []
    for file in files:
        try:
            tables.append(pa.ipc.open_stream(pa.memory_map(str(file))).read_all())
        except FileNotFoundError as error:
            raise InputError(f"{file} is missing; the data set is incomplete, copy it again") from error
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{file} is damaged ({' '.join(str(error).split())}); copy it again") from error
    return pa.concat_tables(tables)


def _dictionary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    encoded = pc.fill_null(column, "").dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.empty(0, dtype=np.int32), ()
    names = tuple(encoded.chunk(0).dictionary.to_pylist())
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes.astype(np.int32), names


def _optional(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if pa.types.is_integer(column.type):
        return pc.fill_null(column, 0).to_numpy()
    codes, names = _dictionary(column.cast(pa.large_string()))
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
