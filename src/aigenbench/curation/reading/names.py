"""Names of generators: one that is nearly a known one's is asked about, never guessed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from aigenbench.curation.reading.entries import Entry
from aigenbench.errors import InputError

_NEAR = 0.75
"""Share of letters in common (difflib) from which two names are near."""


def settle_names(
    entries: Sequence[Entry], known: Iterable[str], renames: Mapping[str, str], new: Sequence[str]
) -> None:
    """Rename generators as asked, and hold that no other name is nearly a known one's, or two new ones nearly one.

    Args:
        entries: changed in place.
        known: generators on the timeline.
        renames: new name by name found.
        new: names that are what they are, however near.

    Raises:
        InputError: a name is near another, or one of ``renames`` or ``new`` is not there.
    """
    found = {entry.generator for entry in entries} - {""}
    absent = [name for name in (*renames, *new) if name not in found]
    if absent:
        raise InputError(f"no image is of generator {absent[0]!r}; found {', '.join(sorted(found)) or 'none'}")
    for entry in entries:
        entry.generator = renames.get(entry.generator, entry.generator)
    by_plain = {_plain(name): name for name in known}
    asked = []
    for name in sorted({renames.get(one, one) for one in found} - set(by_plain.values())):
        near = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=_NEAR)
        if near and name not in new:
            asked.append(f"{name!r} is near {by_plain[near[0]]!r}")
        by_plain[_plain(name)] = name
    if asked:
        raise InputError(
            f"generators: {'; '.join(asked)}: --rename 'NAME=OTHER' where they are one, --new-generator NAME where not"
        )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())
