"""Image generators by the day they were released, the benchmark's among them; and names that are nearly one's."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from aigenbench.csv_files import read_csv
from aigenbench.errors import InputError, nearest

LIST = Path(__file__).with_name("generators.csv")
"""A timeline file too: see docs/formats.md for its columns."""

_SHORTEST, _LONGEST = 7, 200
"""Letters and digits of names in which a letter may be wrong: in shorter ones (SNGAN, SAGAN) it makes another."""
_MOST_TOLD = 5


@dataclass(frozen=True)
class ListedGenerator:
    """A generator of the list.

    Attributes:
        name: as the benchmark spells it, or its makers.
        released: the day; the first of the month where only that is known.
        precision: ``day`` or ``month``.
        basis: ``benchmark`` (published with the benchmark), ``stored`` (a copy of the source, or of a page that
            names it, gives the date) or ``identifier`` (the month is that of the paper's number).
        source: address of what the date rests on.
        aliases: what else it is called.
    """

    name: str
    released: date
    precision: str
    basis: str
    source: str
    aliases: tuple[str, ...]

    def to_dict(self) -> dict[str, str]:
        """Values by the list's columns."""
        return {
            "generator": self.name,
            "date": self.released.isoformat(),
            "precision": self.precision,
            "basis": self.basis,
            "source": self.source,
            "aliases": ";".join(self.aliases),
        }


@cache
def listed_generators() -> tuple[ListedGenerator, ...]:
    """All generators of the list, by date."""
    rows = [row for _, row in read_csv(LIST, ("generator", "date", "precision", "basis", "source", "aliases")).rows]
    return tuple(
        ListedGenerator(
            row["generator"],
            date.fromisoformat(row["date"]),
            row["precision"],
            row["basis"],
            row["source"],
            tuple(filter(None, row["aliases"].split(";"))),
        )
        for row in rows
    )


def find_listed(names: Iterable[str]) -> tuple[ListedGenerator, ...]:
    """Those generators of the list that are called so, by date.

    Raises:
        InputError: a name is not on the list.
    """
    wanted = set(names)
    for name in sorted(wanted.difference(known_names())):
        near = near_names([name], known_names()).get(name)
        hint = f"; did you mean {near!r}?" if near else nearest(name, known_names())
        raise InputError(f"no generator {name!r} is on the list{hint}")
    return tuple(one for one in listed_generators() if one.name in wanted)


def known_names() -> tuple[str, ...]:
    """Names of the list, the benchmark's among them."""
    return tuple(one.name for one in listed_generators())


def near_names(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """What each name nearly is that is not known: a known name, or one that stands before it.

    Near is what differs in case, accents, spaces and signs alone; what becomes the same where at most one letter of
    each is left out, in names of seven letters and more; and what the list gives as another name. Otherwise names
    whose digits differ are never near: Midjourney v5 and v6 are two.

    Args:
        names: as found.
        known: names that are right; those of the list are too.

    Returns:
        the other name, by name; names that are right, and near none, are left out.
    """
    known = set(known)
    listed = listed_generators()
    right = known.union(known_names())
    of_spelling = {_plain(name): name for name in sorted(known)}
    for one in listed:
        if one.name in known:
            for alias in one.aliases:
                of_spelling.setdefault(_plain(alias), one.name)
    for name in sorted(known):
        for spelling in _spellings(name):
            of_spelling.setdefault(spelling, name)
    found = {}
    for name in names:
        spellings = _spellings(name)
        other = next((of_spelling[one] for one in spellings if one in of_spelling), name)
        if other != name and name not in right:
            found[name] = other
        for spelling in spellings:
            of_spelling.setdefault(spelling, name)
    return found


def refuse_near(where: str, names: Iterable[str], known: Iterable[str], new: Container[str], answer: str) -> None:
    """Ask about names that are nearly others'.

    Args:
        where: what the line begins with.
        names: as found.
        known: names that are right.
        new: names that are right too, however near.
        answer: what to do, with which the line ends.

    Raises:
        InputError: a name is near another.
    """
    near = {name: other for name, other in near_names(names, known).items() if name not in new}
    if near:
        told = [f"{name!r} is near {other!r}" for name, other in list(near.items())[:_MOST_TOLD]]
        rest = f"; {len(near) - _MOST_TOLD} more" if len(near) > _MOST_TOLD else ""
        raise InputError(f"{where}: {'; '.join(told)}{rest}: {answer}")


def _plain(name: str) -> str:
    """A name without what makes no other of it; a plus does (NCSN, NCSN++)."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(c for c in letters if c.isalnum() or c == "+") or name


def _spellings(name: str) -> list[str]:
    """A plain name, and what it is without any one letter; digits stay."""
    plain = _plain(name)
    if not _SHORTEST <= len(plain) <= _LONGEST:
        return [plain]
    return [plain, *(plain[:i] + plain[i + 1 :] for i, letter in enumerate(plain) if not letter.isdigit())]
