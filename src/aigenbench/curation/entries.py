"""One image to be imported, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aigenbench.curation.places import Place
from aigenbench.errors import InputError

SPLITS = ("train", "validation", "test")
TEXTS = ("description", "positive_prompt", "negative_prompt", "conditioning", "origin_dataset", "license")
"""Columns of text that are taken over as they stand."""

SAID = ("label", "generator", "split", "file_id", "group", *TEXTS)
"""What a source may say of an image in words."""

SYNONYMS = {
    "id": "file_id",
    "caption": "description",
    "prompt": "positive_prompt",
    "licence": "license",
    "source": "group",
}

TOLD = 3
"""So many of the images of one fault are named."""

_LABELS = {"real": False, "0": False, "fake": True, "1": True}


@dataclass(slots=True)
class Entry:
    """An image to be imported.

    Attributes:
        place: where its bytes lie.
        file_id: names it in the data set.
        generator: ``""`` for a real image.
        split: ``""`` where none is said.
        name: of the file, kept beside the bytes.
        order: sorts the images of a data set.
        group: images of one group stay in one split; ``""`` where none is said.
        facts: further columns.
        on_white: transparency is laid over white.
    """

    place: Place
    file_id: str
    generator: str
    split: str
    name: str
    order: tuple[str, int]
    group: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    on_white: bool = False


class Faults:
    """What is wrong with a source, by kind: told in one line, with counts and the first few names."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, fault: str, name: str) -> None:
        """Note a fault of one image."""
        self._names.setdefault(fault, []).append(name)

    def told(self) -> str:
        """All kinds of faults in one line."""
        return "; ".join(f"{fault}: {listed(names)}" for fault, names in self._names.items())

    def check(self, place: object, advice: str) -> None:
        """Raise what was found.

        Raises:
            InputError: anything was.
        """
        if self._names:
            raise InputError(f"{place}: {self.told()}; {advice}")


def listed(names: list[str]) -> str:
    """Count and first names."""
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return f"{len(names)} ({', '.join(sorted(names)[:TOLD])}{more})"


@dataclass
class Rules:
    """How a user wants sources to be read.

    Attributes:
        pattern: of names, such as ``{split}/{generator}/*.png``; None for ``real/...`` and ``fake/GENERATOR/...``.
        defaults: what holds where a source says nothing, by column; its generator for images not said to be real.
        follow_links: links and paths may lead out of a source.
    """

    pattern: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    follow_links: bool = False


def make_entry(
    place: Place, name: str, said: Mapping[str, Any], order: tuple[str, int], rules: Rules, faults: Faults, told_as: str
) -> Entry | None:
    """An entry from what is said of an image; None where that is not enough or contradicts itself.

    Args:
        place: where it lies.
        name: names it where no ``file_id`` is said.
        said: words by ``SAID``, and ``paired_real_images``.
        order: sorts it.
        rules: what holds where nothing is said.
        faults: where to note what is wrong.
        told_as: its name in messages.
    """
    words = {key: str(said[key]).strip() for key in SAID if said.get(key) not in (None, "")}
    is_said_real = _LABELS.get(words.get("label", "").lower()) is False
    words = {**{key: value for key, value in rules.defaults.items() if key != "generator" or not is_said_real}, **words}
    label, generator = words.get("label", "").lower(), words.get("generator", "")
    if generator.lower() == "real":
        label, generator = label or "real", ""
    is_fake = _LABELS.get(label, bool(generator) if not label else None)
    if is_fake is None:
        faults.add("label is neither 'real' nor 'fake'", told_as)
    elif not label and not generator:
        faults.add("nothing says whether it is real or which generator made it", told_as)
    elif is_fake != bool(generator):
        faults.add("a fake without a generator" if is_fake else "a real image with a generator", told_as)
    elif words.get("split", SPLITS[0]) not in SPLITS:
        faults.add(f"split {words['split']!r}, expected {', '.join(SPLITS)}", told_as)
    else:
        facts: dict[str, Any] = {key: words[key] for key in TEXTS if key in words}
        if said.get("paired_real_images"):
            facts["paired_real_images"] = [str(one) for one in said["paired_real_images"]]
        return Entry(
            place,
            words.get("file_id", name),
            generator,
            words.get("split", ""),
            name.rpartition("/")[2],
            order,
            words.get("group", ""),
            facts,
        )
    return None
