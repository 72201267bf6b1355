"""Recipes of training images as a config names or writes them: ``model.recipe``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from math import isfinite
from pathlib import Path
from typing import Any

from aigenbench.augmentations import steps
from aigenbench.augmentations.jpeg import CODECS
from aigenbench.augmentations.recipes import BaselineTraining, MildTraining, Recipe, SoftTraining, StepsRecipe
from aigenbench.augmentations.resampling import INTERPOLATIONS
from aigenbench.errors import InputError, nearest
from aigenbench.yaml_text import read_yaml_file

RECIPES: dict[str, Callable[[], Recipe]] = {
    "baseline": BaselineTraining,
    "soft": SoftTraining,
    "mild": MildTraining,
    "none": lambda: StepsRecipe(()),
}
"""Those that have a name."""
LARGEST_SIDE = 4096
"""Pixels a side that a written step may ask for."""
RECIPE_FILES = (".yaml", ".yml")
"""How the name of a recipe's file ends."""
_MOST_STEPS = 50
Reader = Callable[[Any], Any]
"""Makes an argument of a step of what YAML says; raises ValueError with what was expected."""


def recipe_given(value: Any) -> Recipe:
    """The recipe that a config names or writes.

    Args:
        value: one of `RECIPES`, a YAML file, or what stands in one: a mapping with ``steps``.

    Raises:
        InputError: there is no such recipe, file, step or argument, or a value is out of range.
    """
    written = written_out(value)
    if isinstance(written, str):
        return RECIPES[written]()
    return StepsRecipe([_step(one, f"{_source(value)}: steps[{i}]") for i, one in enumerate(written["steps"])])


def written_out(value: Any) -> Any:
    """``value`` as a resolved config keeps it: a name, or a mapping with ``steps``; a file's content takes its place.

    Raises:
        InputError: as ``recipe_given``, steps aside.
    """
    if isinstance(value, str) and value in RECIPES:
        return value
    known = f"{', '.join(RECIPES)}, a file that ends in .yaml, or steps"
    found = value
    if isinstance(value, str):
        if not value.endswith(RECIPE_FILES):
            raise InputError(f"model.recipe: unknown {value!r}; known: {known}{nearest(value, RECIPES)}")
        found = read_yaml_file(Path(value).expanduser())
    if not isinstance(found, Mapping) or set(found) != {"steps"} or not isinstance(found["steps"], Sequence | None):
        said = f"the keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else repr(found)
        raise InputError(f"{_source(value)}: expected {known}: a mapping of steps to a list of them; found {said}")
    row = found["steps"] or ()
    if isinstance(row, str) or len(row) > _MOST_STEPS:
        raise InputError(f"{_source(value)}: steps: expected a list of at most {_MOST_STEPS}")
    return {"steps": list(row)}


def _source(value: Any) -> str:
    return f"model.recipe {value}" if isinstance(value, str) else "model.recipe"


def _whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


def _number(low: float, high: float) -> Reader:
    def read(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not is_number or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return read


def _ends(read: Reader) -> Reader:
    """Of a range that is drawn from: its two ends, the smaller one first, or one value for both."""

    def read_both(value: Any) -> tuple[Any, Any]:
        given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
        try:
            low, high = map(read, given)
        except ValueError as error:
            told = str(error) if len(given) == 2 else "too many, or too few"
            raise ValueError(f"one value or [smallest, largest], each {told}") from None
        if low > high:
            raise ValueError("the smaller end first")
        return low, high

    return read_both


def _some_of(known: Sequence[str]) -> Reader:
    def read(value: Any) -> tuple[str, ...]:
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, Sequence) or not given or not all(one in known for one in given):
            raise ValueError(f"some of {', '.join(known)}")
        return tuple(given)

    return read


def _qualities(value: Any) -> Sequence[int]:
    quality = _whole(1, 100)
    if isinstance(value, Mapping) and set(value) == {"from", "to"}:
        low, high = _ends(quality)([value["from"], value["to"]])
        return range(low, high + 1)
    given = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        return tuple(map(quality, given)) or quality(None)
    except ValueError:
        raise ValueError("qualities from 1 to 100, each equally likely, or {from: 1, to: 100}") from None


_SIDES = _ends(_whole(1, LARGEST_SIDE))
_PATCHES = _ends(_whole(4, LARGEST_SIDE))
_FACTORS = _ends(_number(0, 10))
_ARGUMENTS: dict[type[steps.Step], dict[str, Reader]] = {
    steps.CentreCrop: {"maximum": _whole(1, 2**16)},
    steps.RandomCrop: {"maximum": _whole(1, 2**16)},
    steps.RandomResizedCrop: {
        "sides": _SIDES,
        "scale": _ends(_number(1e-3, 1)),
        "ratio": _ends(_number(0.1, 10)),
        "interpolations": _some_of(INTERPOLATIONS),
    },
    steps.ColourJitter: {
        "brightness": _FACTORS,
        "contrast": _FACTORS,
        "saturation": _FACTORS,
        "hue": _ends(_number(-0.5, 0.5)),
    },
    steps.Grayscale: {},
    steps.Hole: {"sides": _SIDES, "level": _whole(0, 255)},
    steps.Noise: {"std": _ends(_number(0, 1))},
    steps.Blur: {"sigma": _ends(_number(0, 50))},
    steps.Jpeg: {"qualities": _qualities, "codecs": _some_of(CODECS)},
    steps.PatchShuffle: {"sides": _PATCHES},
    steps.PatchReplacement: {"sides": _PATCHES, "share": _ends(_number(0, 1))},
}
"""What each step takes beside its probability."""
STEPS = {re.sub(r"(?<!^)([A-Z])", r"_\1", cls.__name__).lower(): cls for cls in _ARGUMENTS}
"""Steps by the names that recipes call them."""


def _step(given: Any, where: str) -> steps.Step:
    """A step of its name alone, or of a mapping of its name to its arguments."""
    named = {given: None} if isinstance(given, str) else given
    if not isinstance(named, Mapping) or len(named) != 1:
        raise InputError(f"{where}: expected a step's name, or one with its arguments, found {given!r}")
    ((name, arguments),) = named.items()
    if name not in STEPS:
        raise InputError(f"{where}: unknown step {name!r}; known: {', '.join(STEPS)}{nearest(str(name), STEPS)}")
    cls = STEPS[name]
    readers = {"probability": _number(0, 1), **_ARGUMENTS[cls]}
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping) or (unknown := [key for key in arguments if key not in readers]):
        said = f"unknown {unknown[0]!r}{nearest(str(unknown[0]), readers)}" if isinstance(arguments, Mapping) else ""
        raise InputError(f"{where}: {name} takes {', '.join(readers)}; {said or repr(arguments)}")
    values: dict[str, Any] = {"probability": 1.0}
    for key, value in arguments.items():
        try:
            values[key] = readers[key](value)
        except ValueError as error:
            raise InputError(f"{where}: {name} {key}: expected {error}, found {value!r}") from error
    missing = [one.name for one in fields(cls) if one.default is MISSING and one.name not in values]
    if missing:
        raise InputError(f"{where}: {name} needs {', '.join(missing)}")
    return cls(**values)
