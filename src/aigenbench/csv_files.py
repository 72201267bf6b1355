"""CSV files as people bring them: one reader for all, whatever program wrote them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigenbench.errors import InputError, nearest
from aigenbench.files import read_text, user_path

_DELIMITERS = (",", ";", "\t")
"""Of spreadsheets: where a comma parts the decimals, a semicolon parts the columns; "Unicode text" has tabs."""


@dataclass(frozen=True)
class CsvTable:
    """The columns and rows of a CSV file.

    Attributes:
        path: where it lies.
        columns: their names, in order.
        rows: line number in the file, and the values by column, of every row that is not blank.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_csv(path: Path | str, required: Sequence[str]) -> CsvTable:
    """Read a CSV file with a header line.

    UTF-8 with or without byte order mark, UTF-16 and UTF-32 with one; columns parted by comma, semicolon or tab.

    Args:
        path: the file.
        required: names that must be among its columns; others may be.

    Raises:
        InputError: there is no such file, it is of another encoding, or lacks a column; a row is longer or shorter than
            the header.
    """
    path = user_path(path)
    text = read_text(path)
    header = next((line for line in io.StringIO(text) if line.strip()), "")
    found = {delimiter: _names(header, delimiter, path) for delimiter in _DELIMITERS}
    delimiter = min(_DELIMITERS, key=lambda one: sum(name not in found[one] for name in required))
    columns = found[delimiter]
    missing = [name for name in required if name not in columns]
    if missing:
        hint = nearest(missing[0], columns)
        listed = ", ".join(repr(name) for name in missing)
        raise InputError(f"{path}: no column {listed}; found {', '.join(filter(None, columns)) or 'none'}{hint}")
    doubled = next((name for name in columns if name and columns.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"{path}: two columns are called {doubled!r}; name each once")
    return CsvTable(path, columns, tuple(_rows(text, columns, frozenset(required), delimiter, path)))


def _names(header: str, delimiter: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(name.strip() for name in next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error


def _rows(
    text: str, columns: tuple[str, ...], required: frozenset[str], delimiter: str, path: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    is_header, n = True, len(columns)
    try:
        for values in reader:
            # spreadsheets leave lines of delimiters behind
            if not any(value.strip() for value in values):
                continue
            if is_header:
                is_header = False
                continue
            if any(value.strip() for value in values[n:]) or not required.isdisjoint(columns[len(values) :]):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(values)} values for {n} columns; "
                    f'a value that holds {delimiter!r} stands in "quotes"'
                )
            # what is not there is empty
            yield reader.line_num, {**dict.fromkeys(columns, ""), **dict(zip(columns, values, strict=False))}
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
