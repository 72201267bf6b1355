"""Thrift's compact protocol, in which Parquet files tell of themselves: structures as dictionaries by field number."""

from __future__ import annotations

from typing import Any

Fields = dict[int, Any]

_TRUE, _FALSE, _INTEGERS, _BINARY, _LIST, _STRUCT = 1, 2, (4, 5, 6), 8, 9, 12
_WIDTHS = {3: 1, 7: 8}
"""Of a byte and a floating-point number, which are left as they are."""
_NESTED = 8


def struct_at(data: bytes, at: int, nested: int = _NESTED) -> tuple[Fields, int]:
    """The structure that begins at a position, and where it ends: integers, booleans, bytes, lists and structures.

    Raises:
        ValueError: it is none, or holds what no Parquet file does.
        IndexError: ``data`` ends within it.
    """
    fields: Fields = {}
    number = 0
    while data[at]:
        head, at = data[at], at + 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 15
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _value(data, at, kind, nested)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, nested: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        length, at = varint(data, at)
        return data[at : at + length], at + length
    if kind in _WIDTHS:
        return data[at : at + _WIDTHS[kind]], at + _WIDTHS[kind]
    if not nested:
        raise ValueError("structures within structures")
    if kind == _STRUCT:
        return struct_at(data, at, nested - 1)
    if kind == _LIST:
        head, at = data[at], at + 1
        count, at = (head >> 4, at) if head >> 4 < 15 else varint(data, at)
        values = []
        for _ in range(count):
            if head & 15 in (_TRUE, _FALSE):
                value, at = data[at] == _TRUE, at + 1
            else:
                value, at = _value(data, at, head & 15, nested - 1)
            values.append(value)
        return values, at
    raise ValueError(f"a value of kind {kind}")


def number_in(fields: Any, number: int, default: int | None = None) -> int:
    """An integer or boolean field of a structure.

    Raises:
        ValueError: it is something else, or missing without a default.
    """
    value = fields.get(number, default) if isinstance(fields, dict) else None
    if not isinstance(value, int):
        raise ValueError(f"no number in field {number}")
    return value


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of any length, and where it ends.

    Raises:
        ValueError: it has more than 64 bits.
        IndexError: ``data`` ends within it.
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
