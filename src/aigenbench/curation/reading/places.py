"""Where the bytes of one image lie: a file, a member of an archive, a row of a table; and reading them there."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from aigenbench.data.pictures.decode import UnreadableImageError
from aigenbench.errors import InputError
from aigenbench.files import read_regular, readable_name

MAXIMUM_BYTES = 2**30
"""Of one image's file. A table's column holds 2 GiB."""

DAMAGE = (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, tarfile.TarError, pa.ArrowException)
"""What readers of archives and tables raise where these are damaged."""

Stamp = tuple[int, int]
"""Size of a file, and when it was last written (ns): they tell that it was written to."""


class Place(NamedTuple):
    """Where an image lies. Small: there may be millions.

    Attributes:
        kind: what ``path`` is.
        path: the file that holds the image.
        key: a zip member's name, a tar member's position, a row's number; of Parquet, within a row group of a number.
        size: bytes of the image, 0 where only reading tells.
        stamp: of ``path``, when it was listed.
    """

    kind: Literal["file", "zip", "tar", "arrow", "parquet"]
    path: str
    key: Any
    size: int
    stamp: Stamp


class RefusedError(InputError):
    """Images cannot be imported as they are: nothing is kept of what was made of them."""


def changed(path: str) -> RefusedError:
    """The error for a file that is no longer what was listed."""
    return RefusedError(f"{readable_name(path)} was changed while it was imported; import again when it is at rest")


def stamp_of(path: str | Path) -> Stamp:
    """The stamp of a file as it is now."""
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def file_place(path: str | Path) -> Place | None:
    """The place of an image in a file of its own; None where there is no such regular file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    stamp = (status.st_size, status.st_mtime_ns)
    return Place("file", str(path), None, stamp[0], stamp) if stat.S_ISREG(status.st_mode) else None


def read(place: Place) -> bytes:
    """The image's bytes.

    Raises:
        RefusedError: the file was changed since it was listed.
        UnreadableImageError: it cannot be read, or the image is larger than ``MAXIMUM_BYTES``.
    """
    try:
        if stamp_of(place.path) != place.stamp:
            raise changed(place.path)
        if place.size > MAXIMUM_BYTES:
            raise UnreadableImageError(f"a file of {place.size} bytes; expected at most {MAXIMUM_BYTES}")
        data = _READERS[place.kind](place)
    except FileNotFoundError:
        raise changed(place.path) from None
    except DAMAGE as error:
        raise UnreadableImageError(" ".join(str(error).split())) from error
    if place.size and len(data) < place.size:
        raise UnreadableImageError(f"the file ends within the image ({len(data)} of {place.size} bytes)")
    return data


def _read_file(place: Place) -> bytes:
    return read_regular(Path(place.path))


def _read_zip(place: Place) -> bytes:
    # of a member that holds more than it says, zipfile gives as much as said
    return _zip(place.path, place.stamp).read(place.key)


def _read_tar(place: Place) -> bytes:
    with Path(place.path).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), place.size, place.key)


def _read_arrow(place: Place) -> bytes:
    return bytes(_arrow(place.path, place.stamp).read(place.key))


def _read_parquet(place: Place) -> bytes:
    group, row = place.key
    value = _row_group(place.path, place.stamp, group)[row].as_py()
    if value is None:
        raise UnreadableImageError("the row holds no image")
    return bytes(value)


_READERS = {
    "file": _read_file,
    "zip": _read_zip,
    "tar": _read_tar,
    "arrow": _read_arrow,
    "parquet": _read_parquet,
}


@lru_cache(maxsize=4)
def _zip(path: str, stamp: Stamp) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=8)
def _arrow(path: str, stamp: Stamp) -> Any:
    from aigenbench.data.sources.arrow_images import ArrowImages

    return ArrowImages([Path(path)])


@lru_cache(maxsize=2)
def _row_group(path: str, stamp: Stamp, number: int) -> Any:
    """Bytes of the images of a row group: rows are asked for in order, so each group is read about once."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        column = file.read_row_group(number, columns=["image"]).column("image")
    if column.type.num_fields:
        # flattened, not taken out: a row without an image has no bytes either
        column = column.flatten()[column.type.get_field_index("bytes")]
    return column


def forget() -> None:
    """Close what is open."""
    for cache in (_zip, _arrow, _row_group):
        cache.cache_clear()
