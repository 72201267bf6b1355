"""CSV files as people bring them: one reader for all, whatever program wrote them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigenbench.errors import InputError, nearest
from aigenbench.files import read_text, user_path

_DELIMITERS = (",", ";", "\t")
"""Of spreadsheets: where a comma parts the decimals, a semicolon parts the columns; "Unicode text" has tabs."""
MOST_COLUMNS = 1000
MOST_VALUES = 8_000_000
"""In all rows together; each becomes an object of its own, and a row takes as much as some more."""
_OF_A_ROW = 4


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
    header = next((line for line in _lines(text) if line.strip()), "")
    found = {delimiter: _names(header, delimiter, path) for delimiter in _DELIMITERS}
    delimiter = min(_DELIMITERS, key=lambda one: sum(name not in found[one] for name in required))
    columns = found[delimiter]
    missing = [name for name in required if name not in columns]
    if missing:
        listed = ", ".join(repr(name) for name in missing)
        hint = nearest(missing[0], columns)
        if len(columns) == 1 and missing[0] in columns[0]:
            hint = "; expected columns parted by comma, semicolon or tab"
        raise InputError(f"{path}: no column {listed}; found {', '.join(filter(None, columns)) or 'none'}{hint}")
    doubled = next((name for name in columns if name and columns.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"{path}: two columns are called {doubled!r}; name each once")
    return CsvTable(path, columns, tuple(_rows(text, columns, frozenset(required), delimiter, path)))


def csv_rows(lines: Iterable[str], path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and values of every row in the lines of a CSV file.

    Raises:
        InputError: naming file and line.
    """
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for values in reader:
            yield reader.line_num, values
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends; unlike `io.StringIO`, without a copy of four bytes a letter."""
    return (found[0] for found in re.finditer(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text))


def _names(header: str, delimiter: str, path: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for _, values in csv_rows([header], path, delimiter) for name in values)
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{path} has {len(names)} columns; at most {MOST_COLUMNS} are read")
    return names


def _rows(
    text: str, columns: tuple[str, ...], required: frozenset[str], delimiter: str, path: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    is_header, n, size = True, len(columns), 0
    for line, values in csv_rows(_lines(text), path, delimiter):
        # spreadsheets leave lines of delimiters behind
        if not "".join(values).strip():
            continue
        if is_header:
            is_header = False
            continue
        if len(values) != n:
            if "".join(values[n:]).strip() or not required.isdisjoint(columns[len(values) :]):
                raise InputError(
                    f"{path}, line {line}: {len(values)} values for {n} columns; "
                    f'a value that holds {delimiter!r} stands in "quotes"'
                )
            # what is not there is empty
            values += [""] * (n - len(values))
        size += n + _OF_A_ROW
        if size > MOST_VALUES:
            raise InputError(f"{path}, line {line}: more than {MOST_VALUES} values, lines counted too; divide the file")
        yield line, dict(zip(columns, values, strict=False))
