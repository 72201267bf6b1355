"""Strategies by name, as `experiment_info.strategy` gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError, nearest
from aigenbench.training.strategies.base import HOOKS, KEY, Strategy, overrides
from aigenbench.training.strategies.rows import Cumulative, Harmonic, NewWindow, Replay

STRATEGIES: dict[str, type[Strategy]] = {
    "cumulative": Cumulative,
    "new_window": NewWindow,
    "replay": Replay,
    "harmonic": Harmonic,
}
"""Strategies by their names in a config."""
_BUILT_IN = tuple(STRATEGIES)


def register_strategy(name: str, strategy: type[Strategy]) -> None:
    """Let ``experiment_info.strategy`` name a strategy of one's own; its arguments there are its constructor's.

    Raises:
        InputError: one of ours has that name.
    """
    if name in _BUILT_IN:
        raise InputError(f"register_strategy: {name!r} is one of {', '.join(_BUILT_IN)}; give it another name")
    STRATEGIES[name] = strategy


@dataclass(frozen=True)
class Strategies:
    """The strategies of a run, by name."""

    named: Mapping[str, Strategy]

    @classmethod
    def of(cls, given: Mapping[str, Mapping[str, Any]] | None) -> Strategies:
        """From a config's names and arguments; None is cumulative.

        Raises:
            InputError: nothing has that name, it has no such argument, a value is out of range, or two are about the
                same.
        """
        given = given or {}
        for name in given:
            if name not in STRATEGIES:
                hint = nearest(name, STRATEGIES)
                raise InputError(f"{KEY}: unknown {name!r}; known: {', '.join(STRATEGIES)}{hint}")
        for hook, about in HOOKS.items():
            names = [name for name in given if overrides(STRATEGIES[name], hook)]
            if len(names) > 1:
                raise InputError(f"{KEY}: {names[0]} and {names[1]} both say {about}; name one of them")
        return cls({name: _made(name, arguments) for name, arguments in given.items()})

    def about(self, hook: str) -> tuple[str, Strategy] | None:
        """The strategy that overrides a hook, with its name; None where the run does as by default."""
        found = ((name, one) for name, one in self.named.items() if overrides(type(one), hook))
        return next(found, None)


def _made(name: str, arguments: Mapping[str, Any]) -> Strategy:
    """A strategy with the arguments that a config gives, checked by name."""
    strategy = STRATEGIES[name]
    parameters = {} if strategy.__init__ is object.__init__ else inspect.signature(strategy).parameters
    for key in arguments:
        if key not in parameters:
            hint = nearest(str(key), parameters)
            raise InputError(f"{KEY}: {name} takes {', '.join(parameters) or 'no arguments'}; unknown {key!r}{hint}")
    lacking = [key for key, one in parameters.items() if one.default is one.empty and key not in arguments]
    if lacking:
        raise InputError(f"{KEY}: {name} needs {lacking[0]}, such as {{{name}: {{{lacking[0]}: ...}}}}")
    return strategy(**arguments)
