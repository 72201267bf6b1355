"""What the rows of Parquet shards, and of data sets saved by ``datasets``, say of their images, which are not read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.curation.entries import PAIRED, SAID, SPLITS, SYNONYMS, Entry, Faults, Rules, in_our_words, make_entry
from aigenbench.curation.places import Place, stamp_of
from aigenbench.curation.trees import within
from aigenbench.data.sources.arrow_images import open_table
from aigenbench.errors import InputError
from aigenbench.files import read_regular

_ROWS = 5000
_WANTED = (*SAID, *SYNONYMS, PAIRED)

Classes = dict[str, list[str]]
"""Names of the classes of each column of them."""


def open_parquet(path: Path) -> Any:
    """A Parquet file.

    Raises:
        InputError: it is damaged.
    """
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is a damaged Parquet file ({' '.join(str(error).split())}); copy it again") from error


def parquet_entries(root: Path, path: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of the rows of a Parquet file.

    Where they say no split, the file's name below ``root`` does (``train-00000-of-00072.parquet``), or a folder's.
    """
    name = path.relative_to(root)
    stamp = stamp_of(path)
    split = next((one for one in SPLITS if one in name.parts or name.name.startswith(one)), "")
    with open_parquet(path) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        keys = ((number, row) for number, count in enumerate(groups) for row in range(count))
        places = (Place("parquet", str(path), key, 0, stamp) for key in keys)
        columns = [column for column in file.schema_arrow.names if column in _WANTED]
        said = (row for batch in file.iter_batches(_ROWS, columns=columns) for row in batch.to_pylist())
        classes = _noted_classes(file.schema_arrow.metadata)
        yield from _entries(
            zip(places, said, strict=True), classes, f"{root.name}/{name}", str(name), split, rules, faults
        )


def saved_entries(root: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of a data set that ``save_to_disk`` wrote, or of one split; a selection kept as indices is followed.

    Raises:
        InputError: a file is missing, damaged, or lies outside.
    """
    if not (root / "dataset_dict.json").is_file():
        yield from _split_entries(root, root.name, "", rules, faults)
        return
    for split in map(str, _json(root / "dataset_dict.json").get("splits") or ()):
        yield from _split_entries(root / split, f"{root.name}/{split}", split, rules, faults)


def _split_entries(folder: Path, name: str, split: str, rules: Rules, faults: Faults) -> Iterator[Entry]:
    state, info = _json(folder / "state.json"), folder / "dataset_info.json"
    files = _files(folder, state.get("_data_files"), rules)
    tables = [open_table(file) for file in files]
    starts = np.cumsum([0, *map(len, tables)])
    selections = [open_table(file) for file in _files(folder, state.get("_indices_data_files") or [], rules)]
    if any(one.schema.names != ["indices"] for one in selections):
        raise InputError(f"{folder}: its files of indices hold none; copy the data set again")
    order = np.concatenate([one.column(0).to_numpy() for one in selections] or [np.arange(starts[-1])]).astype(np.int64)
    if order.min(initial=0) < 0 or order.max(initial=0) >= max(starts[-1], 1):
        raise InputError(f"{folder}: its indices name row {order.max()} of {starts[-1]}; copy the data set again")
    stamps = [stamp_of(file) for file in files]
    numbers = np.searchsorted(starts, order, side="right") - 1
    located = zip(numbers.tolist(), (order - starts[numbers]).tolist(), strict=True)
    places = (Place("arrow", str(files[number]), row, 0, stamps[number]) for number, row in located)
    columns = [column for column in _WANTED if all(column in table.column_names for table in tables)]
    texts = pa.concat_tables([table.select(columns) for table in tables], promote_options="permissive")
    parts = (texts.take(pa.array(order[at : at + _ROWS])) for at in range(0, len(order), _ROWS))
    said = (row for part in parts for row in part.to_pylist())
    classes = _classes(_json(info).get("features")) if info.is_file() else _noted_classes(tables[0].schema.metadata)
    yield from _entries(zip(places, said, strict=True), classes, name, name, split, rules, faults)


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
    for name in names:
        found = within(folder, name, rules.follow_links)
        if isinstance(found, str):
            raise InputError(f"{folder}: {name}: {found}; copy the data set again")
    return [folder / name for name in names]


def _noted_classes(metadata: Mapping[bytes, bytes] | None) -> Classes:
    try:
        return _classes(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}


def _classes(features: Any) -> Classes:
    named = {name: one.get("names") for name, one in dict(features or {}).items() if isinstance(one, dict)}
    return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(read_regular(path)))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is missing or damaged ({error}); copy the data set again") from error
