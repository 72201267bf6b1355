"""Columns of Arrow tables in NumPy: labels, generators and what else is known of the images.

They may be of any type that holds the same values, in each file their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aigenbench.data.sources.streams import column_of, is_text
from aigenbench.data.sources.tables import LABELS
from aigenbench.errors import InputError
from aigenbench.json_text import parse_json

_MISSING = -1
_TOLD = 3

Classes = dict[str, list[str]]
"""Names of the classes of each ``ClassLabel`` column."""


def check_columns(folder: Path, tables: Sequence[pa.Table], wanted: Sequence[str]) -> list[str]:
    """The names of all columns of any file; a file may lack one, whose values are then missing."""
    held = list(dict.fromkeys(name for table in tables for name in table.column_names))
    missing = [name for name in wanted if name not in held]
    if missing:
        raise InputError(f"{folder}: the column {', '.join(missing)} is missing; found {', '.join(held)}")
    return held


def noted_classes(schema: pa.Schema) -> Classes:
    """The classes that ``datasets`` noted in a file's schema; none where it noted nothing."""
    noted = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        return classes_in(parse_json(noted.decode(), "")["info"]["features"])
    except (InputError, UnicodeDecodeError, KeyError, TypeError):
        return {}


def classes_in(features: Any) -> Classes:
    """The classes that a description of columns by ``datasets`` names."""
    if not isinstance(features, dict):
        return {}
    named = {name: one.get("names") for name, one in features.items() if isinstance(one, dict)}
    return {name: [str(one) for one in names] for name, names in named.items() if isinstance(names, list)}


def generators_of(
    folder: Path, tables: Sequence[pa.Table], classes: list[str] | None
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """The generator of every row, int32 (n,), as its place among the distinct names, which are given too.

    Raises:
        InputError: the column holds neither names nor classes.
    """
    parts = []
    for table in tables:
        column = column_of(table, "generator", folder)
        kind = _values_type(column.type)
        if pa.types.is_integer(kind):
            if classes is None:
                raise InputError(
                    f"{folder}: column 'generator' holds numbers ({kind}) whose names stand nowhere; expected "
                    "names, or a dataset_info.json that names the classes"
                )
            column = _named(_plain(column), classes, folder)
        elif not (is_text(kind) or pa.types.is_null(kind)):
            raise InputError(f"{folder}: column 'generator' holds {kind}, expected names")
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


def labels_of(folder: Path, tables: Sequence[pa.Table], classes: list[str] | None) -> npt.NDArray[np.int64]:
    """The label of every row: 0 real, 1 fake, unless the column says otherwise; int64 (n,).

    Raises:
        InputError: one is missing, or the column holds something else.
    """
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
    column = column_of(table, "label", folder)
    if is_text(_values_type(column.type)):
        places, words = _dictionary([column])
        return _by_name(folder, words, places)
    column = _plain(column)
    if pa.types.is_null(column.type):
        return np.full(len(column), _MISSING, dtype=np.int64)
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
        if pa.types.is_dictionary(column.type):
            # not as plain text, which could be many times the file
            parts += [_encoded(chunk, code_of) for chunk in column.chunks]
            continue
        # Arrow's kernels know fewer types than there are of texts
        column = column.cast(pa.large_string())
        found = pc.unique(column)
        codes = [code_of.setdefault(text or "", len(code_of)) for text in found.to_pylist()]
        parts.append(np.array(codes, dtype=np.int32)[_integers([pc.index_in(column, value_set=found)], 0)])
    return np.concatenate(parts), tuple(code_of)


def _encoded(chunk: pa.DictionaryArray, code_of: dict[str, int]) -> npt.NDArray[np.int32]:
    """Codes of a dictionary-encoded piece of a column; of what its dictionary holds, only what stands in a row."""
    used, first, places = np.unique(_chunk_integers(chunk.indices, _MISSING), return_index=True, return_inverse=True)
    order = np.argsort(first)
    wanted = used[order].astype(np.int64)
    texts = chunk.dictionary.cast(pa.large_string()).take(pa.array(wanted, mask=wanted < 0)).to_pylist()
    codes = np.empty(len(used), dtype=np.int32)
    codes[order] = [code_of.setdefault(text or "", len(code_of)) for text in texts]
    return codes[places]


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


def values_of(columns: Sequence[pa.ChunkedArray], name: str, place: Path) -> npt.NDArray[Any]:
    """A further column, of all files: numbers, 0 where missing, or text, then objects (n,).

    Args:
        columns: of each file.
        name: of the column, for messages.
        place: likewise.

    Raises:
        InputError: it holds neither.
    """
    kinds = [_values_type(column.type) for column in columns if not pa.types.is_null(column.type)]
    if kinds and all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        # NumPy would join signed and unsigned numbers to fractions
        one_kind = kinds[0] if len(set(kinds)) == 1 and pa.types.is_integer(kinds[0]) else pa.int64()
        return _integers([_plain(column).cast(one_kind, safe=False) for column in columns], 0)
    try:
        codes, names = _dictionary(columns)
    except pa.ArrowException as error:
        found = ", ".join(sorted(map(str, set(kinds))))
        raise InputError(f"{place}: column {name!r} holds {found}, expected numbers or text") from error
    return np.array([*names, ""], dtype=object)[codes]


def _values_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
