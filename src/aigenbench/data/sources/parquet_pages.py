"""Single values of a Parquet column of bytes, without the rest of their row group.

pyarrow reads whole row groups, of up to hundreds of megabytes for an image. A column chunk is a row of pages, of about
a megabyte: page headers are walked once, then a value costs one page. Layout and encodings are those of the Parquet
format's specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aigenbench.data.sources.thrift import Fields, number_in, struct_at, varint

ENCODINGS = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 4: "BIT_PACKED", 8: "RLE_DICTIONARY"}
"""What a column chunk may be encoded in; the third and fourth only tell which values are missing."""
CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
"""Compressions, and what pyarrow calls their decoders."""
_OTHERS = {6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY"}
DICTIONARY = 2
"""The kind of a page of values that others name by their number."""
LARGEST_PAGE = 2**29
"""Bytes that a page may unpack to: a picture's file has at most 384 MiB."""

_TAIL = 8
_HEADER_BYTES, _LARGEST_HEADER = 2**10, 2**24
_DATA, _DATA_V2 = 0, 3
_PLAIN, _INDICES, _RLE = 0, (2, 8), 3
_MOST_VALUES = 2**31
_KINDS = {_DATA: 5, DICTIONARY: 7, _DATA_V2: 8}
"""The field of a page's header that tells of pages of its kind."""

Read = Callable[[int, int], bytes]
"""Gives the bytes of a file from a position on, at most so many."""
Levels = npt.NDArray[np.int64]


class UnsupportedError(Exception):
    """A column is stored in a form of which no single value can be read; the message says in which."""


class Chunk(NamedTuple):
    """A row group of one column.

    Attributes:
        start: where its pages begin.
        size: bytes of all of them.
        codec: how they are compressed, a key of ``CODECS``.
        rows: how many values it holds, missing ones too.
    """

    start: int
    size: int
    codec: int
    rows: int


class Page(NamedTuple):
    """A page of values.

    Attributes:
        kind: dictionary or data, of version 1 or 2.
        position: of its body in the file.
        size: bytes of it there.
        unpacked: bytes of it uncompressed.
        values: how many it holds, missing ones too.
        encoding: of its values.
        levels: bytes in front, never compressed, that tell which are missing; version 2.
        compressed: 1 where the rest may be.
    """

    kind: int
    position: int
    size: int
    unpacked: int
    values: int
    encoding: int
    levels: int
    compressed: int


class Blobs(NamedTuple):
    """Values that lie one after another in memory."""

    data: Any
    starts: list[int]
    ends: list[int]

    def value(self, index: int) -> bytes:
        """One of them."""
        return bytes(self.data[self.starts[index] : self.ends[index]])


def chunks_of(read: Read, size: int, name: str) -> list[Chunk]:
    """The row groups of a column of bytes.

    Read here: what pyarrow gives of a column chunk ends the process where a footer is damaged.

    Args:
        read: the file.
        size: its bytes.
        name: of the column, its path in the schema joined by points.

    Raises:
        ValueError: the footer is damaged.
        UnsupportedError: of this column no single value can be read.
    """
    tail = read(size - _TAIL, _TAIL)
    length = int.from_bytes(tail[:4], "little")
    footer, _ = struct_at(read(size - _TAIL - length, length), 0)
    try:
        return [_chunk(group, name.encode()) for group in footer.get(4, ())]
    except (KeyError, TypeError) as error:
        raise ValueError("no footer") from error


def _chunk(group: Fields, name: bytes) -> Chunk:
    (about,) = (column[3] for column in group[1] if b".".join(column[3][3]) == name)
    codec, encodings = number_in(about, 4), about[2]
    if codec not in CODECS:
        raise UnsupportedError(f"images are compressed by codec {codec}, of which none can be read alone")
    if other := [one for one in encodings if one not in ENCODINGS]:
        form = _OTHERS.get(other[0], f"encoding {other[0]}")
        raise UnsupportedError(f"images are stored as {form}, of which none can be read alone")
    start, dictionary = number_in(about, 9), number_in(about, 11, 0)
    # some writers give the dictionary's place as 0 where there is none
    return Chunk(dictionary if 0 < dictionary < start else start, number_in(about, 7), codec, number_in(group, 3))


def pages_of(read: Read, chunk: Chunk) -> list[Page]:
    """The pages of a column chunk, without their bodies; a dictionary's is the first.

    Raises:
        ValueError: it is damaged.
    """
    found: list[Page] = []
    at = chunk.start
    while at < chunk.start + chunk.size:
        fields, header = _header(read, at)
        kind, unpacked, length = (number_in(fields, number) for number in (1, 2, 3))
        if not (0 <= unpacked <= LARGEST_PAGE and 0 <= length <= LARGEST_PAGE):
            raise ValueError(f"a page of {max(unpacked, length)} bytes")
        if kind == DICTIONARY and found:
            raise ValueError("a dictionary behind other pages")
        if kind in _KINDS:
            found.append(_page(kind, at + header, length, unpacked, fields.get(_KINDS[kind])))
        at += header + length
    values = sum(page.values for page in found if page.kind != DICTIONARY)
    if values != chunk.rows:
        raise ValueError(f"pages of {values} values for {chunk.rows} rows")
    return found


def _page(kind: int, position: int, size: int, unpacked: int, about: Any) -> Page:
    values, encoding = number_in(about, 1), number_in(about, 4 if kind == _DATA_V2 else 2)
    levels, compressed = (number_in(about, 5), number_in(about, 7, 1)) if kind == _DATA_V2 else (0, 1)
    if encoding not in (_PLAIN, *_INDICES) or (kind == _DATA and number_in(about, 3) != _RLE):
        raise ValueError(f"a page in encoding {encoding}")
    if not (0 <= values <= _MOST_VALUES and 0 <= levels <= min(size, unpacked)):
        raise ValueError(f"a page of {values} values")
    return Page(kind, position, size, unpacked, values, encoding, levels, compressed)


def blobs_of(read: Read, page: Page, codec: int, level: int, dictionary: Blobs | None) -> tuple[Blobs, Levels]:
    """The values of a page, and of each of its rows, which of them it has; -1 where it has none.

    Args:
        read: the file.
        page: one of ``pages_of``.
        codec: a key of ``CODECS``.
        level: definition level of a value that is there.
        dictionary: values of the chunk's dictionary page, where it has one.

    Raises:
        ValueError: it is damaged.
    """
    body = memoryview(read(page.position, page.size))
    if len(body) < page.size:
        raise ValueError("the file ends within a page")
    front, body = body[: page.levels], body[page.levels :]
    if CODECS[codec] is not None and page.compressed and len(body):
        body = memoryview(pa.Codec(CODECS[codec]).decompress(body, page.unpacked - page.levels)).cast("B")
    if page.kind == DICTIONARY:
        return _plain(body, page.values), np.empty(0, dtype=np.int64)
    if page.kind == _DATA and level:
        length = int.from_bytes(body[:4], "little")
        front, body = body[4 : 4 + length], body[4 + length :]
    there = np.ones(page.values, dtype=bool) if not level else _hybrid(front, level.bit_length(), page.values) == level
    index = np.where(there, np.cumsum(there) - 1, -1)
    if page.encoding == _PLAIN:
        return _plain(body, int(there.sum())), index
    if dictionary is None:
        raise ValueError("no dictionary")
    entries = _hybrid(body[1:], body[0], int(there.sum()))
    if entries.max(initial=-1) >= len(dictionary.starts):
        raise ValueError("an index beyond the dictionary")
    return dictionary, np.where(there, np.append(entries, -1)[index], -1)


def _plain(data: memoryview, count: int) -> Blobs:
    """Values that each follow their length."""
    starts, ends, at = [], [], 0
    for _ in range(count):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data) or start > len(data):
            raise ValueError("a page ends within a value")
        starts.append(start)
        ends.append(at)
    return Blobs(data, starts, ends)


def _hybrid(data: memoryview, width: int, count: int) -> Levels:
    """Numbers of ``width`` bits, in runs of one number and runs of packed ones: int64 (count,)."""
    if width > 32:
        raise ValueError(f"numbers of {width} bits")
    parts, left, at = [np.empty(0, dtype=np.int64)], count if width else 0, 0
    while left > 0:
        head, at = varint(data, at)
        if head & 1:
            size = (head >> 1) * width
            bits = np.unpackbits(np.frombuffer(data, np.uint8, size, at), bitorder="little")
            run = bits.reshape(-1, width).astype(np.int64) @ (1 << np.arange(width))
        else:
            size = (width + 7) // 8
            run = np.full(min(head >> 1, left), int.from_bytes(data[at : at + size], "little"))
        at += size
        if not len(run):
            raise ValueError("a run of no values")
        parts.append(run[:left])
        left -= len(parts[-1])
    return np.concatenate(parts) if width else np.zeros(count, dtype=np.int64)


def _header(read: Read, at: int) -> tuple[Fields, int]:
    """A page header's fields by number, and its bytes."""
    size = _HEADER_BYTES
    while True:
        data = read(at, size)
        try:
            return struct_at(data, 0)
        except IndexError:
            # statistics may hold whole values
            if len(data) < size or size >= _LARGEST_HEADER:
                raise ValueError("the file ends within a page's header") from None
            size *= 16
