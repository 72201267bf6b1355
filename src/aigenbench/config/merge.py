"""How one layer of configuration goes over another.

Mappings merge, everything else replaces, and three rules make that fit classes and lists:

- `key+` appends to the list that `key` holds so far;
- in a list, a mapping that names no `class_path` patches the earlier list's item at its position;
- where a `class_path` changes, the earlier class's arguments go on to the new class as far as it has them.

A mapping over a class may leave `init_args` out: `{lr: 0.1}` over `{class_path: torch.optim.SGD}` is an argument.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aigenbench.config.carried import ABSENT, Carried, Question
from aigenbench.config.names import Path, dotted
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

NODE_KEYS = ("class_path", "init_args", "dict_kwargs")


def merge(earlier: dict[str, Any], later: dict[str, Any], source: str = "") -> dict[str, Any]:
    """`later` over `earlier`; both are left as they are, and the result shares nothing with them.

    Args:
        earlier: what the layers so far have given, already merged.
        later: the next layer.
        source: what to call the later layer in warnings and errors, such as its file's name.

    Returns:
        The merged tree. Where a class changed, the earlier class's arguments are `Carried`: see `settle`.

    Raises:
        InputError: `key+` on something that is not a list.
    """
    return _Merger(source).mappings(earlier, later, ())


def is_node(value: Any) -> bool:
    """Whether `value` is a mapping that names a class."""
    return isinstance(value, dict) and isinstance(value.get("class_path"), str)


def spread(node: dict[str, Any], at: Path, source: str = "") -> dict[str, Any]:
    """The node with the arguments that stand beside `init_args` moved into it.

    Raises:
        InputError: an argument stands both beside and inside `init_args`.
    """
    short = {key: value for key, value in node.items() if key not in NODE_KEYS}
    if not short:
        return node
    arguments = _arguments(node, "init_args", at, source)
    twice = [key for key in short if key in arguments]
    if twice:
        raise InputError(
            f"{_in(source)}{dotted((*at, twice[0]))} and {dotted((*at, 'init_args', twice[0]))} are the same "
            "argument: give one of them"
        )
    return {key: node[key] for key in NODE_KEYS if key in node} | {"init_args": {**arguments, **short}}


@dataclass(frozen=True)
class _Merger:
    source: str

    def values(self, earlier: Any, later: Any, at: Path) -> Any:
        if isinstance(later, Carried):
            taken = self.values(earlier, later.value, at)
            return replace(later, value=taken, otherwise=copy.deepcopy(earlier))
        if isinstance(earlier, Carried) and isinstance(later, dict | list):
            return self.both(earlier, lambda one: self.values(one, later, at))
        if isinstance(later, list):
            return self.lists(earlier, later, at)
        if not isinstance(later, dict):
            return copy.deepcopy(later)
        if isinstance(earlier, list) and any(map(is_node, earlier)) and not is_node(later):
            return self.into_list(earlier, later, at)
        if is_node(earlier):
            return self.nodes(earlier, spread(later, at, self.source), at)
        return self.mappings(earlier if isinstance(earlier, dict) else {}, later, at)

    @staticmethod
    def both(carried: Carried, merged: Callable[[Any], Any]) -> Carried:
        """Each of the two outcomes merged; what is wrong with one is an error only where it counts."""

        def tried(outcome: Any) -> Any:
            try:
                return outcome if isinstance(outcome, InputError) else merged(outcome)
            except InputError as error:
                return error

        return replace(carried, value=tried(carried.value), otherwise=tried(carried.otherwise))

    def mappings(self, earlier: dict[str, Any], later: dict[str, Any], at: Path) -> dict[str, Any]:
        merged = copy.deepcopy(earlier)
        if is_node(later):
            later = spread(later, at, self.source)
            _arguments(later, "init_args", at, self.source)
        for key, value in later.items():
            if not _appends(key):
                merged[key] = self.values(earlier.get(key, ABSENT), value, (*at, key))
        for key, value in later.items():
            if _appends(key):
                merged[key[:-1]] = self.appended(merged.get(key[:-1], ABSENT), value, (*at, key[:-1]))
        return merged

    def appended(self, earlier: Any, value: Any, at: Path) -> Any:
        if isinstance(value, Carried):
            return replace(value, value=self.appended(earlier, value.value, at), otherwise=earlier)
        if isinstance(earlier, Carried):
            return self.both(earlier, lambda one: self.appended(one, value, at))
        if earlier is ABSENT or earlier is None or earlier is False:
            earlier = []
        elif is_node(earlier):
            earlier = [earlier]
        if not isinstance(earlier, list):
            raise InputError(f"{_in(self.source)}{dotted(at)}+ appends to a list, but {dotted(at)} is {earlier!r}")
        added = value if isinstance(value, list) else [value]
        return [*earlier, *(self.values(None, item, (*at, len(earlier) + i)) for i, item in enumerate(added))]

    def lists(self, earlier: Any, later: list[Any], at: Path) -> list[Any]:
        before = earlier if isinstance(earlier, list) else [earlier] if is_node(earlier) else []
        merged = []
        for index, item in enumerate(later):
            place = (*at, index)
            patched = before[index] if index < len(before) else None
            if isinstance(item, dict) and not is_node(item) and is_node(patched):
                merged.append(self.values(patched, item, place))
            elif _only_arguments(item):
                logger.warning(
                    "%s%s patches an item that no earlier config has: left out", _in(self.source), dotted(place)
                )
            else:
                merged.append(self.values(None, item, place))
        patches_only = later and all(isinstance(item, dict) and not is_node(item) for item in later)
        if patches_only and any(map(is_node, before)):
            merged += copy.deepcopy(before[len(later) :])
        return merged

    def into_list(self, earlier: list[Any], later: dict[str, Any], at: Path) -> list[Any]:
        """A mapping over a list of classes patches the items its keys number, or else the last one."""
        merged = copy.deepcopy(earlier)
        numbered = all(key.isdecimal() for key in later)
        for key, patch in later.items() if numbered and later else [(str(len(earlier) - 1), later)]:
            if int(key) >= len(earlier):
                logger.warning(
                    "%s%s patches an item that no earlier config has: left out", _in(self.source), dotted((*at, key))
                )
            else:
                merged[int(key)] = self.values(earlier[int(key)], patch, (*at, key))
        return merged

    def nodes(self, earlier: dict[str, Any], later: dict[str, Any], at: Path) -> dict[str, Any]:
        name = later.get("class_path", earlier["class_path"])
        kept = dict(earlier)
        if name != earlier["class_path"]:
            changes = f"{_in(self.source)}{dotted(at)} changes from {earlier['class_path']} to {name}"
            taken = Question(name, f"{changes}, which does not take ", ": dropped")
            given = earlier.get("init_args") or {}
            kept = {"init_args": {key: Carried(value, ABSENT, key, taken) for key, value in given.items()}}
        merged = {"class_path": name}
        for key in ("init_args", "dict_kwargs"):
            if key in kept or key in later:
                given = _arguments(later, key, at, self.source)
                merged[key] = self.mappings(kept.get(key) or {}, given, (*at, key))
        return merged


def _arguments(node: dict[str, Any], key: str, at: Path, source: str) -> dict[str, Any]:
    given = node.get(key)
    if not isinstance(given, dict | None):
        raise InputError(f"{_in(source)}{dotted((*at, key))}: expected a mapping, found {given!r}")
    return given or {}


def _appends(key: Any) -> bool:
    return isinstance(key, str) and key.endswith("+") and len(key) > 1


def _only_arguments(item: Any) -> bool:
    return isinstance(item, dict) and bool(item) and set(item) <= {"init_args", "dict_kwargs"}


def _in(source: str) -> str:
    return f"{source}: " if source else ""
