"""Generators and their release dates (protocol section 2), and timelines a user brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from aigenbench.csv_files import read_csv
from aigenbench.errors import InputError, nearest
from aigenbench.files import user_path


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
    """

    generators: tuple[Generator, ...]
    extensions: frozenset[str] = frozenset()

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
        return make_timeline((g for g in self.generators if g.name in keep), self.extensions & keep)

    def describe(self) -> list[list[str]]:
        """``[name, ISO date]`` of every generator in order: what a fingerprint takes of a timeline."""
        return [[g.name, g.released.isoformat()] for g in self.generators]


def make_timeline(generators: Iterable[Generator], extensions: Iterable[str] = ()) -> Timeline:
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
    return Timeline(tuple(ordered), frozenset(extensions))


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


def load_timeline(path: str | Path) -> Timeline:
    """Read a timeline of one's own: a YAML mapping or a CSV with columns ``generator`` and ``date``.

    YAML: ``{generators: {NAME: YYYY-MM-DD, ...}, extend: true}``, or the inner mapping alone. With ``extend``
    (``true`` unless said otherwise in YAML; always for CSV) the generators are added to the published ones;
    a published name may be repeated with its published date only.

    Raises:
        InputError: the file is missing, not of this form, or a date cannot be read.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"timeline: no file {path}")
    extend = True
    if path.suffix.lower() == ".csv":
        pairs = _read_csv(path)
    else:
        pairs, extend = _read_yaml(path)
    generators = [Generator(name, _read_date(path, name, day)) for name, day in pairs]
    if not generators:
        raise InputError(f"timeline: {path} names no generator")
    own = [g for g in generators if g.name not in PUBLISHED.ids]
    if not extend:
        return make_timeline(generators, (g.name for g in own))
    for g in generators:
        published = PUBLISHED.dates.get(g.name)
        if published is not None and published != g.released:
            raise InputError(
                f"timeline: {path} dates {g.name!r} {g.released}, the published timeline {published}; "
                "use the published date, or 'extend: false' for a timeline of your own"
            )
    return make_timeline((*PUBLISHED.generators, *own), (g.name for g in own))


def check_names(timeline: Timeline, names: Iterable[str]) -> None:
    """Raise InputError with the nearest known name for the first of ``names`` that is not on the timeline."""
    for name in names:
        if name and name not in timeline.ids:
            raise InputError(f"generator {name!r} is not on the timeline{nearest(name, timeline.names)}")


def _read_csv(path: Path) -> list[tuple[str, str]]:
    return [(row["generator"].strip(), row["date"]) for _, row in read_csv(path, ("generator", "date")).rows]


def _read_yaml(path: Path) -> tuple[list[tuple[str, str]], bool]:
    from aigenbench.yaml_text import read_yaml_file

    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise InputError(f"timeline: {path} must be a mapping from generator name to date")
    extend = True
    if "generators" in content:
        extend = bool(content.get("extend", True))
        content = content["generators"]
        if not isinstance(content, dict):
            raise InputError(f"timeline: 'generators' in {path} must be a mapping from generator name to date")
    return [(str(name), str(day)) for name, day in content.items()], extend


def _read_date(path: Path, name: str, day: str) -> date:
    try:
        return date.fromisoformat(day.strip())
    except ValueError as error:
        raise InputError(f"timeline: {path} dates {name!r} {day!r}; expected YYYY-MM-DD") from error
