"""Parquet shards with the benchmark's columns, as the Hugging Face hub holds data sets, read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.data.sources.columns import check_columns, generators_of, labels_of, noted_classes, values_of
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.parquet_bytes import Shard
from aigenbench.data.sources.parquet_images import ParquetImages, footer_of, open_shard, undamaged
from aigenbench.data.sources.shards import find_shards, is_shard
from aigenbench.data.sources.streams import UNPACKED_BYTES, UNPACKED_RATIO, column_of
from aigenbench.data.sources.tables import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Columns, ImageTable, make_table
from aigenbench.errors import InputError

_FACTS = ("label", "generator")


def open_parquet(path: Path, follow_links: bool = False) -> dict[str, ImageTable]:
    """Open every split of a folder of Parquet shards, or of one such file.

    Raises:
        InputError: shards are missing or damaged, a column is missing or of another type; a file lies outside the
            folder, where ``follow_links`` does not allow it.
    """
    return {split: _open_split(path, split, shards) for split, shards in _shards(path, follow_links).items()}


def open_parquet_images(path: Path, follow_links: bool = False) -> ImageTable:
    """The images alone of the split ``test``, or else ``validation``, or of the only one: no labels are needed.

    Raises:
        InputError: there is no such split, or as of ``open_parquet``.
    """
    # of a file alone, the name need say nothing
    by_split = {path.stem: [open_shard(path)]} if is_shard(path) else _shards(path, follow_links)
    split = next((one for one in ("test", "validation") if one in by_split), "")
    if not split and len(by_split) == 1:
        (split,) = by_split
    if not split:
        raise InputError(f"{path} has no split 'test' or 'validation'; found {', '.join(by_split) or 'none'}")
    store = ParquetImages(by_split[split])
    nothing = np.zeros(len(store), dtype=np.int32)
    return ImageTable(split, nothing.astype(np.uint8), nothing, ("",), store, Columns({}))


def _shards(path: Path, follow_links: bool) -> dict[str, list[Shard]]:
    by_split = find_shards(path)
    if not follow_links and path.is_dir():
        check_inside(path, [str(file.relative_to(path)) for files in by_split.values() for file in files], str(path))
    return {split: [open_shard(file) for file in files] for split, files in by_split.items()}


def _open_split(place: Path, split: str, shards: Sequence[Shard]) -> ImageTable:
    footers = [footer_of(shard) for shard in shards]
    store = ParquetImages(shards, footers)
    with undamaged(place):
        schemas = [footer.schema.to_arrow_schema() for footer in footers]
    held = check_columns(shards[0].path.parent, [schema.empty_table() for schema in schemas], REQUIRED_COLUMNS)
    tables = [_read(shard, footer, _FACTS) for shard, footer in zip(shards, footers, strict=True)]
    classes = noted_classes(schemas[0])
    codes, names = generators_of(place, tables, classes.get("generator"))
    labels = labels_of(place, tables, classes.get("label"))
    columns = {name: partial(_read_column, shards, name) for name in OPTIONAL_COLUMNS if name in held}
    return make_table(place, split, labels, codes, names, store, Columns(columns))


def _read(shard: Shard, footer: pq.FileMetaData, names: Sequence[str]) -> pa.Table:
    """Columns of a shard, validated, texts as numbers into a dictionary: so none takes more memory than the file."""
    _check_unpacked(shard, footer)
    with undamaged(shard.path):
        schema = footer.schema.to_arrow_schema()
        texts = [name for name in names if name in schema.names and _is_plain_text(schema, name)]
        with pq.ParquetFile(shard.path, metadata=footer, read_dictionary=texts) as file:
            table = file.read([name for name in names if name in schema.names], use_threads=False)
        if open_shard(shard.path) != shard:
            raise InputError(f"{shard.path} was changed since the data set was opened; start again when it is at rest")
        for column in table.columns:
            column.validate(full=True)
        # each row group has dictionaries of its own
        return table.combine_chunks()


def _is_plain_text(schema: pa.Schema, name: str) -> bool:
    kinds = [schema.field(i).type for i in schema.get_all_field_indices(name)]
    return all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds)


def _check_unpacked(shard: Shard, footer: pq.FileMetaData) -> None:
    """Refuse a file that is small and unpacks to what no memory holds."""
    limit = max(UNPACKED_BYTES, UNPACKED_RATIO * shard.stamp[0])
    if sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups)) > limit:
        raise InputError(f"{shard.path} unpacks to more than {limit:,} bytes; save it uncompressed")


def _read_column(shards: Sequence[Shard], name: str) -> npt.NDArray[Any]:
    tables = [_read(shard, footer_of(shard), (name,)) for shard in shards]
    columns = [column_of(table, name, shard.path) for table, shard in zip(tables, shards, strict=True)]
    return values_of(columns, name, shards[0].path.parent)
