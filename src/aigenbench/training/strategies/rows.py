"""Strategies that say which images a window trains on, and how many copies of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError, nearest
from aigenbench.protocol.randomness import sample_rng
from aigenbench.protocol.windows import Rows
from aigenbench.training.strategies.base import KEY, RowsContext, Strategy

SELECTIONS = ("balanced", "reservoir", "herding")
PARTS = ("images", "copies")


class Cumulative(Strategy):
    """All images so far: a window's own, then the earlier windows', latest first."""

    def rows(self, context: RowsContext) -> Rows:
        """The rows of all windows so far."""
        return np.concatenate(context.own[::-1])


class NewWindow(Strategy):
    """The new window's images alone."""

    def rows(self, context: RowsContext) -> Rows:
        """The window's own rows."""
        return context.own[context.window]


class Harmonic(Strategy):
    """Of an older window the share ``1 / age ** power``, rounded up; the new window has age 1.

    An image kept at one age was kept at the one before. Reals are kept in the proportion of fakes.

    Args:
        power: 0 keeps everything.
        of: take the share of each generator's ``images``, or of the augmented ``copies`` of every image.
        seed: of the order in which images are dropped.
    """

    def __init__(self, power: float = 1.0, of: str = "images", seed: int = 0) -> None:
        self.power, self.of = _number("harmonic power", power), _one_of("harmonic of", of, PARTS)
        self.seed = _whole("harmonic seed", seed, 0)

    def rows(self, context: RowsContext) -> Rows:
        """The window's own rows, and what is kept of the earlier windows', latest first."""
        if self.of == "copies":
            return Cumulative().rows(context)
        kept = []
        for window, groups in enumerate(_earlier(context)):
            counts = _with_reals(groups, [self._share(len(g), context.window - window + 1) for g in groups[1:]])
            kept.append(_first(shuffled(groups, window, self.seed), counts))
        return _in_own_order(context, kept)

    def copies(self, context: RowsContext, rows: Rows, factor: int) -> npt.NDArray[np.int64]:
        """All copies of the new window's images, fewer of the older ones'."""
        counts = np.full(len(rows), factor)
        if self.of == "images":
            return counts
        if factor == 1:
            raise InputError(f"{KEY}: harmonic of copies needs data.augmentation_factor above 1, of which there is 1")
        for window, own in enumerate(context.own):
            counts[np.isin(rows, own)] = self._share(factor, context.window - window + 1)
        return counts

    def _share(self, n: int, age: int) -> int:
        return math.ceil(n / age**self.power)


class Replay(Strategy):
    """The new window's images, and at most ``budget`` remembered ones of the windows before.

    What was dropped does not come back.

    Args:
        budget: images, reals among them.
        selection: ``balanced``: each generator the same number, drawn at random, each window's reals in the proportion
            of its fakes; ``reservoir``: of all reals and of all fakes so far, in their order, each is kept with the
            same probability (Vitter's algorithm R), half the budget for each; ``herding``: as many as ``balanced``, of
            each generator those whose mean feature is nearest to that of all (iCaRL, arXiv 1611.07725).
        seed: of the two that draw.
    """

    def __init__(self, budget: int, selection: str = "balanced", seed: int = 0) -> None:
        self.budget, self.seed = _whole("replay budget", budget, 1), _whole("replay seed", seed, 0)
        self.selection = _one_of("replay selection", selection, SELECTIONS)
        self.needs_features = selection == "herding"

    def rows(self, context: RowsContext) -> Rows:
        """The window's own rows, and the remembered ones, latest first."""
        groups = _earlier(context)
        counts = self._counts(groups)
        if self.selection == "reservoir":
            return _in_own_order(context, reservoirs(context, self.budget // 2, self.seed))
        if self.selection == "balanced":
            drawn = [shuffled(of_window, window, self.seed) for window, of_window in enumerate(groups)]
            return _in_own_order(context, [_first(*pair) for pair in zip(drawn, counts, strict=True)])
        ranked = groups if context.features is None else _ranked(context, groups, counts)
        # in the order of their worth: those that the next window drops stand last
        kept = [_first(*pair) for pair in zip(ranked, counts, strict=True)]
        return np.concatenate([context.own[-1], *kept[::-1]])

    def _counts(self, groups: Sequence[list[Rows]]) -> list[list[int]]:
        """How many of each group are kept: every generator the same number, or all it has; the most that fits."""

        def at(level: int) -> list[list[int]]:
            return [_with_reals(of_window, [min(len(g), level) for g in of_window[1:]]) for of_window in groups]

        largest = max((len(g) for of_window in groups for g in of_window[1:]), default=0)
        level = bisect_right(range(1, largest + 1), self.budget, key=lambda level: sum(map(sum, at(level))))
        if groups and not level:
            generators = sum(len(of_window) - 1 for of_window in groups)
            raise InputError(
                f"{KEY}: replay budget {self.budget} is below one image of each of the {generators} generators before "
                f"window {len(groups)}, and as many reals; give at least {sum(map(sum, at(1)))}"
            )
        return at(level)


def shuffled(groups: Sequence[Rows], window: int, seed: int) -> list[Rows]:
    """The groups of a window, each in an order of its own that its place alone decides."""
    return [
        sample_rng(seed, "train", place, 0, "replay", window).permutation(group) for place, group in enumerate(groups)
    ]


def reservoirs(context: RowsContext, size: int, seed: int) -> list[Rows]:
    """What two reservoirs, of reals and of fakes, hold when all earlier windows went by; int64 (2 x size,) at most."""
    stream = np.concatenate([np.empty(0, np.int64), *context.own[:-1]])
    held = []
    for label in (0, 1):
        items = stream[(context.generator_ids[stream] > 0) == label]
        kept, later = items[:size].copy(), np.arange(size, len(items))
        places = sample_rng(seed, "train", label, 0, "reservoir").integers(0, later, endpoint=True)
        for item, place in zip(items[size:].tolist(), places.tolist(), strict=True):
            if place < size:
                kept[place] = item
        held.append(kept)
    return held


def herded(features: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Which images to keep, the first being the most wanted: each brings the mean of those kept nearest to that of all.

    Args:
        features: float (n, D); their directions are what counts.
        count: how many to name, at most n.

    Returns:
        int64 (count,): positions.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(min=1e-12)
    # the sums are long, what is compared is not
    mean, total = unit.mean(axis=0, dtype=np.float64), np.zeros(unit.shape[1])
    squares, chosen = (unit**2).sum(axis=1), np.empty(count, np.int64)
    for n in range(count):
        # |(n + 1) mean - total - x|^2, less what all x have in common
        distances = squares - 2 * (unit @ ((n + 1) * mean - total).astype(unit.dtype))
        chosen[n] = distances.argmin()
        squares[chosen[n]] = np.inf
        total += unit[chosen[n]]
    return chosen


def _ranked(context: RowsContext, groups: Sequence[list[Rows]], counts: Sequence[list[int]]) -> list[list[Rows]]:
    """The groups of every earlier window, most wanted first: the last one's by features, the others' as remembered."""
    if not groups:
        return []
    assert context.features is not None, "sizes alone need no ranking"
    before, features, own = context.before(), context.features(), context.own[-2]
    remembered = [_groups(before[np.isin(before, rows)], context.generator_ids) for rows in context.own[:-2]]
    newest = []
    for group, count in zip(groups[-1], counts[-1], strict=True):
        places = np.flatnonzero(np.isin(own, group))
        newest.append(own[places[herded(features[places], count)]])
    return [*remembered, newest]


def _earlier(context: RowsContext) -> list[list[Rows]]:
    return [_groups(own, context.generator_ids) for own in context.own[:-1]]


def _groups(rows: Rows, generator_ids: npt.NDArray[np.integer]) -> list[Rows]:
    """The reals among a window's rows, then each generator's fakes, all in their order."""
    ids = generator_ids[rows]
    return [rows[ids == one] for one in (0, *np.unique(ids[ids > 0]).tolist())]


def _with_reals(groups: Sequence[Rows], fakes: Sequence[int]) -> list[int]:
    """Counts of fakes by generator, and before them that of reals in the same proportion."""
    return [len(groups[0]) * sum(fakes) // sum(map(len, groups[1:])), *fakes]


def _first(groups: Sequence[Rows], counts: Sequence[int]) -> Rows:
    return np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)])


def _in_own_order(context: RowsContext, kept: Sequence[Rows]) -> Rows:
    """The new window's rows, then of the earlier ones', latest first, those that are kept, in their own order."""
    remembered = np.concatenate([np.empty(0, np.int64), *kept])
    return np.concatenate([context.own[-1], *(own[np.isin(own, remembered)] for own in context.own[-2::-1])])


def _whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise InputError(f"{KEY}: {name} must be a whole number from {least} on, found {value!r}")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InputError(f"{KEY}: {name} must be a number from 0 on, found {value!r}")
    return float(value)


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        hint = nearest(str(value), known)
        raise InputError(f"{KEY}: {name}: expected {' or '.join(known)}, found {value!r}{hint}")
    return str(value)
