"""Names of generators: one that is nearly a known one's is asked about, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aigenbench.curation.reading.entries import Entry
from aigenbench.errors import InputError
from aigenbench.protocol.generators import refuse_near


def settle_names(
    entries: Sequence[Entry], known: Iterable[str], renames: Mapping[str, str], new: Sequence[str]
) -> None:
    """Rename generators as asked, and hold that no other name is nearly a known one's, or two new ones nearly one.

    Args:
        entries: changed in place.
        known: names of generators; see `known_names`.
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
    refuse_near(
        "generators",
        sorted({renames.get(one, one) for one in found}),
        known,
        new,
        "--rename 'NAME=OTHER' where they are one, --new-generator NAME where not",
    )
