"""One history of compression and size for every picture, whatever it was before and whichever class it is of."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from aigenbench.data.pictures.decode import Pixels

BETWEEN = 1.25
"""So many times the final side every picture has when it is stored for the first time."""
FIRST_QUALITIES, QUALITIES = (60, 80), (75, 95)
SUBSAMPLINGS = ("4:4:4", "4:2:0")


class Recoding(NamedTuple):
    """How one picture is stored anew.

    Attributes:
        side: of the square that it becomes, in pixels.
        first: JPEG quality at `BETWEEN` times that side, 4:2:0.
        quality: JPEG quality at that side.
        subsampling: of the colours there.
    """

    side: int
    first: int
    quality: int
    subsampling: str


def least_side(side: int) -> int:
    """The shorter side, in pixels, that a picture must have to become a square of ``side``."""
    return int(np.ceil(BETWEEN * side))


def drawn(side: int, digits: str) -> Recoding:
    """How a picture is stored anew, by a number that its name alone gives.

    Args:
        side: of the square that it becomes.
        digits: the number, evenly distributed, as at least 24 hexadecimal digits.
    """
    first, quality, subsampling = (int(digits[at : at + 8], 16) for at in (0, 8, 16))
    return Recoding(
        side,
        _among(FIRST_QUALITIES, first),
        _among(QUALITIES, quality),
        SUBSAMPLINGS[subsampling % len(SUBSAMPLINGS)],
    )


def _among(ends: tuple[int, int], number: int) -> int:
    return ends[0] + number % (ends[1] - ends[0] + 1)


def rules(side: int) -> dict[str, Any]:
    """What a manifest tells of all pictures."""
    return {
        "side": side,
        "least_side": least_side(side),
        "first_qualities": FIRST_QUALITIES,
        "qualities": QUALITIES,
        "subsamplings": SUBSAMPLINGS,
    }


def stored_anew(pixels: Pixels, how: Recoding) -> bytes:
    """A JPEG file of a picture: its middle square, scaled down, stored as JPEG, scaled down further, stored again.

    Args:
        pixels: uint8 (h, w, 3), RGB; both sides at least ``least_side(how.side)``.
        how: what is drawn for it.
    """
    height, width, _ = pixels.shape
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    middle = Image.fromarray(pixels[top : top + square, left : left + square])
    first = _jpeg(_scaled(middle, least_side(how.side)), how.first, "4:2:0")
    with Image.open(io.BytesIO(first), formats=["JPEG"]) as once:
        return _jpeg(_scaled(once, how.side), how.quality, how.subsampling)


def _scaled(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image, quality: int, subsampling: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()
