"""Pictures, whole and damaged: read as Pillow reads them, or refused in a line."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.facts import picture_facts
from aigenbench.data.pictures.formats import HEAD, format_of, load_plugin
from aigenbench.errors import InputError
from fuzz.picture_damage import DAMAGES
from fuzz.picture_files import whole

KINDS = ("JPEG",) * 5 + ("PNG",) * 4 + ("WEBP",) * 3 + ("GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Most of those that OpenCV decodes."""


class Case(NamedTuple):
    """A file: its format, what was done to it, its bytes."""

    kind: str
    done: tuple[str, ...]
    data: bytes


def cases(rng: np.random.Generator, whole_ones: float = 1 / 6) -> Iterator[Case]:
    """Files without end, this share of them whole."""
    while True:
        kind = str(rng.choice(KINDS))
        data, done = whole(kind, rng), []
        if rng.random() > whole_ones:
            for _ in range(rng.integers(1, 4)):
                name = str(rng.choice(list(DAMAGES)))
                data = DAMAGES[name](data, kind, rng)
                done.append(name)
        yield Case(kind, tuple(done), data)


def check(case: Case) -> None:
    """Decode a file, and read its header.

    Raises:
        InputError: it is refused; that is right for any that is damaged.
        AssertionError: it is read and Pillow refuses it, or reads something else; or it is whole, but refused; or
            what is told is no line.
    """
    try:
        pixels = decode(case.data)
    except UnreadableImageError as error:
        if not case.done or not str(error).isprintable():
            raise AssertionError(f"{'damaged' if case.done else 'whole'}, but refused so: {error!r}") from error
        raise InputError(str(error)) from error
    facts = picture_facts(case.data)
    if case.kind != "PNG" or not case.done:
        # a damaged file may tell its orientation behind its pixels
        assert (facts.height, facts.width) == pixels.shape[:2], f"{pixels.shape}, by its header {facts}"
    expected = pillows(case.data)
    assert not isinstance(expected, str), f"Pillow refuses this {case.kind}: {expected}"
    assert pixels.shape == expected.shape, f"{pixels.shape}, Pillow {expected.shape}"
    differing = np.any(pixels != expected, -1).mean()
    assert not differing, f"{differing:.1%} of the pixels are not Pillow's"


def pillows(data: bytes) -> np.ndarray | str:
    """The picture of Pillow's own open, load, exif_transpose and convert, or its error."""
    picture = format_of(data[:HEAD])
    if picture is None:
        return "of no format read"
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[load_plugin(picture)]) as image,
        ):
            image.load()
            return _as_rgb(_turned(image))
    except Exception as error:  # noqa: BLE001 - its readers end in errors of any kind
        return f"{type(error).__name__}: {error}"


def _turned(image: Image.Image) -> Image.Image:
    """Turned as EXIF says; a record that cannot be read turns nothing, and none is written anew."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        known = orientation in range(1, 9)
    except Exception:  # noqa: BLE001 - as above
        return image
    image.getexif().clear()
    image.getexif()[ExifTags.Base.Orientation] = orientation if known else 1
    image.info = {}
    return ImageOps.exif_transpose(image)


def _as_rgb(image: Image.Image) -> np.ndarray:
    """As the documentation says: 16 bits divided by 256, floats rounded, all else converted."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.rint(np.asarray(image)).clip(0, 255).astype(np.uint8))
    return np.asarray(image.convert("RGB"))
