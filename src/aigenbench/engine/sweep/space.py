"""What a search varies, and what it may look at: results of the Past period alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError, nearest
from aigenbench.protocol.periods import PERIOD_TITLES

OBJECTIVE = "past"
_KEYS = ("trials", "space", "objective", "seed")
_RANGE = ("low", "high", "log", "step")
_LOOKING_AHEAD = {
    spelled: PERIOD_TITLES[name]
    for name in ("immediate_future", "growing_whole", "all")
    for spelled in (name, PERIOD_TITLES[name].lower())
}


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; whole ones where both are.

    Attributes:
        low, high: the ends, both included.
        log: whether they are tried by their logarithm.
        step: between neighbours; None for none.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Search:
    """A search for the values under which the mean Past-period AUROC is highest.

    Attributes:
        trials: how many are tried.
        space: dotted keys, each with its range or its choices.
        seed: of the search itself.
    """

    trials: int
    space: Mapping[str, Range | tuple[Any, ...]]
    seed: int = 0


def read_search(values: Any, where: str) -> Search:
    """The section ``search`` of a sweep's file.

    Raises:
        InputError: a key is unknown or missing, a range is none, or the objective looks at what a detector must not
            have seen.
    """
    check_keys(values, where, _KEYS)
    objective = str(values.get("objective", OBJECTIVE)).lower()
    if objective in _LOOKING_AHEAD:
        raise InputError(
            f"{where}: objective: {_LOOKING_AHEAD[objective]} looks at generators that are still to come, by which the "
            "benchmark judges: a search on it would be fitted to them; expected past"
        )
    if objective not in (OBJECTIVE, "growing"):
        raise InputError(f"{where}: objective: expected past, found {values['objective']!r}")
    trials, seed = values.get("trials"), values.get("seed", 0)
    for key, number, least in (("trials", trials, 1), ("seed", seed, 0)):
        if type(number) is not int or number < least:
            raise InputError(f"{where}: {key}: expected a whole number of at least {least}, found {number!r}")
    space = values.get("space")
    if not isinstance(space, Mapping) or not space:
        raise InputError(f"{where}: space: expected config keys with what to try for each, found {space!r}")
    return Search(trials, {str(key): _tried(item, f"{where}: space: {key}") for key, item in space.items()}, seed)


def _tried(value: Any, where: str) -> Range | tuple[Any, ...]:
    if isinstance(value, list) and value:
        return tuple(value)
    check_keys(value, where, _RANGE)
    low, high, step = (value.get(key) for key in ("low", "high", "step"))
    numbers = (low, high, *(() if step is None else (step,)))
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers) or low >= high:
        raise InputError(f"{where}: expected numbers with low below high, found {dict(value)!r}")
    log = value.get("log", False)
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise InputError(f"{where}: log: expected true, with low above 0 and no step, or false; found {dict(value)!r}")
    return Range(low, high, log, step)


def check_keys(value: Any, where: str, known: tuple[str, ...]) -> None:
    """See that a section is a mapping of known keys.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a mapping with {', '.join(known)}, found {value!r}")
    for key in value:
        if key not in known:
            hint = nearest(str(key), known) or f"; the keys are {', '.join(known)}"
            raise InputError(f"{where}: unknown key {key!r}{hint}")
