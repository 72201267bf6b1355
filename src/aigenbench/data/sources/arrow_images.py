"""Images inside Arrow stream files: where each lies is known, so that reading one touches nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aigenbench.data.sources.streams import column_of, is_text, open_stream
from aigenbench.data.sources.tables import file_size
from aigenbench.errors import InputError
from aigenbench.files import read_regular, user_path

BYTES, PATH = "bytes", "path"
"""The fields of an image."""

NOT_STORED = -1
"""A length that says: no bytes are stored for the row."""
COMPRESSED = -1
"""A position that says: Arrow must read the row."""


class ArrowImages:
    """Images of one split. Pickles as the paths alone.

    Files are read at the images' offsets, not through a memory map: what a map has shown counts as the worker's memory,
    which would grow to the size of the data set.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        located = [_locate(file) for file in self._files]
        self._starts = np.cumsum([0, *(len(lengths) for _, lengths in located)])
        self._positions = np.concatenate([positions for positions, _ in located])
        self._lengths = np.concatenate([lengths for _, lengths in located])
        self._opened: dict[int, BinaryIO] = {}
        self._images: dict[int, dict[str, pa.ChunkedArray]] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    def __getstate__(self) -> tuple[Path, ...]:
        return self._files

    def __setstate__(self, files: tuple[Path, ...]) -> None:
        self.__init__(files)  # type: ignore[misc]

    def read(self, row: int) -> Any:
        """The file's bytes; where only a path is stored, the bytes at that path."""
        length, position = int(self._lengths[row]), int(self._positions[row])
        if length == NOT_STORED:
            path = self.name(row)
            if not path:
                raise OSError("neither bytes nor a path are stored")
            return read_regular(user_path(path))
        if position == COMPRESSED:
            return self._value(row, BYTES).as_buffer()
        number = self._file_of(row)
        data = os.pread(self._file(number).fileno(), length, position)
        if len(data) < length:
            raise OSError(f"{self._files[number]} ends within the image")
        return data

    def name(self, row: int) -> str:
        """The stored path, or ``""``."""
        return self._value(row, PATH).as_py() or ""

    def outer_paths(self) -> list[str]:
        """Paths of the images that are stored as such, as far as a file can have them."""
        names = [self.name(int(row)) for row in np.flatnonzero(self._lengths == NOT_STORED)]
        return [str(user_path(name)) for name in names if name and "\0" not in name]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, without reading them; int64 (n,)."""
        sizes = self._lengths.copy()
        for row in np.flatnonzero(sizes == NOT_STORED):
            name = self.name(int(row))
            sizes[row] = file_size(user_path(name)) if name else NOT_STORED
        return sizes

    def _file_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _file(self, number: int) -> BinaryIO:
        if number not in self._opened:
            self._opened[number] = self._files[number].open("rb", buffering=0)
        return self._opened[number]

    def _value(self, row: int, field: str) -> Any:
        number = self._file_of(row)
        if number not in self._images:
            self._images[number] = _images(open_stream(self._files[number]).table, self._files[number])
        # as a column of several pieces, a table would be cut anew for every row
        return self._images[number][field][row - int(self._starts[number])]


def _images(table: pa.Table, file: Path) -> dict[str, pa.ChunkedArray]:
    """Bytes and paths of every row's image, whether they stand together, or the one without the other."""
    column = column_of(table, "image", file)
    kind = column.type
    if pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        if BYTES not in names and PATH not in names:
            raise InputError(f"{file}: column 'image' holds {kind}, expected encoded images (bytes and path)")
        # flattened, not taken out: a row without an image has neither
        parts = dict(zip(names, column.flatten(), strict=True))
        found = {name: parts.get(name) for name in (BYTES, PATH)}
    else:
        found = {BYTES: column if _is_bytes(kind) else None, PATH: column if is_text(kind) else None}
        if not (_is_bytes(kind) or is_text(kind) or pa.types.is_null(kind)):
            raise InputError(f"{file}: column 'image' holds {kind}, expected encoded images (bytes and path)")
    return {
        BYTES: _checked(found[BYTES], len(column), _is_bytes, pa.binary(), file),
        PATH: _checked(found[PATH], len(column), is_text, pa.string(), file),
    }


def _checked(
    part: pa.ChunkedArray | None, length: int, is_right: Callable[[pa.DataType], bool], kind: pa.DataType, file: Path
) -> pa.ChunkedArray:
    if part is None or pa.types.is_null(part.type):
        return pa.chunked_array([pa.nulls(length, kind)])
    if pa.types.is_dictionary(part.type):
        part = part.cast(part.type.value_type)
    if not is_right(part.type):
        raise InputError(f"{file}: column 'image' holds {part.type} in place of {kind}; expected encoded images")
    return part


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _locate(file: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Position in the file and length of every row's image: int64 (n,) each."""
    table, start, size = open_stream(file)
    parts = [_locate_chunk(chunk, start, size) for chunk in _images(table, file)[BYTES].chunks]
    empty = np.empty(0, dtype=np.int64)
    positions = np.concatenate([empty, *(positions for positions, _ in parts)])
    return positions, np.concatenate([empty, *(lengths for _, lengths in parts)])


def _locate_chunk(data: pa.Array, start: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if not len(data):
        # Arrow lets it do without offsets
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if pa.types.is_binary_view(data.type):
        lengths = np.array([one.as_buffer().size if one.is_valid else NOT_STORED for one in data], dtype=np.int64)
        return np.full(len(data), COMPRESSED, dtype=np.int64), lengths
    _, offsets, values = data.buffers()
    wide = pa.types.is_large_binary(data.type) or pa.types.is_large_string(data.type)
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)[data.offset : data.offset + len(data) + 1]
    lengths = np.diff(ends).astype(np.int64)
    positions = ends[:-1].astype(np.int64)
    in_file = 0 if values is None else values.address - start
    if 0 <= in_file < size:
        positions += in_file
    else:
        positions[:] = COMPRESSED
    if data.null_count:
        lengths[data.is_null().to_numpy(zero_copy_only=False)] = NOT_STORED
    return positions, lengths
