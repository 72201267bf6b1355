"""Reading JSON that a stranger may have written."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from aigenbench.errors import InputError

DEEPEST = 64
"""Levels of nesting; what goes through the value recursively can rely on it."""
_KINDS = {"dict": "an object {...}", "list": "a list [...]"}


def parse_json(text: str, where: str, kind: type | None = dict) -> Any:
    """The value of a JSON text: numbers are finite, integers fit 64 bits, no key stands twice, nesting is bounded.

    Args:
        text: the text.
        where: what an error calls it.
        kind: ``dict`` or ``list``, what it must hold at its top; None for any value.

    Raises:
        InputError: it is not such JSON.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_integer,
        )
        _check_depth(value)
        # a lone surrogate, which JSON can write, is no text: no file or page could hold it
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise InputError(f"{where} is not readable JSON: it is nested more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise InputError(f"{where} is not readable JSON: {error}") from error
    if kind is not None and not isinstance(value, kind):
        raise InputError(f"{where}: expected {_KINDS[kind.__name__]} of JSON, found {type(value).__name__}")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        doubled = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {doubled!r} stands twice")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _integer(text: str) -> int:
    # digits first: turning very many into a number takes time
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"the integer {text[:40]} does not fit 64 bits")
    return int(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise RecursionError
