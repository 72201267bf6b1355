"""What the rows of Parquet shards, and of data sets saved by ``datasets``, say of their images, which are not read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.curation.entries import SAID, SPLITS, SYNONYMS, Entry, Faults, Rules, make_entry
from aigenbench.curation.layouts import in_our_words
from aigenbench.curation.places import Place, stamp_of
from aigenbench.curation.trees import within
from aigenbench.errors import InputError
from aigenbench.files import read_regular

_ROWS = 5000
_WANTED = (*SAID, *SYNONYMS, "paired_real_images")


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
    file = open_parquet(path)
    name = path.relative_to(root).as_posix()
    stamp = stamp_of(path)
    split = next((one for one in SPLITS if one in path.relative_to(root).parts or path.name.startswith(one)), "")
    places = (Place("parquet", str(path), row, 0, stamp) for row in range(file.metadata.num_rows))
    wanted = [column for column in file.schema_arrow.names if column in _WANTED]
    batches = file.iter_batches(_ROWS, columns=wanted) if wanted else []
    said = (row for batch in batches for row in batch.to_pylist())
    yield from _entries(
        places, said, _classes(file.schema_arrow.metadata), name, f"{root.name}/{name}", split, rules, faults
    )


def saved_entries(root: Path, rules: Rules, faults: Faults) -> Iterator[Entry]:
    """Entries of a data set that ``save_to_disk`` wrote, or of one split; a selection kept as indices is followed.

    Raises:
        InputError: a file is missing, damaged, or lies outside.
    """
    if (root / "dataset_dict.json").is_file():
        for split in map(str, _json(root / "dataset_dict.json").get("splits") or ()):
            yield from _split_entries(root / split, split, f"{root.name}/{split}", rules, faults)
    else:
        split = str(_json(root / "state.json").get("_split") or "")
        yield from _split_entries(root, split if split in SPLITS else "", root.name, rules, faults)


def _split_entries(folder: Path, split: str, name: str, rules: Rules, faults: Faults) -> Iterator[Entry]:
    from aigenbench.data.sources.arrow_images import open_table

    state = _json(folder / "state.json")
    files = _files(folder, state.get("_data_files"), rules)
    tables = [open_table(file) for file in files]
    starts = np.cumsum([0, *map(len, tables)])
    indices = _files(folder, state.get("_indices_data_files") or [], rules)
    order = np.concatenate([open_table(one).column("indices").to_numpy() for one in indices] or [np.arange(starts[-1])])
    if len(order) and int(order.max()) >= starts[-1]:
        raise InputError(f"{folder}: its indices name row {order.max()} of {starts[-1]}; copy the data set again")
    stamps = [stamp_of(file) for file in files]
    number = np.searchsorted(starts, order, side="right") - 1
    rows = order - starts[number]
    places = (
        Place("arrow", str(files[file]), int(row), 0, stamps[file]) for file, row in zip(number, rows, strict=True)
    )
    wanted = [column for column in _WANTED if all(column in table.column_names for table in tables)]
    texts = pa.concat_tables([table.select(wanted) for table in tables], promote_options="permissive")
    info = folder / "dataset_info.json"
    classes = _class_names(_json(info).get("features")) if info.is_file() else _classes(tables[0].schema.metadata)
    parts = (texts.take(pa.array(order[at : at + _ROWS])) for at in range(0, len(order), _ROWS))
    said = (row for part in parts for row in part.to_pylist())
    yield from _entries(places, said, classes, name, name, split, rules, faults)


def _entries(
    places: Iterator[Place],
    said: Iterator[dict[str, Any]],
    classes: Mapping[str, list[str]],
    order: str,
    name: str,
    split: str,
    rules: Rules,
    faults: Faults,
) -> Iterator[Entry]:
    for row, place in enumerate(places):
        values = in_our_words({key: value for key, value in next(said, {}).items() if value is not None})
        for column, names in classes.items():
            code = values.get(column)
            if isinstance(code, int):
                values[column] = names[code] if 0 <= code < len(names) else ""
        if isinstance(values.get("label"), (bool, float)) and float(values["label"]).is_integer():
            values["label"] = int(values["label"])
        values.setdefault("split", split)
        entry = make_entry(place, f"{name}/{row}", values, (order, row), rules, faults, f"{name}, row {row}")
        if entry is not None:
            yield entry


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


def _classes(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    try:
        return _class_names(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}


def _class_names(features: Any) -> dict[str, list[str]]:
    if not isinstance(features, dict):
        return {}
    named = {name: one["names"] for name, one in features.items() if isinstance(one, dict) and one.get("names")}
    return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is missing or damaged ({error}); copy the data set again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON mapping; copy the data set again")
    return content
