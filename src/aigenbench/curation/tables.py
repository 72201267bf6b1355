"""What the rows of Parquet shards, and of data sets saved by ``datasets``, say of their images, which are not read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.curation.entries import PAIRED, SAID, SPLITS, SYNONYMS, Entry, Faults, Rules, in_our_words, make_entry
from aigenbench.curation.places import Place, stamp_of
from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.streams import open_stream
from aigenbench.errors import InputError
from aigenbench.files import read_json

_ROWS = 5000
_WANTED = (*SAID, *SYNONYMS, PAIRED)

Classes = dict[str, list[str]]
"""Names of the classes of each column of them."""


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


def parquet_entries(root: Path, path: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of the rows of a Parquet file.

    Where they say no split, the file's name below ``root`` does (``train-00000-of-00072.parquet``), or a folder's.
    """
    name = path.relative_to(root)
    stamp = stamp_of(path)
    split = next((one for one in SPLITS if one in name.parts or name.name.startswith(one)), "")
    with open_parquet(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if sum(groups) > stamp[0]:
        raise InputError(f"{path} says that it has {sum(groups)} rows, more than bytes; copy it again")
    keys = ((number, row) for number, count in enumerate(groups) for row in range(count))
    places = (Place("parquet", str(path), key, 0, stamp) for key in keys)
    rows = zip(places, parquet_rows(path, [column for column in schema.names if column in _WANTED]), strict=True)
    with _undamaged(path):
        classes = _noted_classes(schema.metadata)
        yield from _entries(rows, classes, f"{root.name}/{name}", str(name), split, rules, faults)


def saved_entries(root: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of a data set that ``save_to_disk`` wrote, or of one split; a selection kept as indices is followed.

    Raises:
        InputError: a file is missing, damaged, or lies outside.
    """
    if not (root / "dataset_dict.json").is_file():
        yield from _split_entries(root, root.name, "", rules, faults)
        return
    for split in map(str, read_json(root / "dataset_dict.json").get("splits") or ()):
        yield from _split_entries(root / split, f"{root.name}/{split}", split, rules, faults)


def _split_entries(folder: Path, name: str, split: str, rules: Rules, faults: Faults) -> Iterator[Entry]:
    state, info = read_json(folder / "state.json"), folder / "dataset_info.json"
    files = _files(folder, state.get("_data_files"), rules)
    tables = [open_stream(file).table for file in files]
    if not rules.follow_links:
        check_inside(folder, ArrowImages(files).outer_paths(), f"{folder}: images", Path.cwd())
    starts = np.cumsum([0, *map(len, tables)])
    order = _selection(folder, _files(folder, state.get("_indices_data_files") or [], rules), int(starts[-1]))
    stamps = [stamp_of(file) for file in files]
    numbers = np.searchsorted(starts, order, side="right") - 1
    located = zip(numbers.tolist(), (order - starts[numbers]).tolist(), strict=True)
    places = (Place("arrow", str(files[number]), row, 0, stamps[number]) for number, row in located)
    columns = [column for column in _WANTED if all(column in table.column_names for table in tables)]
    classes = _classes(read_json(info).get("features")) if info.is_file() else _noted_classes(tables[0].schema.metadata)
    with _undamaged(folder):
        # before they are indexed: offsets that lead astray end the process
        texts = pa.concat_tables(
            map(_validated, [table.select(columns) for table in tables]), promote_options="permissive"
        )
        parts = (texts.take(pa.array(order[at : at + _ROWS])) for at in range(0, len(order), _ROWS))
        said = (row for part in parts for row in _rows(part))
        yield from _entries(zip(places, said, strict=True), classes, name, name, split, rules, faults)


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


def _entries(
    rows: Iterable[tuple[Place, dict[str, Any]]],
    classes: Classes,
    name: str,
    order: str,
    split: str,
    rules: Rules,
    faults: Faults,
) -> Iterator[Entry]:
    for row, (place, said) in enumerate(rows):
        values = in_our_words({"split": split, **{key: value for key, value in said.items() if value is not None}})
        for column, names in classes.items():
            code = values.get(column)
            if isinstance(code, int):
                values[column] = names[code] if 0 <= code < len(names) else ""
        if isinstance(values.get("label"), (bool, float)) and float(values["label"]).is_integer():
            values["label"] = int(values["label"])
        yield from make_entry(place, f"{name}/{row}", values, (order, row), rules, faults, f"{name}, row {row}")


def _files(folder: Path, entries: Any, rules: Rules) -> list[Path]:
    try:
        names = [str(entry["filename"]) for entry in entries]
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder}: state.json names no data files; copy the data set again") from error
    if not rules.follow_links:
        check_inside(folder, names, str(folder / "state.json"))
    return [folder / name for name in names]


def _noted_classes(metadata: Mapping[bytes, bytes] | None) -> Classes:
    try:
        return _classes(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}


def _classes(features: Any) -> Classes:
    named = {name: one.get("names") for name, one in dict(features or {}).items() if isinstance(one, dict)}
    return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}
