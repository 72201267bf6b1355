"""Columns of bytes in Parquet files, read value by value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aigenbench.data.sources.parquet_pages import (
    DICTIONARY,
    Blobs,
    Chunk,
    Levels,
    Page,
    Read,
    UnsupportedError,
    blobs_of,
    chunks_of,
    pages_of,
)

_UNPACKED, _VALUES = Page._fields.index("unpacked"), Page._fields.index("values")

Stamp = tuple[int, int, int]
"""Size, time and inode of a file: they tell that it was written to."""


class Shard(NamedTuple):
    """A Parquet file, and what it was when it was opened."""

    path: Path
    stamp: Stamp


class Column(NamedTuple):
    """A column of bytes in a shard.

    Attributes:
        name: its path in the schema.
        level: definition level of a value that is there.
        rows: of each row group.
    """

    name: str
    level: int
    rows: tuple[int, ...]


class ParquetBytes:
    """Columns of bytes, one behind the other, value by value.

    What it keeps: where row groups and their pages lie, the last page, and the last dictionary.

    Args:
        shards: the files.
        columns: of each.
    """

    def __init__(self, shards: Sequence[Shard], columns: Sequence[Column]) -> None:
        self._shards, self._columns = shards, columns
        groups = [(k, group, rows) for k, column in enumerate(columns) for group, rows in enumerate(column.rows)]
        self._groups = np.array(groups, dtype=np.int64).reshape(-1, 3)
        self._starts = np.cumsum([0, *self._groups[:, 2]])
        self._opened: dict[int, BinaryIO] = {}
        self._chunks: dict[int, list[Chunk]] = {}
        self._pages: dict[int, npt.NDArray[np.int64]] = {}
        self._last: tuple[tuple[int, int], tuple[Blobs, Levels]] | None = None
        self._dictionary: tuple[int, Blobs | None] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, row: int) -> bytes | None:
        """The value of a row; None where it has none.

        Raises:
            OSError: the file is damaged, of a form that cannot be read so, or was changed since it was opened.
        """
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._told(number):
            pages, within = self._pages_of(number), row - int(self._starts[number])
            ends = np.cumsum(np.where(pages[:, 0] == DICTIONARY, 0, pages[:, _VALUES]))
            at = int(np.searchsorted(ends, within, side="right"))
            values, index = self._decoded(number, at)
            place = int(index[within - int(ends[at])])
            return None if place < 0 else values.value(place)

    def page_bytes(self) -> int:
        """Bytes of the largest page of the first row group: what is read for one value; raises as ``read``."""
        if not len(self):
            return 0
        first = int(np.flatnonzero(self._groups[:, 2])[0])
        with self._told(first):
            return int(self._pages_of(first)[:, _UNPACKED].max())

    def check(self) -> None:
        """See that the first file's values can be read one by one; raises as ``read``."""
        if len(self._groups):
            with self._told(0):
                self._chunk(0)

    @contextmanager
    def _told(self, number: int) -> Iterator[None]:
        """What damage raises becomes an ``OSError`` that names the file."""
        path = self._shards[int(self._groups[number, 0])].path
        try:
            yield
        except UnsupportedError as error:
            raise OSError(f"{path}: {error}; 'aigenbench data import' makes a data set of it") from error
        except (ValueError, IndexError, pa.ArrowException) as error:
            raise OSError(f"{path} is damaged ({' '.join(str(error).split())[:200]})") from error

    def _chunk(self, number: int) -> Chunk:
        shard, group, rows = map(int, self._groups[number])
        if shard not in self._chunks:
            size = self._shards[shard].stamp[0]
            self._chunks[shard] = chunks_of(self._reader(shard), size, self._columns[shard].name)
        chunk = self._chunks[shard][group]
        if chunk.rows != rows:
            raise ValueError(f"a row group of {rows} rows and {chunk.rows} values")
        return chunk

    def _pages_of(self, number: int) -> npt.NDArray[np.int64]:
        """Pages of a row group, as rows of numbers: a tenth of the memory of tuples."""
        if number not in self._pages:
            found = pages_of(self._reader(int(self._groups[number, 0])), self._chunk(number))
            self._pages[number] = np.array(found, dtype=np.int64)
        return self._pages[number]

    def _decoded(self, number: int, at: int) -> tuple[Blobs, Levels]:
        """The values of a page, and which of them each of its rows has."""
        if self._last is None or self._last[0] != (number, at):
            # not two pages at once
            self._last = None
            dictionary = self._dictionary_of(number)
            self._last = (number, at), self._blobs(number, at, dictionary)
        return self._last[1]

    def _dictionary_of(self, number: int) -> Blobs | None:
        if self._dictionary is None or self._dictionary[0] != number:
            self._dictionary = None
            has_one = self._pages_of(number)[0, 0] == DICTIONARY
            self._dictionary = number, self._blobs(number, 0, None)[0] if has_one else None
        return self._dictionary[1]

    def _blobs(self, number: int, at: int, dictionary: Blobs | None) -> tuple[Blobs, Levels]:
        page, shard = Page(*map(int, self._pages_of(number)[at])), int(self._groups[number, 0])
        codec, level = self._chunk(number).codec, self._columns[shard].level
        return blobs_of(self._reader(shard), page, codec, level, dictionary)

    def _reader(self, number: int) -> Read:
        """Reads a shard, whose offset other processes may share."""
        path, stamp = self._shards[number]
        if number not in self._opened:
            self._opened[number] = path.open("rb", buffering=0)
        if stamp_of(self._opened[number]) != stamp:
            raise OSError(f"{path} was changed since the data set was opened; start again when it is at rest")
        descriptor = self._opened[number].fileno()
        return lambda at, size: os.pread(descriptor, max(0, min(size, stamp[0] - at)), at)


def stamp_of(file: BinaryIO) -> Stamp:
    """The stamp of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino
