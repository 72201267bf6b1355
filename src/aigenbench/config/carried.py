"""Arguments that hold only where a class takes them.

Layers are merged before any class is imported, which takes seconds. Where an argument stays or goes by what a class
takes, the merged tree holds both outcomes, and `settle` chooses once classes can be looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

# the names of the arguments that a class takes; None where they cannot be known
ParametersOf = Callable[[str], Collection[str] | None]

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "nothing", "__deepcopy__": lambda self, _: self})()
"""Stands for an argument that is not given."""


@dataclass(frozen=True)
class Question:
    """Whether a class takes an argument.

    Attributes:
        class_path: the class.
        before: what to tell where it does not.
        after: where given, the names of all arguments that were lost stand between `before` and this.
    """

    class_path: str
    before: str
    after: str | None = None


@dataclass(frozen=True)
class Carried:
    """A value that counts where a class takes the argument.

    Attributes:
        value: what the argument then is, or the error that it then is.
        otherwise: what it is where the class does not take it; `ABSENT` for nothing, or an error.
        name: the argument's.
        question: whose answer decides.
    """

    value: Any
    otherwise: Any
    name: str
    question: Question


def settle(tree: Any, parameters_of: ParametersOf) -> Any:
    """A copy of a merged tree without open questions; arguments that are dropped are told in warnings.

    Args:
        tree: mappings and lists with `Carried` values among them.
        parameters_of: looks up the names of a class's arguments.

    Raises:
        InputError: what layers gave cannot be merged in the outcome that counts.
    """
    lost: dict[Question, list[str]] = {}
    settled = _settled(tree, parameters_of, lost)
    if isinstance(settled, InputError):
        raise settled
    for question, names in lost.items():
        listed = "" if question.after is None else ", ".join(names) + question.after
        logger.warning("%s", question.before + listed)
    return settled


def as_if_taken(tree: Any) -> Any:
    """A copy of a merged tree in which every class takes what it is given: what can be said before any is imported."""
    return _settled(tree, lambda _: None, None)


def _settled(value: Any, parameters_of: ParametersOf, lost: dict[Question, list[str]] | None) -> Any:
    """The value settled; an error in place of one that has an error where it counts."""
    if isinstance(value, Carried):
        return _chosen(value, parameters_of, lost)
    if not isinstance(value, dict | list):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    settled = {key: _settled(item, parameters_of, lost) for key, item in items}
    error = next((item for item in settled.values() if isinstance(item, InputError)), None)
    if error is not None and lost is not None:
        return error
    kept = {key: item for key, item in settled.items() if item is not ABSENT and not isinstance(item, InputError)}
    return kept if isinstance(value, dict) else list(kept.values())


def _chosen(carried: Carried, parameters_of: ParametersOf, lost: dict[Question, list[str]] | None) -> Any:
    # what an earlier change of class has dropped is not asked of a later one
    outcome = _settled(carried.value, parameters_of, lost)
    if outcome is not ABSENT:
        known = parameters_of(carried.question.class_path)
        if known is None or carried.name in known:
            return outcome
        assert lost is not None, "where nothing is looked up, everything is taken"
        lost.setdefault(carried.question, []).append(carried.name)
    return _settled(carried.otherwise, parameters_of, lost)
