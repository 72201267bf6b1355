"""Images inside Arrow stream files: where each lies is known, so that reading one touches nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aigenbench.data.tables import file_size
from aigenbench.errors import InputError

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
        self._tables: dict[int, pa.Table] = {}

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
            return Path(path).read_bytes()
        if position == COMPRESSED:
            return self._value(row, "bytes").as_buffer()
        number = self._file_of(row)
        data = os.pread(self._file(number).fileno(), length, position)
        if len(data) < length:
            raise OSError(f"{self._files[number]} ends within the image")
        return data

    def name(self, row: int) -> str:
        """The stored path, or ``""``."""
        return self._value(row, "path").as_py() or ""

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, without reading them; int64 (n,)."""
        sizes = self._lengths.copy()
        for row in np.flatnonzero(sizes == NOT_STORED):
            sizes[row] = file_size(Path(self.name(int(row))))
        return sizes

    def _file_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _file(self, number: int) -> BinaryIO:
        if number not in self._opened:
            self._opened[number] = self._files[number].open("rb", buffering=0)
        return self._opened[number]

    def _value(self, row: int, field: str) -> Any:
        number = self._file_of(row)
        if number not in self._tables:
            self._tables[number] = read_tables([self._files[number]])
        (image,) = self._tables[number].column("image").slice(row - int(self._starts[number]), 1).chunks
        return image.field(field)[0]


def read_tables(files: Sequence[Path]) -> pa.Table:
    """The memory-mapped stream files as one table.

    Raises:
        InputError: a file is missing or damaged.
    """
    return pa.concat_tables([_open(file)[0] for file in files])


def _open(file: Path) -> tuple[pa.Table, int, int]:
    """The table of a stream file, and the address and size of its memory map."""
    try:
        mapped = pa.memory_map(str(file))
        start = mapped.read_buffer(1).address if mapped.size() else 0
        mapped.seek(0)
        return pa.ipc.open_stream(mapped).read_all(), start, mapped.size()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; the data set is incomplete, copy it again") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file} is damaged ({' '.join(str(error).split())}); copy it again") from error


def _locate(file: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Position in the file and length of every row's image: int64 (n,) each."""
    table, start, size = _open(file)
    parts = [_locate_chunk(chunk.field("bytes"), start, size) for chunk in table.column("image").chunks]
    empty = np.empty(0, dtype=np.int64)
    positions = np.concatenate([empty, *(positions for positions, _ in parts)])
    return positions, np.concatenate([empty, *(lengths for _, lengths in parts)])


def _locate_chunk(data: pa.Array, start: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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
