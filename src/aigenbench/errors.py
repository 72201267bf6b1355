"""What a user did wrong, told in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# control characters but tab and newline, what changes the direction of writing, and bytes that are no text
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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


def printable(text: str) -> str:
    r"""Text as a terminal may be given it: characters that would act on it stand as ``\u001b``.

    What names in files of somebody else's hold can then not move the cursor, nor clear or recolour a line. In JSON,
    and in YAML's double quotes, the text says the same as before.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
