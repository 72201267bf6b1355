"""Which generators a period holds at a window (protocol section 5)."""

from __future__ import annotations

from collections.abc import Sequence

from aigenbench.errors import InputError, nearest

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
    if period not in spans:
        raise InputError(f"unknown period {period!r}; known: {', '.join(spans)}{nearest(period, spans)}")
    start, stop = spans[period]
    return tuple(name for names in windows[start:stop] for name in names if name)
