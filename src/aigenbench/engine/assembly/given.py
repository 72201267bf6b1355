"""Python objects in a configuration: classes and functions by their path, others under a name in this module.

A configuration can hold nothing but text and numbers, and it is what a run records, compares and resumes by. So an
object that was given to a call from Python enters it by name: by the path where it can be imported, so that a start
from the shell finds it too, else as an attribute of this module, which only the process that gave it has.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import PurePath
from typing import Any, get_type_hints

from aigenbench.errors import InputError

HERE = __name__
OPTIMIZERS = ("model.optimizer", "model.init_args.optimizer")
"""Where a function must say that it returns an optimizer."""


def plain(value: Any, source: str, where: str = "") -> Any:
    """A value of a mapping as a configuration holds it: classes and functions by name, paths as text.

    Args:
        value: mappings and lists of any depth.
        source: what to call the whole in an error.
        where: the dotted key at which it stands.

    Raises:
        InputError: it is an object that no configuration can hold.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, source, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, source, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", None):
        return value.item()
    if inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, functools.partial):
        if where in OPTIMIZERS and not inspect.isclass(value):
            from torch.optim import Optimizer

            return maker_of(value, Optimizer, where)
        return name_of(value, "" if inspect.isclass(value) else where)
    raise InputError(
        f"{source}: {where}: expected text, a number, a list, a mapping, a class or a function, found an object of "
        f"type {type(value).__name__}; give its class with its arguments: {{'class_path': CLASS, 'init_args': {{...}}}}"
    )


def name_of(given: Any, role: str = "") -> str:
    """The path of a class or function in a configuration; where it cannot be imported, one in this module.

    Args:
        given: the class or function.
        role: what it is given as, which tells functions without a name apart.
    """
    path = path_of(given)
    if is_importable(given):
        return path
    if inspect.isclass(given):
        # of its own name, so that the path leads back to it
        name = _name_for(path, given)
        metaclass: Any = type(given)
        made = metaclass(name, (given,), {"__module__": HERE, "__qualname__": name, "__doc__": given.__doc__})
        return _kept(name, made)
    return _kept(_name_for(path, given, role), given)


def maker_of(given: Any, kind: type, role: str = "") -> str:
    """The path of what makes an object of a kind when it is called: a class, or a function.

    Args:
        given: the class or function.
        kind: what it makes.
        role: see `name_of`.

    Raises:
        InputError: it is neither, or a class of another kind.
    """
    if inspect.isclass(given):
        if not issubclass(given, kind):
            raise InputError(f"expected a subclass of {kind.__name__} or a function, found the class {path_of(given)}")
        return name_of(given, role)
    if not callable(given):
        raise InputError(f"expected a subclass of {kind.__name__} or a function, found {type(given).__name__}")
    if is_importable(given) and _returns(given, kind):
        return path_of(given)
    name = _name_for(path_of(given), given, role)
    return _kept(name, _annotated(given, kind, name))


def copies_of(given: Any, kind: type, role: str = "") -> str:
    """The path of what makes a copy of an object as it is now, at every call; arguments as of `maker_of`."""
    original = copy.deepcopy(given)

    def made() -> Any:
        return copy.deepcopy(original)

    name = _name_for(path_of(type(given)), given, role)
    maker = _annotated(made, kind, name)
    maker.makes = original
    return _kept(name, maker)


def path_of(given: Any) -> str:
    """Where a class or function was defined, as its path."""
    while isinstance(given, functools.partial):
        given = given.func
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}.{named.__qualname__}"


def is_importable(given: Any) -> bool:
    """Whether its path leads to it: not where it was defined in a function, or is none of its module's names."""
    name = getattr(given, "__qualname__", None)
    module = sys.modules.get(getattr(given, "__module__", None) or "")
    return isinstance(name, str) and "." not in name and getattr(module, name, None) is given


def hint_for(class_path: str) -> str:
    """What to do where a configuration names an object that only another process had; an empty text otherwise."""
    module, _, name = class_path.rpartition(".")
    if module == HERE:
        what, _, where = name.partition("__as_")[0].partition("__of_")
        return (
            f"; {what} of {where} was given from Python, where no path led to it: go on from there, or define it in a "
            "module's file"
        )
    if module == "__main__":
        return "; it was defined in a notebook or script: go on from there, or move it into a file and --import that"
    return ""


def _returns(function: Any, kind: type) -> bool:
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return False
    return inspect.isclass(returned) and issubclass(returned, kind)


def _annotated(function: Callable[..., Any], kind: type, name: str) -> Any:
    """A function that says what it returns, as the parser wants it."""

    def made(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, TypeError, ValueError):
        signature = inspect.signature(function)
    made.__name__ = made.__qualname__ = name
    made.__module__ = HERE
    made.__signature__ = signature.replace(return_annotation=kind)  # type: ignore[attr-defined]
    made.__annotations__ = {"return": kind, **{k: p.annotation for k, p in signature.parameters.items()}}
    return made


def begin_call() -> None:
    """Forget what the names of this module were taken for: a call's are equal to those of the same call before."""
    _TAKEN.clear()


_TAKEN: dict[str, Any] = {}


def _name_for(path: str, given: Any, role: str = "") -> str:
    """A name in this module: equal in every process that is given the same, its first letter that of the object."""
    module, _, name = path.rpartition(".")
    what, where, as_what = (_identifier(part) for part in (name, module.replace("<locals>", ""), role))
    wanted = f"{what}__of_{where}" + (f"__as_{as_what}" if as_what else "")
    for number in count(1):
        name = wanted if number == 1 else f"{wanted}__as_{number}"
        # a function that is called twice defines two classes of one path
        if _TAKEN.setdefault(name, given) is given:
            return name
    raise AssertionError("there is always a next number")


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


def _kept(name: str, made: Any) -> str:
    globals()[name] = made
    return f"{HERE}.{name}"


def check_sequence(given: Any, what: str) -> Sequence[Any]:
    """What was given as a list.

    Raises:
        InputError: it is none.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise InputError(f"{what}: expected a list, found {type(given).__name__}")
    return given
