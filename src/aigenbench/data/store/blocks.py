"""Block files: rows of one shape under sorted int64 keys, written whole, checked when read.

A file is a header of 4,096 bytes (JSON, padded with blanks), the keys (int64), a sum of every row (uint64), padding to
a multiple of 4,096 bytes, and the rows. All numbers are little-endian.

A row's sum adds its 8-byte words modulo 2**64: it costs less than a copy (23 GB/s against 12 on one core), so it is
compared at every reading, and any damage within one word is found for certain. The header's SHA-256 of everything
(0.9 GB/s) is for `verify`.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError
from aigenbench.files import canonical_json, open_regular, whole_file
from aigenbench.json_text import parse_json

Keys = npt.NDArray[np.int64]
Sums = npt.NDArray[np.uint64]

FORMAT = "aigenbench rows 1"
PAGE = 4096
DTYPES = {"uint8": np.uint8, "float16": np.float16, "bfloat16": np.uint16, "float32": np.float32}
"""How every type of row is held in NumPy; ``bfloat16`` by its bits."""


class DamagedError(ValueError):
    """A block file is not what its writer wrote; the message says in which way."""


@dataclass(frozen=True)
class Layout:
    """What the rows of a store are.

    Attributes:
        store: the store's fingerprint, 16 hex digits.
        shape: of a row.
        dtype: one of `DTYPES`.
    """

    store: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The type that rows have in NumPy."""
        return np.dtype(DTYPES[self.dtype])

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.numpy_dtype.itemsize

    def start(self, n: int) -> int:
        """Where the rows of a file of ``n`` begin."""
        return PAGE + -(-16 * n // PAGE) * PAGE

    def file_bytes(self, n: int) -> int:
        """Size of a file of ``n`` rows."""
        return self.start(n) + n * self.row_bytes


@dataclass(frozen=True, eq=False)
class BlockIndex:
    """What a block file holds, without its rows.

    Attributes:
        path: the file.
        keys: sorted; int64 (n,).
        sums: of every row; uint64 (n,).
        sha256: of keys, sums and rows.
    """

    path: Path
    keys: Keys
    sums: Sums
    sha256: str


def block_name(keys: Keys) -> str:
    """Name of the file that holds exactly these keys."""
    return f"block_{hashlib.sha256(_little(keys)).hexdigest()[:16]}.rows"


def row_sums(rows: npt.NDArray[Any]) -> Sums:
    """The sum of every row's words of 8 bytes, and of the bytes that are left over; uint64 (n,)."""
    row_bytes = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    flat = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).reshape(len(rows), row_bytes)
    whole = row_bytes - row_bytes % 8
    sums: Sums = np.add.reduce(flat[:, :whole].view("<u8"), axis=1, dtype=np.uint64)
    return sums if whole == row_bytes else sums + np.add.reduce(flat[:, whole:], axis=1, dtype=np.uint64)


def write_block(path: Path, layout: Layout, keys: Keys, rows: npt.NDArray[Any]) -> None:
    """Write a block file, whole or not at all; the arguments must fit each other."""
    rows = np.ascontiguousarray(rows)
    index = _little(keys) + _little(row_sums(rows))
    digest = hashlib.sha256(index)
    digest.update(rows.data)
    header = {
        "format": FORMAT,
        "store": layout.store,
        "shape": list(layout.shape),
        "dtype": layout.dtype,
        "rows": len(keys),
        "index_sha256": hashlib.sha256(index).hexdigest(),
        "sha256": digest.hexdigest(),
    }
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(canonical_json(header).encode().ljust(PAGE - 1) + b"\n")
        file.write(index.ljust(layout.start(len(keys)) - PAGE, b"\0"))
        file.write(rows.data)


def read_index(path: Path, layout: Layout) -> BlockIndex:
    """Read header and keys, and check them and the file's size; the rows are not read.

    Raises:
        DamagedError: the file is partial or damaged.
        InputError: it is another store's, or no file.
        FileNotFoundError: it is not there.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _header(file.read(PAGE), path)
        if (header.get("store"), header.get("shape"), header.get("dtype")) != (
            layout.store,
            list(layout.shape),
            layout.dtype,
        ):
            raise InputError(f"{path} belongs to another store ({header.get('store')}); move it away")
        n = header.get("rows")
        if type(n) is not int or n < 1 or size != layout.file_bytes(n):
            raise DamagedError(f"it has {size} bytes, which is not the size of {n} rows")
        index = file.read(16 * n)
    keys = np.frombuffer(index, dtype="<i8", count=n)
    if hashlib.sha256(index).hexdigest() != header.get("index_sha256") or path.name != block_name(keys):
        raise DamagedError("its keys are not those it was written with")
    return BlockIndex(path, keys, np.frombuffer(index, dtype="<u8", offset=8 * n), str(header.get("sha256")))


def map_rows(index: BlockIndex, layout: Layout) -> npt.NDArray[Any]:
    """The rows, memory-mapped, read-only: (n, *shape)."""
    # from Python 3.13 on, a map can do without an open file
    untracked: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    with index.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, **untracked)
    n = len(index.keys)
    rows = np.frombuffer(mapped, dtype=np.uint8, offset=layout.start(n))
    return rows.view(layout.numpy_dtype).reshape(n, *layout.shape)


def check_rows(path: Path, layout: Layout) -> None:
    """Read a whole block file and compare its SHA-256.

    Raises:
        DamagedError: see `read_index`; or the rows are not those that were written.
    """
    index = read_index(path, layout)
    digest = hashlib.sha256(_little(index.keys) + _little(index.sums))
    digest.update(map_rows(index, layout).data)
    if digest.hexdigest() != index.sha256:
        raise DamagedError("its rows are not those it was written with (SHA-256)")


def _little(values: npt.NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}); move it away") from error


def _header(data: bytes, path: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = parse_json(data.decode(), str(path))
    except (UnicodeDecodeError, InputError) as error:
        raise DamagedError("it does not begin with a header") from error
    if header.get("format") != FORMAT:
        raise DamagedError(f"it is not of the format {FORMAT!r}")
    return header
