"""Generators and their release dates (protocol section 2), and timelines a user brings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from aigenbench.csv_files import read_csv
from aigenbench.errors import InputError, nearest
from aigenbench.files import canonical_json, user_path
from aigenbench.protocol.generators import known_names, listed_generators, refuse_near


@dataclass(frozen=True)
class Generator:
    """An image generator and the day it was released."""

    name: str
    released: date


@dataclass(frozen=True)
class Timeline:
    """Generators in order of release; equal dates keep the order they were given in.

    Attributes:
        generators: sorted by date.
        extensions: names that are not on the published timeline; their ids come after all others, by date.
        name: of a timeline that a user brings; the published one has none.
        version: likewise.
    """

    generators: tuple[Generator, ...]
    extensions: frozenset[str] = frozenset()
    name: str = ""
    version: str = ""

    @property
    def title(self) -> str:
        """Name and version, or "" for the published timeline."""
        return f"{self.name} {self.version}".strip()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Generator names by release date."""
        return tuple(g.name for g in self.generators)

    @cached_property
    def id_to_name(self) -> tuple[str, ...]:
        """Name of every generator id: ``""`` (real) is 0, then alphabetical, then extensions by date."""
        own = sorted(name for name in self.names if name not in self.extensions)
        return ("", *own, *(name for name in self.names if name in self.extensions))

    @cached_property
    def ids(self) -> dict[str, int]:
        """Generator id of every name, ``""`` (real) included."""
        return {name: i for i, name in enumerate(self.id_to_name)}

    @cached_property
    def dates(self) -> dict[str, date]:
        """Release date of every generator."""
        return {g.name: g.released for g in self.generators}

    def restricted_to(self, names: Iterable[str]) -> Timeline:
        """The timeline of those generators that are among ``names``."""
        keep = set(names)
        kept = (g for g in self.generators if g.name in keep)
        return make_timeline(kept, self.extensions & keep, self.name, self.version)

    def describe(self) -> Any:
        """What a fingerprint takes of a timeline: ``[name, ISO date]`` of every generator in order.

        For a timeline that has a name, a mapping of ``name``, ``version`` and these ``generators``.
        """
        generators = [[g.name, g.released.isoformat()] for g in self.generators]
        if not self.title:
            return generators
        return {"name": self.name, "version": self.version, "generators": generators}


def make_timeline(
    generators: Iterable[Generator], extensions: Iterable[str] = (), name: str = "", version: str = ""
) -> Timeline:
    """Sort generators by date into a timeline.

    Raises:
        InputError: a name is empty or stands twice.
    """
    ordered = sorted(generators, key=lambda g: g.released)
    seen: set[str] = set()
    for generator in ordered:
        if not generator.name:
            raise InputError("timeline: a generator has an empty name (the empty name means a real image)")
        if generator.name in seen:
            raise InputError(f"timeline: generator {generator.name!r} stands twice; name it once")
        seen.add(generator.name)
    return Timeline(tuple(ordered), frozenset(extensions), name, version)


PUBLISHED = make_timeline(Generator(one.name, one.released) for one in listed_generators() if one.basis == "benchmark")
"""The benchmark's own 36 generators."""


class _File(NamedTuple):
    """What a timeline's file says."""

    generators: tuple[Generator, ...]
    extend: bool
    name: str
    version: str
    new: tuple[str, ...]


def load_timeline(path: str | Path | None) -> Timeline:
    """Read a timeline of one's own: a YAML mapping or a CSV with columns ``generator`` and ``date``.

    YAML: ``{name: NAME, version: VERSION, extend: true, generators: {NAME: YYYY-MM-DD, ...}}``, or the inner mapping
    alone. With ``extend`` (``true`` unless said otherwise in YAML; always for CSV) the generators are added to the
    published ones; a published name may be repeated with its published date only. Where the file gives no name, it is
    the file's without its ending, and no version, 8 hex digits of a hash of what the file says. A name that nearly is
    a known one's (`near_names`) is refused unless the file says that it is another: YAML lists it under ``new``, CSV
    has a column ``new`` that is not empty.

    Args:
        path: the file; None for the published timeline.

    Raises:
        InputError: the file is missing, not of this form, a date cannot be read, or a name is near another.
    """
    if path is None:
        return PUBLISHED
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"timeline: no file {path}")
    read = _read_csv(path) if path.suffix.lower() == ".csv" else _read_yaml(path)
    if not read.generators:
        raise InputError(f"timeline: {path} names no generator")
    # first: names that stand twice are told
    alone = make_timeline(read.generators)
    refuse_near(f"timeline: {path}", (g.name for g in read.generators), known_names(), read.new, _IF_NEAR)
    own = [g for g in read.generators if g.name not in PUBLISHED.ids]
    names = [g.name for g in own]
    content = {"extend": read.extend, "generators": alone.describe()}
    version = read.version or hashlib.sha256(canonical_json(content).encode()).hexdigest()[:8]
    if not read.extend:
        return make_timeline(read.generators, names, read.name, version)
    for g in read.generators:
        published = PUBLISHED.dates.get(g.name)
        if published is not None and published != g.released:
            raise InputError(
                f"timeline: {path} dates {g.name!r} {g.released}, the published timeline {published}; "
                "use the published date, or 'extend: false' for a timeline of your own"
            )
    return make_timeline((*PUBLISHED.generators, *own), names, read.name, version) if own else PUBLISHED


def _read_csv(path: Path) -> _File:
    rows = [row for _, row in read_csv(path, ("generator", "date")).rows]
    generators = tuple(_dated(path, row["generator"].strip(), row["date"]) for row in rows)
    new = tuple(g.name for g, row in zip(generators, rows, strict=True) if row.get("new", "").strip())
    return _File(generators, True, path.stem, "", new)


def _read_yaml(path: Path) -> _File:
    from aigenbench.yaml_text import read_yaml_file

    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise InputError(f"timeline: {path} must be a mapping from generator name to date")
    said: dict[str, Any] = {}
    if "generators" in content:
        said, content = content, content["generators"]
        if not isinstance(content, dict):
            raise InputError(f"timeline: 'generators' in {path} must be a mapping from generator name to date")
    for key in said:
        if key not in _KEYS:
            raise InputError(f"timeline: {path} has an unknown key {key!r}{nearest(str(key), _KEYS)}")
    if not isinstance(extend := said.get("extend", True), bool):
        raise InputError(f"timeline: 'extend' in {path} must be true or false, found {extend!r}")
    generators = tuple(_dated(path, str(name), str(day)) for name, day in content.items())
    new, names = said.get("new", []), [g.name for g in generators]
    absent = [one for one in new if one not in names] if isinstance(new, list) else [new]
    if absent:
        raise InputError(f"timeline: 'new' in {path} must list names that it dates, found {absent[0]!r}")
    return _File(generators, extend, _text(path, said, "name") or path.stem, _text(path, said, "version"), tuple(new))


_KEYS = ("name", "version", "extend", "new", "generators")
_IF_NEAR = "use the known name where they are one; where not, say so under 'new' (in CSV, a column 'new' with yes)"


def _text(path: Path, said: dict[str, Any], key: str) -> str:
    value = said.get(key, "")
    # 1.10 is the number 1.1
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).isprintable():
        raise InputError(f"timeline: {key!r} in {path} must be one line of text, found {value!r}; put it in quotes")
    return str(value).strip()


def _dated(path: Path, name: str, day: str) -> Generator:
    try:
        return Generator(name, date.fromisoformat(day.strip()))
    except ValueError as error:
        raise InputError(f"timeline: {path} dates {name!r} {day!r}; expected YYYY-MM-DD") from error
