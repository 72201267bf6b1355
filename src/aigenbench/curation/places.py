"""Where the bytes of one image lie: a file, a member of an archive, a row of a table; and reading them there."""

from __future__ import annotations

import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aigenbench.errors import InputError
from aigenbench.files import read_regular, readable_name

MAXIMUM_BYTES = 2**30
"""Of one image's file. A table's column holds 2 GiB."""

Stamp = tuple[int, int]
"""Size of a file, and when it was last written (ns)."""


class Place(NamedTuple):
    """Where an image lies. Small: there may be millions.

    Attributes:
        kind: what ``path`` is.
        path: the file that holds the image.
        key: a zip member's name, a tar member's position, a row's number.
        size: bytes of the image, 0 where only reading tells.
        stamp: of ``path``, when it was listed.
    """

    kind: Literal["file", "zip", "tar", "arrow", "parquet"]
    path: str
    key: str | int
    size: int
    stamp: Stamp


class UnreadableError(ValueError):
    """The image cannot be read there; the message says why."""


class ChangedError(InputError):
    """A source was changed while it was imported."""


def stamp_of(path: str | Path) -> Stamp:
    """What tells that a file was written to."""
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def read(place: Place) -> Any:
    """The image's bytes, or a buffer of them.

    Raises:
        ChangedError: the file was changed since it was listed.
        UnreadableError: it cannot be read, or the image is larger than ``MAXIMUM_BYTES``.
    """
    try:
        if stamp_of(place.path) != place.stamp:
            raise changed(place.path)
        if place.size > MAXIMUM_BYTES:
            raise UnreadableError(f"a file of {place.size} bytes; expected at most {MAXIMUM_BYTES}")
        data = _READERS[place.kind](place)
    except FileNotFoundError:
        raise changed(place.path) from None
    except (OSError, zipfile.BadZipFile) as error:
        raise UnreadableError(" ".join(str(error).split())) from error
    if data is None:
        raise UnreadableError("the row holds no image")
    if place.size and len(data) < place.size:
        raise UnreadableError(f"the file ends within the image ({len(data)} of {place.size} bytes)")
    return data


def changed(path: str) -> ChangedError:
    """The error for a file that is no longer what was listed."""
    return ChangedError(f"{readable_name(path)} was changed while it was imported; import again when it is at rest")


def _read_file(place: Place) -> bytes:
    return read_regular(Path(place.path))


def _read_zip(place: Place) -> bytes:
    # of a member that says less than it holds, zipfile gives no more than said
    return _zip(place.path, place.stamp).read(str(place.key))


def _read_tar(place: Place) -> bytes:
    with Path(place.path).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), place.size, int(place.key))


def _read_arrow(place: Place) -> Any:
    return _arrow(place.path, place.stamp).read(int(place.key))


def _read_parquet(place: Place) -> Any:
    starts = _group_starts(place.path, place.stamp)
    row = int(place.key)
    group = next(number for number in range(len(starts) - 1, -1, -1) if starts[number] <= row)
    value = _group(place.path, place.stamp, group)[row - starts[group]]
    return value.as_buffer() if value.is_valid else None


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


@lru_cache(maxsize=8)
def _parquet(path: str, stamp: Stamp) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


@lru_cache(maxsize=64)
def _group_starts(path: str, stamp: Stamp) -> list[int]:
    metadata = _parquet(path, stamp).metadata
    starts = [0]
    for number in range(metadata.num_row_groups - 1):
        starts.append(starts[-1] + metadata.row_group(number).num_rows)
    return starts


@lru_cache(maxsize=2)
def _group(path: str, stamp: Stamp, number: int) -> Any:
    """The images of a row group: rows are asked for in order, so each group is read about once."""
    column = _parquet(path, stamp).read_row_group(number, columns=["image"]).column("image")
    if column.type.num_fields:
        # flattened, not taken out: a row without an image has no bytes either
        column = column.flatten()[column.type.get_field_index("bytes")]
    return column


def forget() -> None:
    """Close what is open."""
    for cache in (_zip, _arrow, _group, _group_starts, _parquet):
        cache.cache_clear()
