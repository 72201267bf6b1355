"""Reading and writing YAML: numbers as people write them, no dates, no key given twice."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from aigenbench.errors import InputError, printable

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf)$|\.nan$")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")


class _Loader(yaml.SafeLoader):
    """Plain scalars as people mean them: `1e-3` is a number; `123_4`, `1:30` and `2025-01-01` are text.

    PyYAML's own rules (YAML 1.1) turn a job name such as `123_4` into 1234 and `1e-3` into text. Its
    booleans stay: `yes`, `no`, `on` and `off` are what many config files say.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Block style, short lists on one line; text that either version of YAML would read otherwise is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _resolvers() -> list[tuple[str, re.Pattern[str], str]]:
    tag = "tag:yaml.org,2002:"
    return [
        (tag + "int", _INTEGER, "-+0123456789"),
        (tag + "float", _FLOAT, "-+.0123456789"),
        (tag + "bool", _BOOLEAN, "tTfFyYnNoO"),
        (tag + "null", _NULL, "~nN"),
        (tag + "merge", re.compile(r"<<$"), "<"),
    ]


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _resolvers():
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, [""])


def _write_list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    plain = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


def _write_text(dumper: _Dumper, text: str) -> yaml.Node:
    # Unicode's own line breaks come back as blanks unless they are escaped, which only double quotes allow; in those,
    # what a terminal is not given as it is stands as an escape of YAML's
    style = '"' if printable(text) != text or "\x85" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(list, _write_list)
_Dumper.add_representer(str, _write_text)


def _read_integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    # YAML 1.1 would read 010 as octal; here a leading zero never gets this far
    return int(node.value, 0)


_Loader.add_constructor("tag:yaml.org,2002:int", _read_integer)


def read_yaml(text: str, where: str) -> Any:
    """The value that `text` holds.

    Args:
        text: one YAML document.
        where: what to call it in an error, such as the file's name.

    Raises:
        InputError: the text is not YAML, or gives a key twice; the message has the line and column.
    """
    try:
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
