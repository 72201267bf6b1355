"""Data sets saved by Hugging Face ``datasets`` (``save_to_disk``), read through Arrow itself.

``state.json`` names the stream files; of what else the ``datasets`` package writes only the names of class labels are
used. So a folder saved by any of its versions opens, with columns in any order and of any type that holds the same
values, in each file its own. Images stay on disk until they are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.streams import column_of, is_text, open_stream
from aigenbench.data.sources.tables import (
    LABELS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Columns,
    ImageTable,
    make_table,
)
from aigenbench.errors import InputError, MissingFileError
from aigenbench.files import read_json
from aigenbench.json_text import parse_json

_MISSING = -1
_TOLD = 3


def open_saved_dataset(path: Path, follow_links: bool = False) -> dict[str, ImageTable]:
    """Open every split of a ``DatasetDict`` folder.

    Raises:
        InputError: a single split, a missing or damaged file, a missing column, or one of another type; a file lies
            outside, where ``follow_links`` does not allow it.
    """
    root = None if follow_links else path
    return {name: _open_split(path / name, name, root) for name in _split_names(path)}


def open_evaluation_images(path: Path, follow_links: bool = False) -> ImageTable:
    """The images alone of the split ``test``, or else ``validation``, or of a single saved split: no labels are needed.

    Raises:
        InputError: there is no such split, a file is missing or damaged, or there are no images; a file lies outside,
            where ``follow_links`` does not allow it.
    """
    folder, split = path, path.name
    if (path / "dataset_dict.json").is_file():
        names = _split_names(path)
        found = next((name for name in ("test", "validation") if name in names), None)
        if found is None:
            raise InputError(f"{path} has no split 'test' or 'validation'; found {', '.join(names) or 'none'}")
        folder, split = path / found, found
    root = None if follow_links else path
    files = _files(folder, root)
    _check_columns(folder, [open_stream(file).table for file in files], ("image",))
    store = _images(files, root)
    nothing = np.zeros(len(store), dtype=np.int32)
    return ImageTable(split, nothing.astype(np.uint8), nothing, ("",), store, Columns({}))


def _split_names(path: Path) -> list[str]:
    if not (path / "dataset_dict.json").is_file():
        raise InputError(
            f"{path} is a single saved split; expected the folder above it, with dataset_dict.json and the splits "
            "'train' and 'validation'"
        )
    names = _read_json(path / "dataset_dict.json").get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path / 'dataset_dict.json'} names no splits; the data set is damaged, copy it again")
    return names


def _open_split(folder: Path, split: str, root: Path | None) -> ImageTable:
    files = _files(folder, root)
    tables = [open_stream(file).table for file in files]
    held = _check_columns(folder, tables, REQUIRED_COLUMNS)
    classes = _class_names(folder, tables[0])
    codes, names = _generators(folder, tables, classes.get("generator"))
    columns = {name: partial(_read_column, files, name) for name in OPTIONAL_COLUMNS if name in held}
    labels = _labels(folder, tables, classes.get("label"))
    return make_table(folder.parent, split, labels, codes, names, _images(files, root), Columns(columns))


def _images(files: list[Path], root: Path | None) -> ArrowImages:
    """The images of a split; those that are paths alone lie inside ``root``, where there is one."""
    images = ArrowImages(files)
    if root is not None and (paths := images.outer_paths()):
        check_inside(root, paths, f"{files[0].parent}: images", Path.cwd())
    return images


def _files(folder: Path, root: Path | None) -> list[Path]:
    state = _read_json(folder / "state.json")
    entries = state.get("_data_files")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{folder}: state.json names no data files")
    if state.get("_indices_data_files"):
        raise InputError(
            f"{folder} holds a selection of rows in indices of its own; save it again with flatten_indices()"
        )
    found = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    names = [name for name in found if isinstance(name, str) and name and "\0" not in name]
    if names != found:
        raise InputError(f"{folder}: state.json names no data files; copy the data set again")
    if root is not None:
        check_inside(root, names, str(folder / "state.json"), folder)
    return [folder / name for name in names]


def _check_columns(folder: Path, tables: Sequence[pa.Table], wanted: Sequence[str]) -> list[str]:
    """The names of all columns of any file; a file may lack one, whose values are then missing."""
    held = list(dict.fromkeys(name for table in tables for name in table.column_names))
    missing = [name for name in wanted if name not in held]
    if missing:
        raise InputError(f"{folder}: the column {', '.join(missing)} is missing; found {', '.join(held)}")
    return held


def _class_names(folder: Path, table: pa.Table) -> Mapping[str, list[str]]:
    """Names of the classes of each ``ClassLabel`` column, as ``dataset_info.json`` or the files themselves tell."""
    info = folder / "dataset_info.json"
    if info.is_file():
        features = _read_json(info).get("features")
    else:
        noted = (table.schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = parse_json(noted.decode(), "")["info"]["features"]
        except (InputError, UnicodeDecodeError, KeyError, TypeError):
            features = None
    if not isinstance(features, dict):
        return {}
    named = {name: one.get("names") for name, one in features.items() if isinstance(one, dict)}
    return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}


def _generators(
    folder: Path, tables: Sequence[pa.Table], classes: list[str] | None
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    parts = []
    for table in tables:
        column = _plain(column_of(table, "generator", folder))
        if pa.types.is_integer(column.type):
            if classes is None:
                raise InputError(
                    f"{folder}: column 'generator' holds numbers ({column.type}) whose names stand nowhere; expected "
                    "names, or a dataset_info.json that names the classes"
                )
            column = _named(column, classes, folder)
        if not (is_text(column.type) or pa.types.is_null(column.type)):
            raise InputError(f"{folder}: column 'generator' holds {column.type}, expected names")
        parts.append(column)
    return _dictionary(parts)


def _named(column: pa.ChunkedArray, classes: list[str], folder: Path) -> pa.ChunkedArray:
    """Names for the codes of a ``ClassLabel`` column; -1 is its missing value."""
    codes = _integers([column], _MISSING)
    wrong = codes[(codes >= len(classes)) | (codes < _MISSING)]
    if len(wrong):
        raise InputError(f"{folder}: column 'generator' holds class {wrong[0]}, but there are {len(classes)} names")
    # without wrapping around, -1 has no place
    places = np.where(codes == _MISSING, len(classes), codes)
    return pa.chunked_array([pa.array([*classes, ""], pa.string()).take(pa.array(places))])


def _labels(folder: Path, tables: Sequence[pa.Table], classes: list[str] | None) -> npt.NDArray[np.int64]:
    labels = np.concatenate([_file_labels(folder, table, classes) for table in tables])
    missing = np.flatnonzero(labels == _MISSING)
    if len(missing):
        rows = ", ".join(map(str, missing[:_TOLD])) + (", ..." if len(missing) > _TOLD else "")
        raise InputError(
            f"{folder}: the label is missing in {len(missing)} of {len(labels)} rows (row {rows}); expected 0 (real) "
            "or 1 (fake) in each"
        )
    return labels


def _file_labels(folder: Path, table: pa.Table, classes: list[str] | None) -> npt.NDArray[np.int64]:
    """Labels of a file, 0 or 1 where its classes are called so or real and fake; -1 where missing."""
    column = _plain(column_of(table, "label", folder))
    if pa.types.is_null(column.type):
        return np.full(len(column), _MISSING, dtype=np.int64)
    if is_text(column.type):
        places, words = _dictionary([column])
        return _by_name(folder, words, places)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_floating(column.type):
        try:
            # NaN is what some write for a missing value
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InputError(f"{folder}: column 'label' holds fractions, expected 0 and 1") from error
    if not pa.types.is_integer(column.type):
        raise InputError(f"{folder}: column 'label' holds {column.type}, expected 0 and 1")
    codes = _integers([column], _MISSING).astype(np.int64)
    names = (*(classes or ()), "")
    named = [name.strip().lower() in LABELS for name in classes or ()]
    if not named or not all(named) or codes.max(initial=0) >= len(named) or codes.min(initial=0) < _MISSING:
        return codes
    # -1 is the last of them, which has no name
    return _by_name(folder, names, codes)


def _by_name(folder: Path, names: Sequence[str], codes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    known = [_MISSING if not name.strip() else LABELS.get(name.strip().lower()) for name in names]
    if None in known:
        found = names[known.index(None)]
        raise InputError(f"{folder}: column 'label' holds {found!r}, expected 'real' and 'fake', or 0 and 1")
    return np.array(known, dtype=np.int64).take(codes, mode="wrap")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a dictionary-encoded column."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _dictionary(columns: Sequence[pa.ChunkedArray]) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Index of every row into the distinct values, a missing value being an empty text."""
    code_of: dict[str, int] = {}
    parts = [np.empty(0, dtype=np.int32)]
    for column in columns:
        # Arrow's kernels know fewer types than there are of texts
        column = column.cast(pa.large_string())
        found = pc.unique(column)
        codes = [code_of.setdefault(text or "", len(code_of)) for text in found.to_pylist()]
        parts.append(np.array(codes, dtype=np.int32)[_integers([pc.index_in(column, value_set=found)], 0)])
    return np.concatenate(parts), tuple(code_of)


def _integers(columns: Sequence[pa.ChunkedArray], missing: int) -> npt.NDArray[Any]:
    chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
    return np.concatenate([_chunk_integers(chunk, missing) for chunk in chunks] or [np.empty(0, dtype=np.int64)])


def _chunk_integers(chunk: pa.Array, missing: int) -> npt.NDArray[Any]:
    if chunk.null_count:
        if missing < 0 and pa.types.is_unsigned_integer(chunk.type):
            chunk = chunk.cast(pa.int64(), safe=False)
        chunk = chunk.fill_null(missing)
    # Arrow's own conversion would import pandas
    return np.from_dlpack(chunk)


def _read_column(files: Sequence[Path], name: str) -> npt.NDArray[Any]:
    columns = [_plain(column_of(open_stream(file).table, name, file)) for file in files]
    held = [column for column in columns if not pa.types.is_null(column.type)]
    if held and all(pa.types.is_integer(column.type) or pa.types.is_floating(column.type) for column in held):
        kinds = {column.type for column in held}
        # NumPy would join signed and unsigned numbers to fractions
        one_kind = kinds.pop() if len(kinds) == 1 and pa.types.is_integer(held[0].type) else pa.int64()
        return _integers([column.cast(one_kind, safe=False) for column in columns], 0)
    try:
        codes, names = _dictionary(columns)
    except pa.ArrowException as error:
        found = ", ".join(sorted({str(column.type) for column in held}))
        raise InputError(f"{files[0].parent}: column {name!r} holds {found}, expected numbers or text") from error
    return np.array([*names, ""], dtype=object)[codes]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(path)
    except MissingFileError as error:
        raise InputError(f"{path} is missing; the data set is incomplete, copy it again") from error
    except InputError as error:
        raise InputError(f"{error}; the data set is damaged, copy it again") from error
    return content
