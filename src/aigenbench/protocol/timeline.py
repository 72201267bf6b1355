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


_PUBLISHED_DATES = {
    "CycleGAN": "2017-03-30",
    "Cascaded Refinement Networks": "2017-07-28",
    "ProGAN": "2017-10-27",
    "StarGAN": "2017-11-24",
    "SN-PatchGAN": "2018-06-10",
    "BigGAN": "2018-09-28",
    "IMLE": "2018-11-29",
    "StyleGAN1": "2018-12-12",
    "GauGAN": "2019-03-18",
    "StyleGAN2": "2019-12-03",
    "DDPM": "2020-06-19",
    "CIPS": "2020-11-27",
    "VQGAN": "2020-12-17",
    "GANformer": "2021-03-01",
    "ADM": "2021-05-11",
    "StyleGAN3": "2021-06-23",
    "LaMa": "2021-09-15",
    "FaceSynthetics": "2021-09-30",
    "ProjectedGAN": "2021-11-01",
    "Palette": "2021-11-10",
    "VQ-Diffusion": "2021-11-29",
    "Denoising Diffusion GAN": "2021-12-16",
    "Glide": "2021-12-20",
    "Latent Diffusion": "2021-12-21",
    "Midjourney": "2022-02-01",
    "MAT": "2022-03-29",
    "Diffusion GAN (ProjectedGAN)": "2022-06-05",
    "Diffusion GAN (StyleGAN2)": "2022-06-06",
    "Stable Diffusion 1.4": "2022-08-22",
    "Stable Diffusion 1.5": "2022-10-20",
    "Stable Diffusion 2.1": "2022-12-07",
    "DeepFloyd IF": "2023-04-26",
    "Stable Diffusion XL 1.0": "2023-07-26",
    "DALL-E 3": "2023-09-20",
    "FLUX 1 Dev": "2024-08-01",
    "FLUX 1 Schnell": "2024-08-02",
}

PUBLISHED = make_timeline(Generator(name, date.fromisoformat(day)) for name, day in _PUBLISHED_DATES.items())
"""The benchmark's own 36 generators."""


class _File(NamedTuple):
    """What a timeline's file says."""

    generators: tuple[Generator, ...]
    extend: bool
    name: str
    version: str


def load_timeline(path: str | Path | None) -> Timeline:
    """Read a timeline of one's own: a YAML mapping or a CSV with columns ``generator`` and ``date``.

    YAML: ``{name: NAME, version: VERSION, extend: true, generators: {NAME: YYYY-MM-DD, ...}}``, or the inner mapping
    alone. With ``extend`` (``true`` unless said otherwise in YAML; always for CSV) the generators are added to the
    published ones; a published name may be repeated with its published date only. Where the file gives no name, it is
    the file's without its ending, and no version, 8 hex digits of a hash of what the file says.

    Args:
        path: the file; None for the published timeline.

    Raises:
        InputError: the file is missing, not of this form, or a date cannot be read.
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
    rows = [(row["generator"].strip(), row["date"]) for _, row in read_csv(path, ("generator", "date")).rows]
    return _File(tuple(_dated(path, name, day) for name, day in rows), True, path.stem, "")


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
    return _File(generators, extend, _text(path, said, "name") or path.stem, _text(path, said, "version"))


_KEYS = ("name", "version", "extend", "generators")


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
