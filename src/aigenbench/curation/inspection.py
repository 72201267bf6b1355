"""Looking at every image before anything is written: does it decode, how large is it, what are its bytes' SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from aigenbench.curation.matching import least_side, stored_anew
from aigenbench.curation.reading.entries import Entry
from aigenbench.curation.reading.places import read
from aigenbench.data.mapping import Mapped
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.formats import HEAD, PictureFormat, format_of, load_plugin

_CHUNK = 64

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many images are done, and how many there are."""


def no_progress(doing: str, done: int, total: int) -> None:
    """Tell nobody."""


class Seen(NamedTuple):
    """What an image turned out to be.

    Attributes:
        size: bytes, as they will be stored.
        sha256: of them.
        height: of the picture, in pixels.
        width: likewise.
        form: name of the file format.
        fault: why it cannot be used, ``""`` where it can.
        found_sha256: of the file as found, where other bytes are stored in its place; else ``""``.
        found_form: likewise, the name of its format.
        found_height: likewise, of its picture.
        found_width: likewise.
    """

    size: int = 0
    sha256: str = ""
    height: int = 0
    width: int = 0
    form: str = ""
    fault: str = ""
    found_sha256: str = ""
    found_form: str = ""
    found_height: int = 0
    found_width: int = 0


def inspect(entries: Sequence[Entry], journal: Path, mapped: Mapped, progress: Progress) -> list[Seen]:
    """Look at every image; what the journal tells was seen before a kill is not looked at again."""
    seen = _noted(journal)
    rest = entries[len(seen) :]
    chunks = [rest[at : at + _CHUNK] for at in range(0, len(rest), _CHUNK)]
    progress("looking at images", len(seen), len(entries))
    with journal.open("a", encoding="utf-8") as notes:
        for found in mapped(_look_at, chunks):
            notes.write("".join(json.dumps(one) + "\n" for one in found))
            notes.flush()
            seen += found
            progress("looking at images", len(seen), len(entries))
    return seen


def _noted(journal: Path) -> list[Seen]:
    if not journal.exists():
        return []
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    # a kill may have left half a line
    os.truncate(journal, whole)
    return [Seen(*json.loads(line)) for line in data[:whole].splitlines()]


def _look_at(entries: Sequence[Entry]) -> list[Seen]:
    return [_look(entry) for entry in entries]


def _look(entry: Entry) -> Seen:
    try:
        found = read(entry.place)
        height, width, _ = decode(found).shape
    except UnreadableImageError as error:
        return Seen(fault=str(error))
    if entry.recoding and min(height, width) < least_side(entry.recoding.side):
        return Seen(fault=too_small(entry.recoding.side))
    data = stored(found, entry)
    sha256 = hashlib.sha256(data).hexdigest()
    if data is found:
        return Seen(len(data), sha256, height, width, _format(data).name)
    as_found = (hashlib.sha256(found).hexdigest(), _format(found).name, height, width)
    if entry.recoding:
        height = width = entry.recoding.side
    return Seen(len(data), sha256, height, width, _format(data).name, "", *as_found)


def too_small(side: int) -> str:
    """The fault of a picture that cannot become a square of ``side``."""
    return f"its shorter side is under {least_side(side)} pixels"


def stored(found: bytes, entry: Entry) -> bytes:
    """The bytes to be stored of a picture, which decodes; ``found`` itself where they are kept."""
    if entry.recoding:
        return stored_anew(decode(found), entry.recoding)
    return on_white(found) if entry.on_white else found


def _format(data: bytes) -> PictureFormat:
    picture = format_of(data[:HEAD])
    assert picture is not None
    return picture


def on_white(found: bytes) -> bytes:
    """A picture, which decodes, with its transparency laid over white, as PNG; ``found`` itself where it has none."""
    picture = _format(found)
    if picture.name == "JPEG":
        return found
    # of odd metadata, which changes nothing, Pillow would warn in many lines
    with (
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(found), formats=[load_plugin(picture)]) as image,
    ):
        if not image.has_transparency_data:
            return found
        layers, orientation = image.convert("RGBA"), image.info.get("exif", b"")
    if layers.getchannel("A").getextrema()[0] == 255:
        return found
    white = Image.new("RGBA", layers.size, "white")
    white.alpha_composite(layers)
    buffer = io.BytesIO()
    white.convert("RGB").save(buffer, "PNG", exif=orientation)
    return buffer.getvalue()
