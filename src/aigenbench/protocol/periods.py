"""Which generators a period holds at a window (protocol section 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from aigenbench.errors import InputError, nearest

T = TypeVar("T")

PERIODS = ("immediate_future", "growing", "growing_whole", "past")
"""Names of the periods as they stand in configs and files."""

PERIOD_TITLES = {
    "immediate_future": "Next",
    "growing": "Past",
    "growing_whole": "Whole",
    "past": "Before",
    "all": "All",
}
"""How tables and plots call the periods. ``growing`` is what the benchmark's authors call the Past period."""


def period_generators(period: str, windows: Sequence[Sequence[str]], window: int) -> tuple[str, ...]:
    """Generators that count for ``period`` after training window ``window``.

    Args:
        period: one of PERIODS, or ``all``.
        windows: generator names of every window, in order (an empty name is padding and is left out).
        window: 0-based index of the window trained last.

    Returns:
        Names in timeline order. Empty for ``immediate_future`` at the last window and ``past`` at the first.

    Raises:
        InputError: no period has that name, or there is no such window.
    """
    if not 0 <= window < len(windows):
        raise InputError(f"window {window} does not exist: there are {len(windows)}, counted from 0")
    spans = {
        "immediate_future": (window + 1, window + 2),
        "growing": (0, window + 1),
        "growing_whole": (0, window + 2),
        "past": (0, window),
        "all": (0, len(windows)),
    }
    start, stop = _known(period, spans)
    return tuple(name for names in windows[start:stop] for name in names if name)


def period_of_weights(
    period: str,
    windows: Sequence[Sequence[str]],
    trained_windows: Sequence[Sequence[str]],
    next_generators: Collection[str],
) -> tuple[str, ...]:
    """Generators that count for ``period`` with weights that were trained on ``trained_windows``.

    For the weights of window k of a run over ``windows`` this is ``period_generators(period, windows, k)``.

    Args:
        period: one of PERIODS, or ``all``.
        windows: generator names of every window of the evaluated data set, in order.
        trained_windows: those of the windows the weights were trained on; the last one was trained last.
        next_generators: what the Next period holds.

    Returns:
        Names in the order of ``windows``; trained generators that the data set lacks are left out.

    Raises:
        InputError: no period has that name.
    """
    names = [name for of_window in windows for name in of_window if name]
    trained = {name for of_window in trained_windows for name in of_window}
    before = {name for of_window in trained_windows[:-1] for name in of_window}
    coming = set(next_generators)
    sets: dict[str, Collection[str]] = {
        "immediate_future": coming,
        "growing": trained,
        "growing_whole": trained | coming,
        "past": before,
        "all": names,
    }
    wanted = _known(period, sets)
    return tuple(name for name in names if name in wanted)


def _known(period: str, choices: Mapping[str, T]) -> T:
    if period not in choices:
        raise InputError(f"unknown period {period!r}; known: {', '.join(choices)}{nearest(period, choices)}")
    return choices[period]
