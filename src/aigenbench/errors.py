"""What a user did wrong, told in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

# control characters, what changes the direction of writing, and bytes that are no text
_UNSEEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# all of these but tab and newline
_UNSEEN = re.compile(rf"(?![\t\n]){_UNSEEN_IN_LINE.pattern}")
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


def printable(text: str, line: bool = False) -> str:
    r"""Text as a terminal may be given it: characters that would act on it stand as ``\u001b``.

    What names in files of somebody else's hold can then not move the cursor, nor clear or recolour a line. In JSON,
    and in YAML's double quotes, the text says the same as before.

    Args:
        text: may hold anything, lone surrogates included.
        line: whether it is part of a line, so that it can begin none of its own.
    """
    return (_UNSEEN_IN_LINE if line else _UNSEEN).sub(lambda found: f"\\u{ord(found[0]):04x}", text)


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
