"""Images inside Parquet shards, read where they are: of a row group only the page that holds the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.data.sources.parquet_bytes import Column, ParquetBytes, Shard, stamp_of
from aigenbench.errors import InputError
from aigenbench.files import open_regular

BYTES_COLUMNS, PATH_COLUMN = ("image.bytes", "image"), "image.path"


class ParquetImages:
    """Images of one split. Pickles as the files alone.

    Args:
        shards: the files, in order, as they were when they were opened.
        footers: of each, where they are at hand.

    Raises:
        InputError: they are damaged, or hold no encoded images.
    """

    def __init__(self, shards: Sequence[Shard], footers: Sequence[pq.FileMetaData] | None = None) -> None:
        self._shards = tuple(shards)
        footers = footers or [footer_of(shard) for shard in self._shards]
        images = [_images_of(shard, footer) for shard, footer in zip(self._shards, footers, strict=True)]
        paths = [_column(footer, PATH_COLUMN) for footer in footers]
        self._images = ParquetBytes(self._shards, images)
        try:
            self._images.check()
        except OSError as error:
            raise InputError(str(error)) from error
        self._paths = ParquetBytes(self._shards, [column for column in paths if column]) if all(paths) else None

    def __len__(self) -> int:
        return len(self._images)

    def __getstate__(self) -> tuple[Shard, ...]:
        return self._shards

    def __setstate__(self, shards: tuple[Shard, ...]) -> None:
        self.__init__(shards)  # type: ignore[misc]

    def read(self, row: int) -> bytes:
        """The file's bytes.

        Raises:
            OSError: none are stored, or as of ``ParquetBytes``.
        """
        data = self._images.read(row)
        if data is None:
            raise OSError("no bytes are stored; 'aigenbench data import' makes a data set of images elsewhere")
        return data

    def name(self, row: int) -> str:
        """The stored path, or ``""`` where none can be read."""
        try:
            found = self._paths.read(row) if self._paths is not None else None
        except OSError:
            return ""
        return (found or b"").decode("utf-8", "replace")

    def sizes(self) -> npt.NDArray[np.int64]:
        """Nothing: a length stands before its image, so that only reading all would tell them."""
        return np.empty(0, dtype=np.int64)

    def page_bytes(self) -> int:
        """Bytes that are read, and unpacked, for one image: of the first row group, the largest page."""
        return self._images.page_bytes()


def open_shard(path: Path) -> Shard:
    """A Parquet file as it is now.

    Raises:
        InputError: there is no such file.
    """
    try:
        with open_regular(path) as file:
            return Shard(path, stamp_of(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); copy the data set again") from error


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """What pyarrow raises of a damaged file becomes an ``InputError``."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())[:200]}); copy it again") from error


def footer_of(shard: Shard) -> pq.FileMetaData:
    """What a Parquet file says of itself.

    Raises:
        InputError: it is damaged.
    """
    with undamaged(shard.path), open_regular(shard.path) as file:
        footer = pq.read_metadata(file)
    # an image is no shorter than a byte
    if not 0 <= footer.num_rows <= shard.stamp[0]:
        raise InputError(f"{shard.path} says that it has {footer.num_rows} rows, more than bytes; copy it again")
    return footer


def _images_of(shard: Shard, footer: pq.FileMetaData) -> Column:
    columns = [column for name in BYTES_COLUMNS if (column := _column(footer, name))]
    if not columns:
        raise InputError(f"{shard.path}: column 'image' holds no encoded images (bytes and path)")
    if sum(columns[0].rows) != footer.num_rows:
        raise InputError(f"{shard.path} is damaged (row groups of other than {footer.num_rows} rows); copy it again")
    return columns[0]


def _column(footer: pq.FileMetaData, name: str) -> Column | None:
    """A column of bytes; None where there is none of this name."""
    for number in range(footer.num_columns):
        column = footer.schema.column(number)
        if column.path == name and column.physical_type == "BYTE_ARRAY" and not column.max_repetition_level:
            rows = tuple(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
            return Column(name, column.max_definition_level, rows)
    return None
