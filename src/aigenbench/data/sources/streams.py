"""Arrow stream files, which may be anybody's: fully validated before they are indexed.

Arrow checks a stream's form when it reads it, but neither offsets nor text nor dictionary indices: indexing a column
whose offsets lead astray ends the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from aigenbench.data.sources.tables import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from aigenbench.errors import InputError
from aigenbench.files import open_regular

UNPACKED_BYTES = 2**30
"""What a compressed file may become in memory, whatever its size; above, it is `UNPACKED_RATIO` times the file's."""
UNPACKED_RATIO = 8

_INDEXED = b"ARROW1"
"""How files of Arrow's other form begin."""
_validated: dict[Path, tuple[int, int, int]] = {}
"""Size, time and inode of the files that this process has found valid."""


class Stream(NamedTuple):
    """A stream file, memory-mapped.

    Attributes:
        table: what it holds.
        start: address of its map.
        size: bytes.
    """

    table: pa.Table
    start: int
    size: int


def open_stream(file: Path) -> Stream:
    """Map a stream file, and validate the columns that are used, once in a process for as long as it stays the same.

    Raises:
        InputError: the file is missing or damaged, of another form, or unpacks to far more than it is.
    """
    try:
        with open_regular(file) as data:
            indexed = data.read(len(_INDEXED)) == _INDEXED
            status = os.fstat(data.fileno())
        if indexed:
            raise InputError(
                f"{file} is an Arrow file with an index (Feather), not the stream that `datasets` writes and opens; "
                "save the data set with save_to_disk"
            )
        mapped = pa.memory_map(str(file))
        start = mapped.read_buffer(1).address if mapped.size() else 0
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        is_new = _validated.get(file) != stamp
        if is_new:
            _check_unpacked(mapped, file)
        mapped.seek(0)
        table = pa.ipc.open_stream(mapped).read_all()
        if is_new:
            _validate(table)
            _validated[file] = stamp
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; the data set is incomplete, copy it again") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged ({' '.join(str(error).split())[:200]}); copy it again") from error
    return Stream(table, start, mapped.size())


def column_of(table: pa.Table, name: str, place: Path) -> pa.ChunkedArray:
    """A column of a stream file; all values missing where the file has none of that name.

    Args:
        table: of the file.
        name: of the column.
        place: named where it stands twice.
    """
    places = table.schema.get_all_field_indices(name)
    if len(places) > 1:
        raise InputError(f"{place} has {len(places)} columns called {name!r}; name each once")
    return table.column(places[0]) if places else pa.chunked_array([pa.nulls(len(table))])


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _validate(table: pa.Table) -> None:
    for number, name in enumerate(table.column_names):
        # damage in what is not read is no reason to refuse a file
        if name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
            column = table.column(number)
            column.validate(full=True)
            # names are text only once they are asked for
            _ = [column.type.field(i).name for i in range(column.type.num_fields)]


def _check_unpacked(mapped: pa.MemoryMappedFile, file: Path) -> None:
    """Refuse a file that is small and unpacks to what no memory holds."""
    mapped.seek(0)
    limit = left = max(UNPACKED_BYTES, UNPACKED_RATIO * mapped.size())
    while left >= 0:
        try:
            message = pa.ipc.read_message(mapped)
        except EOFError:
            return
        left -= _unpacked_bytes(message)
    raise InputError(f"{file} is compressed and unpacks to more than {limit:,} bytes; save it uncompressed")


def _unpacked_bytes(message: pa.Message) -> int:
    """What the compressed buffers of a message say that they unpack to; 0 where none are compressed."""
    if message.type not in ("record batch", "dictionary") or message.body is None:
        return 0
    # Arrow has verified these FlatBuffers; their tables and fields are those of its Message.fbs
    metadata, body = memoryview(message.metadata), memoryview(message.body)
    batch = _table(metadata, _number(metadata, 0, 4), 2)
    if message.type == "dictionary":
        batch = _table(metadata, batch, 1)
    if not _field(metadata, batch, 3):
        return 0
    buffers = _table(metadata, batch, 2)
    starts = [_number(metadata, buffers + 4 + 16 * i, 8) for i in range(_number(metadata, buffers, 4))]
    # -1 stands before a buffer that is not compressed
    return sum(max(0, _number(body, start, 8)) for start in starts if start >= 0)


def _number(data: memoryview, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "little", signed=True)


def _field(data: memoryview, table: int, number: int) -> int:
    """Where a field of a FlatBuffers table stands; 0 where it is left out."""
    fields, entry = table - _number(data, table, 4), 4 + 2 * number
    offset = _number(data, fields + entry, 2) if entry < _number(data, fields, 2) else 0
    return table + offset if offset else 0


def _table(data: memoryview, table: int, number: int) -> int:
    """Where the table or vector begins that a field of a table leads to."""
    field = _field(data, table, number)
    return field + _number(data, field, 4)
