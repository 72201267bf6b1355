"""jsonargparse at work: a section's values checked by type, and the objects that they describe."""

from __future__ import annotations

import copy
import json
import re
import warnings
from argparse import ArgumentError
from functools import cache, partial
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer

from aigenbench.config.imports import raised_by_us, reason
from aigenbench.config.layer import OPTIMIZER
from aigenbench.config.names import Path, class_nodes, dotted
from aigenbench.data import AIGenBenchPipeline
from aigenbench.errors import InputError
from aigenbench.training import BaseDeepfakeDetectionModel

# sections that hold a class's arguments without naming it, and sections that name a subclass
PLAIN = {"trainer": Trainer, "checkpoint_callback": ModelCheckpoint}
NAMED = {"model": BaseDeepfakeDetectionModel, "data": AIGenBenchPipeline}
# places further inside that name subclasses, alone or in a list, and what to call one of them
INNER: dict[Path, tuple[type, str]] = {
    OPTIMIZER: (Optimizer, "an optimizer such as torch.optim.AdamW"),
    ("trainer", "callbacks"): (Callback, "a callback such as LearningRateMonitor"),
    ("trainer", "logger"): (Logger, "a logger such as TensorBoardLogger"),
}
# what the parser raises for values it refuses
REFUSALS = (ArgumentError, TypeError, ValueError)
# optional packages that an extra of ours brings
EXTRAS = ("wandb",)


def parse(values: dict[str, Any]) -> dict[str, Any]:
    """The sections that describe objects, checked by type and completed with the classes' defaults.

    Args:
        values: a configuration; sections that are None or describe no objects are left out of the result.

    Raises:
        ArgumentError, TypeError, ValueError: a value is not of its type (`REFUSALS`).
    """
    given = {section: values[section] for section in (*PLAIN, *NAMED) if values.get(section) is not None}
    parser = _parser(tuple(given))
    parsed = parser.parse_object(copy.deepcopy(given))  # it changes lists in what it is given
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Unable to serialize instance")
        dumped = parser.dump(parsed, format="json", skip_unset=False, skip_validation=True)
    return _without_objects(json.loads(dumped))


def _without_objects(value: Any) -> Any:
    """A copy without the defaults that are objects, which no config can name: their classes know them."""
    if isinstance(value, dict):
        return {key: _without_objects(item) for key, item in value.items() if not _is_object(item)}
    return [_without_objects(item) for item in value] if isinstance(value, list) else value


def _is_object(value: Any) -> bool:
    # what jsonargparse writes in their place
    return isinstance(value, str) and value.startswith("Unable to serialize instance ")


def make(section: str, values: dict[str, Any]) -> Any:
    """The object that a parsed section describes: a detector, a pipeline, or a namespace of arguments.

    Raises:
        InputError: a class refuses its arguments, or needs a package that is not installed; where it is a user's, the
            message has the place in its code.
    """
    failures: list[tuple[type, Exception]] = []

    def construct(cls: type, *args: Any, **kwargs: Any) -> Any:
        if issubclass(cls, Optimizer) and not args and kwargs.get("params") is None:
            # of an argument without a type: the parameters come later
            return partial(cls, **{key: value for key, value in kwargs.items() if key != "params"})
        try:
            return cls(*args, **kwargs)
        except Exception as error:
            failures.append((cls, error))
            raise

    parser = _parser((section,))
    parsed = parser.parse_object({section: copy.deepcopy(values)})
    try:
        return parser.instantiate(parsed, instantiators=[(construct, object, True)])[section]
    except Exception:  # a user's class may raise anything; it is raised again, as that class's error
        if not failures:
            raise
        cls, cause = failures[0]
        raise _told(section, values, cls, cause) from cause


@cache
def _parser(sections: tuple[str, ...]) -> ArgumentParser:
    # reading the classes' signatures takes longer than all else that is done for a window
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for section in sections:
        if section in PLAIN:
            parser.add_class_arguments(PLAIN[section], section, instantiate=False)
        else:
            parser.add_subclass_arguments(NAMED[section], section, fail_untyped=False, required=True)
    return parser


def _told(section: str, values: dict[str, Any], cls: type, error: Exception) -> Exception:
    """The error to raise for a class that could not be made."""
    if isinstance(error, InputError | OSError) or raised_by_us(error):
        return error
    missing = _missing_package(section, error)
    if missing is not None:
        return missing
    name = cls.__name__
    places = [dotted(place) for place, node in class_nodes(values, (section,)) if _is_called(node, name)]
    return InputError(f"{places[0] if places else section}: {name} cannot be made: {reason(error)}")


def _is_called(node: dict[str, Any], name: str) -> bool:
    return bool(node["class_path"].rpartition(".")[2] == name)


def _missing_package(section: str, error: Exception) -> InputError | None:
    missing = re.search(r"No module named '([\w.]+)'|Requirement '([\w-]+)", str(error))
    if missing is None or not isinstance(error, ImportError):
        return None
    package = missing[1] or missing[2]
    wanted = f"'aigenbench[{package}]'" if package in EXTRAS else package
    return InputError(
        f"{section}: the package {package} is not installed: pip install {wanted}, or take it out of the config"
    )
