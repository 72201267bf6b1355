"""Strategies that say which weights a window starts and ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from aigenbench.errors import InputError, nearest
from aigenbench.training.strategies.base import KEY, Strategy
from aigenbench.training.strategies.ema import MeanOfSteps
from aigenbench.training.strategies.merging import Weights, best, mixed

STARTS = ("carried", "reset")
SELECTIONS = ("uniform", "greedy")
FITTED = "fitted"
_GRID = 11


@dataclass(frozen=True)
class StartContext:
    """What a window may start with.

    Attributes:
        window: its index, from 1 on.
        carry: sets the weights that the training of the window before goes on from.
        reset: sets those that the run began with.
    """

    window: int
    carry: Callable[[], None]
    reset: Callable[[], None]


@dataclass(frozen=True)
class FinishContext:
    """What a window's last weights may be made of; state dicts on the CPU.

    Attributes:
        window: its index.
        trained: what its training ended with.
        earlier: gives the last weights of the window before; from window 1 on.
        said: gives what the window before's ``Finished`` told, empty where nothing.
        detector: whose weights they are.
        past: gives the AUROC of weights on the Past period of this window; None where it is undefined.
    """

    window: int
    trained: Weights
    earlier: Callable[[], Weights]
    said: Callable[[], Mapping[str, Any]]
    detector: nn.Module
    past: Callable[[Weights], float | None]


@dataclass(frozen=True)
class Finished:
    """What a window ends with.

    Attributes:
        weights: are evaluated and exported.
        goes_on: whether the next window goes on from the trained weights instead of these.
        told: plain values for ``run.json`` and the checkpoint.
    """

    weights: Weights
    goes_on: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)


class Start(Strategy):
    """The weights that a window starts with.

    Args:
        weights: ``carried`` on from the window before, or ``reset`` to those that the run began with.
    """

    def __init__(self, weights: str = "carried") -> None:
        self._resets = one_of("start weights", weights, STARTS) == "reset"

    def start(self, context: StartContext) -> None:
        """Set them."""
        (context.reset if self._resets else context.carry)()


class Interpolate(Strategy):
    """Between the last weights of the window before and those just trained (WiSE-FT, arXiv 2109.01903).

    Args:
        alpha: share of those just trained, 0 to 1; or ``fitted``: that of a grid with the highest AUROC on Past.
        grid: how many values are tried, evenly from 0 to 1.
    """

    def __init__(self, alpha: float | str = 0.5, grid: int | None = None) -> None:
        self._alpha = None if alpha == FITTED else number("interpolate alpha", alpha, 0, 1, " or fitted")
        if grid is not None and self._alpha is not None:
            raise InputError(f"{KEY}: interpolate grid is of alpha: fitted; leave it out, or fit alpha")
        if grid is not None and (type(grid) is not int or grid < 2):
            raise InputError(f"{KEY}: interpolate grid must be a whole number from 2 on, found {grid!r}")
        self._grid = grid or _GRID

    def finish(self, context: FinishContext) -> Finished:
        """The interpolated weights; at window 0 the trained ones."""
        if not context.window:
            return Finished(context.trained)
        earlier = context.earlier()

        def at(alpha: float) -> Weights:
            return mixed((earlier, context.trained), (1 - alpha, alpha), context.detector)

        if self._alpha is not None:
            return Finished(at(self._alpha), told={"alpha": self._alpha})
        grid = [i / (self._grid - 1) for i in range(self._grid)]
        scores = {alpha: context.past(at(alpha)) for alpha in grid}
        alpha = best(scores)
        told = {"alpha": alpha, "past_auroc": {f"{one:g}": score for one, score in scores.items()}}
        return Finished(at(alpha), told=told)


class Ema(Strategy):
    """The exponential mean of the weights over the optimizer steps of all windows; each goes on from it.

    Args:
        decay: from 0 on, below 1: the share of the mean so far that a step keeps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        self._decay = number("ema decay", decay, 0, 1)
        if self._decay == 1:
            raise InputError(f"{KEY}: ema decay must be below 1, or nothing would be learned")
        self._mean = MeanOfSteps(self._decay)

    def callbacks(self) -> list[Any]:
        """What takes the mean within a window."""
        self._mean = MeanOfSteps(self._decay)
        return [self._mean]

    def finish(self, context: FinishContext) -> Finished:
        """The mean."""
        return Finished(self._mean.weights(context.trained))


class Soup(Strategy):
    """The uniform mean of the trained weights of windows, while training goes on from those of the last one.

    Model soups, arXiv 2203.05482; there of runs side by side, here of the windows of one.

    Args:
        selection: ``uniform`` takes all windows so far; ``greedy`` takes a window in where that does not lower the
            AUROC on Past.
    """

    def __init__(self, selection: str = "uniform") -> None:
        self._greedy = one_of("soup selection", selection, SELECTIONS) == "greedy"

    def finish(self, context: FinishContext) -> Finished:
        """The mean."""
        if not context.window:
            return Finished(context.trained, told={"windows": [0]})
        earlier = context.earlier()
        windows = list(context.said().get("windows", range(context.window)))
        n = len(windows) + 1
        soup: Weights = mixed((earlier, context.trained), (1 - 1 / n, 1 / n), context.detector)
        told: dict[str, Any] = {"windows": [*windows, context.window]}
        if self._greedy:
            scores = {0.0: context.past(earlier), 1.0: context.past(soup)}
            told["past_auroc"] = {"without": scores[0.0], "with": scores[1.0]}
            if best(scores) == 0:
                soup, told["windows"] = earlier, windows
        return Finished(soup, goes_on=True, told=told)


def number(name: str, value: Any, least: float, most: float, other: str = "") -> float:
    """An argument that must be a number within bounds.

    Raises:
        InputError: it is not; ``other`` says what else is known.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{KEY}: {name} must be a number from {least:g} to {most:g}{other}, found {value!r}")
    return float(value)


def one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    """An argument that must be one of a few words.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        hint = nearest(str(value), known)
        raise InputError(f"{KEY}: {name}: expected {' or '.join(known)}, found {value!r}{hint}")
    return str(value)
