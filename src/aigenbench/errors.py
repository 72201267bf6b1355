"""What a user did wrong, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

_LONGEST_LINE = 4000
_LONGEST_NAME = 200
_MOST_NAMES = 2000


class InputError(ValueError):
    """Bad input: the message is one line saying what was expected, what was found, where, and what to do.

    The command line prints the message alone and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # a DataLoader re-raises a worker's error with the whole traceback as its message: keep the one line
        line = message.rpartition(f"{type(self).__name__}: ")[2].strip()
        super().__init__(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ...")


class MissingFileError(InputError):
    """There is no such file."""


def printable(text: str, keep: str = "") -> str:
    r"""``text`` with every character that is not to be seen written as an escape such as ``\x1b``.

    What strangers wrote (names in bundles, configs and file names) goes through here before it reaches a terminal or a
    log: it can then neither move the cursor, nor turn the direction of writing, nor begin a line of its own.

    Args:
        text: may hold anything, lone surrogates included.
        keep: characters that stay as they are, such as ``"\n"``.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return a hint such as ``"; did you mean 'resize'?"``, or ``""`` where nothing known is close."""
    # a file of a stranger may hold any number of names of any length
    known = [one for one in islice(known, _MOST_NAMES) if len(one) <= _LONGEST_NAME]
    if len(name) > _LONGEST_NAME:
        return ""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=n, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(repr(by_lower[c]) for c in close) + "?"
