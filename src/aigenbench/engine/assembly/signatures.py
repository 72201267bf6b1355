"""What classes take: known arguments, the nearest to a mistyped one, and which value is wrong, in one line."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import re
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser

from aigenbench.config.imports import reason
from aigenbench.config.layer import OPTIMIZER, get
from aigenbench.config.merge import NODE_KEYS, is_node
from aigenbench.config.names import Path, class_nodes, dotted
from aigenbench.engine.assembly.given import hint_for
from aigenbench.engine.assembly.objects import INNER, NAMED, PLAIN, REFUSALS
from aigenbench.errors import InputError, nearest

SourceOf = Callable[[Path], str]

# where a class path without a dot is looked up
SHORT_NAMES = (
    "lightning.pytorch.loggers",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.strategies",
    "lightning.pytorch.profilers",
    "lightning.pytorch.plugins",
    "torch.optim",
    "aigenbench.training",
    "aigenbench.data",
)


@dataclass(frozen=True)
class Parameters:
    """What a class's constructor takes: each argument's default by name."""

    cls: type
    defaults: dict[str, Any]


@functools.cache
def parameters(cls: type) -> Parameters:
    """The arguments of a class's constructor, those passed on through `**kwargs` included."""
    parser = ArgumentParser(exit_on_error=False)
    names = parser.add_class_arguments(cls, "x", fail_untyped=False)
    defaults = parser.get_defaults()
    return Parameters(cls, {name.removeprefix("x."): defaults.get(name) for name in names if name.startswith("x.")})


def parameters_of(class_path: str) -> frozenset[str] | None:
    """The names of a class's or function's arguments; None where they cannot be known.

    Raises:
        InputError: nothing of that name can be imported.
    """
    found = find_object(class_path)
    if isinstance(found, type):
        return frozenset(parameters(found).defaults)
    try:
        given = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return None
    return None if any(one.kind is one.VAR_KEYWORD for one in given.values()) else frozenset(given)


def find_class(class_path: str) -> type | None:
    """The class of that path; None for what is no class; raises as `find_object`."""
    found = find_object(class_path)
    return found if isinstance(found, type) else None


def find_object(class_path: str) -> Any:
    """The class or function of that path, a bare name being one of the usual places'.

    Raises:
        InputError: nothing of that name can be imported.
    """
    module_name, _, name = class_path.rpartition(".")
    places = [module_name] if module_name else SHORT_NAMES
    for place in places:
        try:
            module = importlib.import_module(place)
        except Exception as error:
            raise InputError(f"no class {class_path!r}: {reason(error)}{_elsewhere(class_path)}") from error
        found = getattr(module, name, None)
        if found is not None:
            return found
    if hint := hint_for(class_path):
        raise InputError(f"no class {class_path!r} here{hint}")
    modules = [importlib.import_module(place) for place in places]
    known = [other for m in modules for other in {*dir(m), *getattr(m, "__all__", ())} if other[:1].isupper()]
    raise InputError(f"no class {class_path!r}: {', '.join(places)} has no {name!r}{nearest(name, known)}")


def _elsewhere(class_path: str) -> str:
    """A hint for a class of Lightning's under the name of its other package."""
    other, _, rest = class_path.partition(".")
    return f"; did you mean 'lightning.pytorch.{rest}'?" if other == "pytorch_lightning" else ""


def class_help(cls: type, key: str) -> str:
    """What a class's constructor takes, as arguments under `--key`."""
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_class_arguments(cls, key, fail_untyped=False)
    return parser.format_help().partition("\n\n")[2].rstrip()


def check_keys(config: dict[str, Any], source_of: SourceOf) -> None:
    """Check that every argument in `config` is one that its class takes.

    Raises:
        InputError: an unknown key, even an empty one, with the nearest known; or a class that is not there.
    """
    for place, cls, given in _argument_sets(config):
        known = parameters(cls).defaults
        for key in given:
            if key not in known:
                hint = nearest(str(key), known) or f"; {cls.__name__} has no such argument (see --help)"
                raise InputError(f"unknown key {dotted((*place, key))}{source_of((*place, key))}{hint}")
    for place, node in class_nodes(config):
        for key in node:
            if key not in NODE_KEYS:
                raise InputError(
                    f"unknown key {dotted((*place, key))}{source_of((*place, key))}{nearest(key, NODE_KEYS)}; "
                    "arguments stand in init_args"
                )


def check_empty(config: dict[str, Any], source_of: SourceOf) -> None:
    """Check that no argument is empty (null) that must have a value.

    Raises:
        InputError: such an argument.
    """
    for place, cls, given in _argument_sets(config):
        for key, value in given.items():
            if value is None and parameters(cls).defaults.get(key) is not None:
                problem = _problem(cls, key, "null").partition(", found")[0]
                if problem:
                    where = (*place, key)
                    raise InputError(f"{dotted(where)}{source_of(where)} is empty: {problem}")


def wrong_value(config: dict[str, Any], source_of: SourceOf, error: Exception) -> InputError:
    """The error to raise for a configuration that was refused: which argument is wrong, and what it takes.

    Args:
        config: what was refused.
        source_of: tells where a value came from.
        error: what the parser said.
    """
    inside_out = list(_argument_sets(config))[::-1]
    for place, cls, given in inside_out:
        for key, value in given.items():
            problem = _problem(cls, key, value)
            if problem:
                where = (*place, key)
                return InputError(f"{dotted(where)}{source_of(where)}: {problem}")
    for place, cls, given in inside_out:
        missing = re.search(r"arguments are required: ([\w., ]+)", _refusal(cls, given))
        names = [] if missing is None else [name.removeprefix("x.") for name in missing[1].split(", ")]
        if names and place[:-1] != OPTIMIZER:  # an optimizer gets its parameters later
            return InputError(f"{cls.__name__} needs {', '.join(f'{dotted((*place, name))}' for name in names)}")
    return InputError(_short(str(error)))


def check_kind(config: dict[str, Any]) -> None:
    """Check that classes are subclasses of what they must be; a function in place of a class is let through.

    Raises:
        InputError: the class of a section, an optimizer, callback or logger is something else.
    """
    for section, kind in NAMED.items():
        name = config[section]["class_path"]
        found = find_class(name)
        if found and not issubclass(found, kind):
            raise InputError(f"{section}.class_path: expected a subclass of {kind.__name__}, found {name}")
    for place, (kind, called) in INNER.items():
        given = get(config, place)
        for index, node in enumerate(given) if isinstance(given, list) else [(None, given)]:
            found = find_class(node["class_path"]) if is_node(node) else None
            if found and not issubclass(found, kind):
                where = place if index is None else (*place, index)
                name = node["class_path"]
                raise InputError(f"{dotted(where)}: expected {called}, found {name}{_elsewhere(name)}")


def _argument_sets(config: dict[str, Any]) -> Iterator[tuple[Path, type, dict[str, Any]]]:
    """Where arguments of a class stand, outermost first: their place, the class, and the arguments."""
    for section, cls in PLAIN.items():
        if isinstance(config.get(section), dict):
            yield (section,), cls, config[section]
    for place, node in class_nodes(config):
        found = find_class(node["class_path"])
        if found:
            yield (*place, "init_args"), found, node.get("init_args") or {}


def _refusal(cls: type, given: dict[str, Any], only: str | None = None) -> str:
    """What the parser says against these arguments of a class; an empty text where nothing."""
    parser = ArgumentParser(exit_on_error=False)
    skip = {name for name in parameters(cls).defaults if only and name != only}
    parser.add_class_arguments(cls, "x", skip=skip, fail_untyped=False)
    try:
        if only and given[only] == "null":
            parser.parse_args([f"--x.{only}=null"])
        else:
            parser.parse_object({"x": copy.deepcopy(given)})
    except REFUSALS as error:
        return str(error)
    return ""


def _problem(cls: type, key: str, value: Any) -> str:
    refusal = _refusal(cls, {key: value}, only=key)
    if not refusal or "arguments are required" in refusal:
        return ""
    expected = list(
        dict.fromkeys(re.findall(r"Expected an? (?:<class '([^']+)'>|typing\.Literal\[([^\]]*)\])", refusal))
    )
    if not expected:
        return _short(refusal)
    choices = [choice.strip(" '") for _, listed in expected for choice in listed.split(",") if choice]
    words = [f"one of {', '.join(dict.fromkeys(choices))}"] if choices else []
    words += [_word(name) for name, _ in expected if name]
    if words == ["null"] and isinstance(value, list | dict):
        # of classes the parser names none
        words = ["class_path and init_args", "null"]
    return f"expected {' or '.join(words)}, found {reprlib.repr(value)}{nearest(str(value), choices)}"


def _word(name: str) -> str:
    return {"NoneType": "null", "str": "text", "collections.abc.Iterable": "a list"}.get(name, name.rpartition(".")[2])


def _short(refusal: str) -> str:
    """The line of a parser's message that says most: the innermost problem."""
    lines = [line.strip(" -") for line in refusal.splitlines()]
    told = [
        line for line in lines if line and not re.match(r"Given value|Subtypes|Errors|Does not validate|Subclass", line)
    ]
    problem = [i for i, line in enumerate(told) if line.startswith("Problem with given class_path")]
    return " ".join(told[problem[-1] : problem[-1] + 2]) if problem else told[0]
