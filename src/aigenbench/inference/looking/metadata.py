"""What a picture file says of itself: which camera, which program, that it was generated. Nothing of it is verified.

Such notes are lost by most ways a picture is passed on, and anybody can write them. They are kept apart from a
detector's score, which sees pixels alone.

Where the names come from:

- ``DigitalSourceType`` and its values: IPTC Photo Metadata Standard 2025.1, and IPTC's NewsCodes "digitalsourcetype";
  ``AISystemUsed``, ``AISystemVersionUsed`` and ``AIPromptInformation``: the same standard.
- ``CreatorTool``, ``Credit``: Adobe's XMP specification, part 2. 2:65 and 2:110: IPTC's IIM 4.2.
- Keywords of PNG: as the programs in ``GENERATOR_KEYS`` write them; ``Software``, ``Author``, ``Description``,
  ``Source``, ``Comment``, ``Title``: PNG specification, 11.3.3.2.
- C2PA's places: C2PA specification 2.1, appendix A.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Literal

from aigenbench.errors import printable
from aigenbench.inference.looking.containers import Notes, read_notes
from aigenbench.inference.looking.exif import C2PA, TAGS, read_exif

Hint = Literal["generated", "camera", ""]

LONGEST_SHOWN = 200
"""Characters of a value that are shown."""
MOST_FACTS = 64
_MOST_READ = 1000
_LONGEST_READ = 2**16
NOT_VERIFIED = "What the file says of itself is not verified: anybody can write or remove it."

GENERATED_TYPES = {
    "trainedAlgorithmicMedia": "made by a trained model",
    "compositeWithTrainedAlgorithmicMedia": "made partly by a trained model",
    "algorithmicMedia": "made by an algorithm",
    "compositeSynthetic": "made partly by an algorithm",
}
"""IPTC's digital source types that say that a picture, or a part of it, was generated."""
CAPTURED_TYPES = ("digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print")

GENERATOR_KEYS = {
    "parameters": "Stable Diffusion web UI, Fooocus or SwarmUI",
    "postprocessing": "Stable Diffusion web UI",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "negative_prompt": "Easy Diffusion",
    "fooocus_scheme": "Fooocus",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "invokeai_workflow": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
    "generation_data": "Tensor.Art or SeaArt",
}
"""Keywords of PNG texts, in lower case, and who writes them."""
PLAIN_KEYS = ("software", "author", "description", "source", "comment", "title")

_GENERATORS = re.compile(
    r"stable[ -]?diffusion|midjourney|dall[-·. ]?e\b|novelai|comfyui|automatic1111|invokeai|fooocus|swarmui|"
    r"adobe firefly|made with google ai|gpt-image|bing image creator|ideogram|draw things|diffusionbee|"
    r"ai[- ]generated|\bSteps: \d+, Sampler: |\bJob ID: [0-9a-f]{8}-[0-9a-f]{4}-|^(?:prompt|workflow): ?\{",
    re.IGNORECASE,
)
"""Generators' names, and forms of text that only they write."""

XMP_KEYS = (
    "DigitalSourceType",
    "AISystemUsed",
    "AISystemVersionUsed",
    "AIPromptInformation",
    "CreatorTool",
    "Credit",
    "Make",
    "Model",
)
# an attribute, or an element's text behind tags of lists
_XMP_VALUE = re.compile(
    rb"[\s<][\w.-]{1,40}:(%s)(?:\s*=\s*[\"']([^\"'<]{1,2000})|(?:\s+rdf:resource\s*=\s*[\"']([^\"'<]{1,2000}))"
    rb"|\s*>\s*(?:<rdf:\w{1,9}(?: xml:lang=[\"'][\w-]{1,20}[\"'])?>\s*){,3}([^<]{1,2000}))"
    % "|".join(XMP_KEYS).encode()
)
IPTC_KEYS = {65: "OriginatingProgram", 110: "Credit", 115: "Source"}


@dataclass(frozen=True)
class Fact:
    """One thing that a file says of itself.

    Attributes:
        where: the kind of note: ``EXIF``, ``XMP``, ``IPTC``, ``PNG text``, ``comment`` or ``C2PA``.
        key: its name there.
        value: what it says, as a printable line of at most ``LONGEST_SHOWN`` characters.
        hint: ``generated`` or ``camera`` where it says, if it is true, that the picture was generated or taken.
        meaning: that in words; "" where there is nothing to say.
    """

    where: str
    key: str
    value: str
    hint: Hint = ""
    meaning: str = ""

    def to_dict(self) -> dict[str, str]:
        """The same as JSON holds it."""
        return asdict(self)


def read(data: bytes) -> list[Fact]:
    """What a picture file says of itself, each thing once, at most ``MOST_FACTS``; of any other file, nothing.

    Args:
        data: the file's bytes. They are walked through, not decoded, in bounded time, and may be damaged.
    """
    notes = read_notes(bytes(data))
    facts = chain(_c2pa(notes), _xmp(notes), _iptc(notes), _exif(notes), _texts(notes))
    return list(dict.fromkeys(islice(facts, _MOST_READ)))[:MOST_FACTS]


def _fact(where: str, key: str, text: str, hint: Hint = "", meaning: str = "") -> Iterator[Fact]:
    text = text[:_LONGEST_READ]
    shown = printable(" ".join(text.replace("\0", " ").split())[: LONGEST_SHOWN + 1], line=True)
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 4]} ..."
    if not hint and _GENERATORS.search(text):
        hint, meaning = "generated", "names a generator, or is what one writes"
    if shown:
        yield Fact(where, key, shown, hint, meaning)


def _c2pa(notes: Notes) -> Iterator[Fact]:
    in_tiff = any(C2PA in read_exif(record) for record in notes.exif)
    if notes.c2pa or in_tiff:
        meaning = "content credentials are there; they are not verified, nor read"
        yield from _fact("C2PA", "manifest", notes.c2pa or "tag 52545", meaning=meaning)


def _xmp(notes: Notes) -> Iterator[Fact]:
    for packet in notes.xmp:
        for found in _XMP_VALUE.finditer(packet):
            key = found[1].decode()
            value = next(group for group in found.groups()[1:] if group is not None).decode("utf-8", "replace")
            yield from _xmp_fact(key, value)


def _xmp_fact(key: str, value: str) -> Iterator[Fact]:
    if key == "DigitalSourceType":
        kind = value.strip().rpartition("/")[2]
        if kind in GENERATED_TYPES:
            return _fact("XMP", key, kind, "generated", GENERATED_TYPES[kind])
        return _fact("XMP", key, kind, "camera" if kind in CAPTURED_TYPES else "")
    if key.startswith("AI"):
        return _fact("XMP", key, value, "generated", "names the model, or what it was asked for")
    return _fact("XMP", key, value, "camera" if key in ("Make", "Model") else "")


def _iptc(notes: Notes) -> Iterator[Fact]:
    for resources in notes.iptc:
        # a data set of the application record: its mark, record 2, number, length (IIM 4.2, 1.5)
        for found in re.finditer(rb"\x1c\x02([%s])(..)" % bytes(IPTC_KEYS), resources, re.S):
            end = found.end() + min(int.from_bytes(found[2], "big"), LONGEST_SHOWN)
            value = resources[found.end() : end].decode("utf-8", "replace")
            yield from _fact("IPTC", IPTC_KEYS[found[1][0]], value)


def _exif(notes: Notes) -> Iterator[Fact]:
    for record in notes.exif:
        for tag, text in read_exif(record).items():
            if tag != C2PA:
                key = TAGS[tag]
                is_generator = bool(_GENERATORS.search(text))
                yield from _fact("EXIF", key, text, "camera" if key in ("Make", "Model") and not is_generator else "")


def _texts(notes: Notes) -> Iterator[Fact]:
    for keyword, value in notes.texts:
        where = "comment" if keyword == "comment" else "PNG text"
        text = value.decode("utf-8", "replace")
        maker = GENERATOR_KEYS.get(keyword.lower())
        if maker:
            yield from _fact(where, keyword, text, "generated", f"a keyword that {maker} writes")
        elif keyword.lower() in PLAIN_KEYS:
            yield from _fact(where, keyword, text)
