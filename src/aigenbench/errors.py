"""What a user did wrong, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message is one line saying what was expected, what was found, where, and what to do.

    The command line prints the message alone and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # a DataLoader re-raises a worker's error with the whole traceback as its message: keep the one line
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return a hint such as ``"; did you mean 'resize'?"``, or ``""`` where nothing known is close."""
    known = list(known)
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=n, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(repr(by_lower[c]) for c in close) + "?"
