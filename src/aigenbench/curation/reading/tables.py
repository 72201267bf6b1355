"""What the rows of Parquet shards, and of data sets saved by ``datasets``, say of their images, which are not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.curation.reading.entries import PAIRED, SAID, SYNONYMS, Listing, Rules, in_our_words
from aigenbench.curation.reading.places import Place, stamp_of
from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.data.sources.columns import Classes, classes_in, noted_classes
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.shards import split_of_shard
from aigenbench.data.sources.streams import open_stream
from aigenbench.errors import InputError
from aigenbench.files import read_json

_ROWS = 5000
_WANTED = (*SAID, *SYNONYMS, PAIRED)


def open_parquet(path: Path) -> Any:
    """A Parquet file.

    Raises:
        InputError: it is damaged.
    """
    with _undamaged(path):
        return pq.ParquetFile(path)


def parquet_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, of some columns or all."""
    with open_parquet(path) as file, _undamaged(path):
        for batch in file.iter_batches(_ROWS, columns=columns):
            yield from _rows(batch)


def _rows(batch: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _validated(batch).to_pylist()
    return rows


def _validated(table: Any) -> Any:
    table.validate(full=True)
    return table


@contextmanager
def _undamaged(place: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # such as fewer rows than the file says, and text that is none
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{place} is damaged ({' '.join(str(error).split())}); copy it again") from error


def list_parquet(root: Path, path: Path, listing: Listing) -> None:
    """List the rows of a Parquet file.

    Where they say no split, the file's name below ``root`` does (``train-00000-of-00072.parquet``), or a folder's.
    """
    name, stamp = path.relative_to(root), stamp_of(path)
    split = split_of_shard(name)
    with open_parquet(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if sum(groups) > stamp[0]:
        raise InputError(f"{path} says that it has {sum(groups)} rows, more than bytes; copy it again")
    keys = ((number, row) for number, count in enumerate(groups) for row in range(count))
    places = (Place("parquet", str(path), key, 0, stamp) for key in keys)
    said = parquet_rows(path, [column for column in schema.names if column in _WANTED])
    with _undamaged(path):
        _list_rows(listing, places, said, noted_classes(schema), (f"{root.name}/{name}", str(name)), split)


def list_saved(root: Path, listing: Listing) -> None:
    """List a data set that ``save_to_disk`` wrote, or one split; a selection kept as indices is followed.

    Raises:
        InputError: a file is missing, damaged, or lies outside.
    """
    if not (root / "dataset_dict.json").is_file():
        _list_split(root, root.name, "", listing)
        return
    for split in map(str, read_json(root / "dataset_dict.json").get("splits") or ()):
        _list_split(root / split, f"{root.name}/{split}", split, listing)


def _list_split(folder: Path, name: str, split: str, listing: Listing) -> None:
    state, info, rules = read_json(folder / "state.json"), folder / "dataset_info.json", listing.rules
    files = _files(folder, state.get("_data_files"), rules)
    tables = [open_stream(file).table for file in files]
    if not rules.follow_links:
        check_inside(folder, ArrowImages(files).outer_paths(), f"{folder}: images", Path.cwd())
    starts, stamps = np.cumsum([0, *map(len, tables)]), [stamp_of(file) for file in files]
    order = _selection(folder, _files(folder, state.get("_indices_data_files") or [], rules), int(starts[-1]))
    numbers = np.searchsorted(starts, order, side="right") - 1
    located = zip(numbers.tolist(), (order - starts[numbers]).tolist(), strict=True)
    places = (Place("arrow", str(files[number]), row, 0, stamps[number]) for number, row in located)
    columns = [column for column in _WANTED if all(column in table.column_names for table in tables)]
    classes = classes_in(read_json(info).get("features")) if info.is_file() else noted_classes(tables[0].schema)
    with _undamaged(folder):
        # before they are indexed: offsets that lead astray end the process
        checked = [_validated(table.select(columns)) for table in tables]
        texts = pa.concat_tables(checked, promote_options="permissive")
        parts = (texts.take(pa.array(order[at : at + _ROWS])) for at in range(0, len(order), _ROWS))
        _list_rows(listing, places, (row for part in parts for row in _rows(part)), classes, (name, name), split)


def _selection(folder: Path, files: list[Path], count: int) -> npt.NDArray[np.int64]:
    """Numbers of the rows that files of indices name; of all where there are none."""
    if not files:
        return np.arange(count, dtype=np.int64)
    with _undamaged(folder):
        tables = [_validated(open_stream(file).table) for file in files]
    if any(table.schema.names != ["indices"] for table in tables):
        raise InputError(f"{folder}: its files of indices hold none; copy the data set again")
    rows = np.concatenate([table.column(0).to_numpy() for table in tables]).astype(np.int64)
    if rows.min(initial=0) < 0 or rows.max(initial=0) >= max(count, 1):
        raise InputError(f"{folder}: its indices name row {rows.max()} of {count}; copy the data set again")
    return rows


def _list_rows(
    listing: Listing,
    places: Iterable[Place],
    rows: Iterable[dict[str, Any]],
    classes: Classes,
    names: tuple[str, str],
    split: str,
) -> None:
    """List rows; ``names`` are of the table, in ids and in the order of images."""
    name, order = names
    for number, (place, row) in enumerate(zip(places, rows, strict=True)):
        said = in_our_words({"split": split, **{key: value for key, value in row.items() if value is not None}})
        for column, known in classes.items():
            code = said.get(column)
            if isinstance(code, int):
                said[column] = known[code] if 0 <= code < len(known) else ""
        if isinstance(said.get("label"), (bool, float)) and float(said["label"]).is_integer():
            said["label"] = int(said["label"])
        listing.found(place, f"{name}/{number}", said, (order, number), f"{name}, row {number}")


def _files(folder: Path, entries: Any, rules: Rules) -> list[Path]:
    try:
        names = [str(entry["filename"]) for entry in entries]
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder}: state.json names no data files; copy the data set again") from error
    if not rules.follow_links:
        check_inside(folder, names, str(folder / "state.json"))
    return [folder / name for name in names]
