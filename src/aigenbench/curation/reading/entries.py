"""One image to be imported, what is said of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aigenbench.curation.matching import Recoding
from aigenbench.curation.reading.places import Place, RefusedError

SPLITS = ("train", "validation", "test")
TEXTS = ("description", "positive_prompt", "negative_prompt", "conditioning", "origin_dataset", "license")
"""Columns of text that are taken over as they stand."""
SAID = ("label", "generator", "split", "file_id", "group", *TEXTS)
"""What a source may say of an image in words; ``in_our_words`` knows other words for some."""
PAIRED = "paired_real_images"
SYNONYMS = {"id": "file_id", "caption": "description", "prompt": "positive_prompt"}
SYNONYMS |= {"licence": "license", "source": "group"}

_LABELS = {"real": False, "0": False, "fake": True, "1": True}
_NAMED = 3
"""So many of the images of one fault are named."""
_TOLD = 6
"""So many faults are told."""


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
        recoding: how it is stored anew; None to keep its bytes.
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
    recoding: Recoding | None = None


@dataclass(frozen=True)
class Rules:
    """How sources are read.

    Attributes:
        pattern: of names, such as ``{split}/{generator}/*.png``; None for ``real/...`` and ``fake/GENERATOR/...``.
        defaults: what holds where a source says nothing, by column; its generator for images not said to be real.
        follow_links: links and paths may lead out of a source.
    """

    pattern: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    follow_links: bool = False


class Faults:
    """What is wrong with images, by kind: told in one line, with counts and the first few names."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, fault: str, name: str) -> None:
        """Note a fault of one image."""
        self._names.setdefault(fault, []).append(name)

    def check(self, place: object, advice: str) -> None:
        """Raise RefusedError if there is any."""
        if self._names:
            told = [f"{fault}: {listed(names)}" for fault, names in self._names.items()]
            if len(told) > _TOLD:
                told[_TOLD:] = [f"and {len(told) - _TOLD} other faults"]
            raise RefusedError(f"{place}: {'; '.join(told)}; {advice}")


def listed(names: list[str]) -> str:
    """Count and first names."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} ({', '.join(sorted(names)[:_NAMED])}{more})"


def in_our_words(said: Mapping[str, Any]) -> dict[str, Any]:
    """Synonyms of columns replaced, where the column itself is not there."""
    return {**{ours: said[key] for key, ours in SYNONYMS.items() if key in said}, **said}


class Listing(Faults):
    """The images of a source, as they are found, and what is wrong with it.

    Attributes:
        rules: how it is read.
        entries: the images.
        left_out: names of files that are no pictures, or do not match the pattern.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.entries: list[Entry] = []
        self.left_out: list[str] = []

    def found(
        self,
        place: Place,
        name: str,
        said: Mapping[str, Any],
        order: tuple[str, int] | None = None,
        told_as: str | None = None,
    ) -> None:
        """Add an image, or what keeps it out.

        Args:
            place: where it lies.
            name: names it where no ``file_id`` is said.
            said: words by ``SAID``, and ids by ``PAIRED``.
            order: sorts it; by its ``file_id`` where None.
            told_as: its name in messages; ``name`` where None.
        """
        words = {key: _text(said[key]) for key in SAID if said.get(key) not in (None, "")}
        is_said_real = _LABELS.get(words.get("label", "").lower()) is False
        for key, value in self.rules.defaults.items():
            if key != "generator" or not is_said_real:
                words.setdefault(key, value)
        fault = _settle(words)
        if fault:
            self.add(fault, told_as or name)
            return
        file_id = words.get("file_id", name)
        facts: dict[str, Any] = {key: words[key] for key in TEXTS if key in words}
        if isinstance(said.get(PAIRED), list):
            facts[PAIRED] = [_text(one) for one in said[PAIRED]]
        last, group = name.rpartition("/")[2], words.get("group", "")
        entry = Entry(place, file_id, words["generator"], words["split"], last, order or (file_id, 0), group, facts)
        self.entries.append(entry)


def _settle(words: dict[str, str]) -> str:
    """Put generator and split into words, or return why they cannot be."""
    label, generator, split = words.get("label", "").lower(), words.get("generator", ""), words.get("split", "")
    if generator.lower() == "real":
        label, generator = label or "real", ""
    words.update(generator=generator, split=split)
    is_fake = _LABELS.get(label, bool(generator) if not label else None)
    if is_fake is None:
        return f"label {label!r}, expected real or fake, 0 or 1"
    if not label and not generator:
        return "nothing says whether it is real or which generator made it"
    if is_fake != bool(generator):
        return "a fake without a generator" if is_fake else "a real image with a generator"
    return f"split {split!r}, expected {', '.join(SPLITS)}" if split and split not in SPLITS else ""


def _text(value: Any) -> str:
    # JSON can hold halves of characters, which no file can
    return str(value).strip().encode(errors="replace").decode()
