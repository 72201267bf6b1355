"""Reading and writing YAML: numbers as people write them, no dates, no key given twice, bounded whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from aigenbench.errors import InputError, printable
from aigenbench.files import read_text
from aigenbench.json_text import DEEPEST

LARGEST = 2**20
"""Bytes of a text; the parser takes some seconds for as many."""
MOST_NODES = 200_000
"""Values of a text, those that an alias or a merge repeats counted as often as they then stand there."""
_LONGEST_INTEGER = 100
_TAG = "tag:yaml.org,2002:"

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf)$|\.nan$")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")


# libyaml's parser is some five times quicker; where PyYAML was built without it, its own is slower
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):
    """Plain scalars as people mean them: `1e-3` is a number; `123_4`, `1:30` and `2025-01-01` are text.

    PyYAML's own rules (YAML 1.1) turn a job name such as `123_4` into 1234 and `1e-3` into text. Its
    booleans stay: `yes`, `no`, `on` and `off` are what many config files say.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _TAG + "merge":
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


class _Dumper(yaml.SafeDumper):
    """Block style, short lists on one line; text that either version of YAML would read otherwise is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_RULES = {
    _TAG + "int": (_INTEGER, "-+0123456789"),
    _TAG + "float": (_FLOAT, "-+.0123456789"),
    _TAG + "bool": (_BOOLEAN, "tTfFyYnNoO"),
    _TAG + "null": (_NULL, "~nN"),
    _TAG + "merge": (re.compile(r"<<$"), "<"),
}
"""How a plain scalar of a kind looks, and the letters it can begin with."""

_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _RULES.items():
    _Loader.add_implicit_resolver(_name, _pattern, list(_first))
    _Dumper.add_implicit_resolver(_name, _pattern, list(_first))
_Loader.add_implicit_resolver(_TAG + "null", _NULL, [""])


def _write_list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    plain = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence(_TAG + "seq", items, flow_style=plain)


def _write_text(dumper: _Dumper, text: str) -> yaml.Node:
    # Unicode's own line breaks come back as blanks unless they are escaped, which only double quotes allow; in those,
    # what a terminal is not given as it is stands as an escape of YAML's
    style = '"' if printable(text) != text or "\x85" in text else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(list, _write_list)
_Dumper.add_representer(str, _write_text)


def _read_integer(loader: Any, node: yaml.ScalarNode) -> int:
    if len(node.value) > _LONGEST_INTEGER:
        raise yaml.constructor.ConstructorError(None, None, "an integer of too many digits", node.start_mark)
    # YAML 1.1 would read 010 as octal; here a leading zero never gets this far
    return int(node.value, 0)


_Loader.add_constructor(_TAG + "int", _read_integer)


class _Bounds:
    """Counts a text's events before anything is made of them: a loader recurses and repeats as deep as it is told."""

    def __init__(self) -> None:
        self._open: list[tuple[str | None, int]] = []
        self._sizes: dict[str | None, int] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Count one event.

        Raises:
            ConstructorError: too deep, too much, in a circle, of a kind that is not read, or no text.
        """
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._sizes[anchor] = self._nodes - before
        elif isinstance(event, yaml.AliasEvent):
            # what is still open stands within itself
            circle = any(anchor == event.anchor for anchor, _ in self._open)
            self._require(not circle, "a value that holds itself", event)
            self._nodes += self._sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            self._nodes += 1
            self._sizes[event.anchor] = 1
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._nodes))
            self._nodes += 1
            self._require(len(self._open) <= DEEPEST, f"more than {DEEPEST} levels of nesting", event)
            plain = event.tag in (None, "!", _TAG + "map", _TAG + "seq")
            self._require(plain, f"the tag {event.tag!r} is not read", event)
        self._require(self._nodes <= MOST_NODES, f"more than {MOST_NODES} values, with what aliases repeat", event)

    def _scalar(self, event: Any) -> None:
        if event.tag in _RULES:
            fits = _RULES[event.tag][0].match(event.value)
            self._require(fits is not None, f"{event.value[:40]!r} is not of the type {event.tag!r}", event)
        else:
            self._require(event.tag in (None, "!", _TAG + "str"), f"the tag {event.tag!r} is not read", event)
        letters = event.value.isascii() or not any("\ud800" <= letter < "\ue000" for letter in event.value)
        self._require(letters, "half a letter (a lone surrogate)", event)

    def _require(self, holds: bool, problem: str, event: Any) -> None:
        if not holds:
            raise yaml.constructor.ConstructorError(None, None, problem, event.start_mark)


def read_yaml_file(path: Path | str) -> Any:
    """The value in a file, as `read_yaml` and `aigenbench.files.read_text` read it."""
    return read_yaml(read_text(path, LARGEST), str(path))


def read_yaml(text: str, where: str) -> Any:
    """The value that `text` holds: mappings, lists, text, finite integers, other numbers, booleans, None.

    Args:
        text: one YAML document.
        where: what to call it in an error, such as the file's name.

    Raises:
        InputError: the text is not YAML, gives a key twice, is too much or holds itself; the message has line and
            column.
    """
    if len(text) > LARGEST:
        raise InputError(f"{where} has {len(text)} letters; at most {LARGEST} of YAML are read")
    try:
        bounds = _Bounds()
        for event in yaml.parse(text, Loader=_BASE):
            bounds.take(event)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InputError(f"{where} is not valid YAML: {error.problem}{place}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error


def write_yaml(value: Any) -> str:
    """`value` (mappings, lists, text, numbers, booleans, None) as YAML that `read_yaml` reads back equal."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)


class Typed(str):
    """A value typed on the command line: text until the type of its argument says how to read it."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """What the text says as YAML; text that is not YAML says itself."""
        try:
            return read_yaml(str(self), "value") if self else ""
        except InputError:
            return str(self)
