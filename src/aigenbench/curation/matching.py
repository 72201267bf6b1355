"""One history of compression and size for every picture, whatever it was before and whichever class it is of."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from aigenbench.data.pictures.decode import Pixels

SCALED = 1.25
"""So many times smaller a picture becomes at least: its own traces of JPEG are laid on another grid."""
QUALITIES = (75, 95)
SUBSAMPLINGS = ("4:4:4", "4:2:0")


class Recoding(NamedTuple):
    """How one picture is stored anew.

    Attributes:
        side: of the square that it becomes, in pixels.
        first: JPEG quality before it is scaled, at 4:2:0.
        quality: JPEG quality after.
        subsampling: of the colours, after.
    """

    side: int
    first: int
    quality: int
    subsampling: str


def least_side(side: int) -> int:
    """The shorter side, in pixels, that a picture must have to become a square of ``side``."""
    return int(np.ceil(SCALED * side))


def drawn(side: int, digits: str) -> Recoding:
    """How a picture is stored anew, by a number that its name alone gives.

    Args:
        side: of the square that it becomes.
        digits: the number, evenly distributed, as at least 24 hexadecimal digits.
    """
    first, quality, subsampling = (int(digits[at : at + 8], 16) for at in (0, 8, 16))
    lowest, highest = QUALITIES
    many = highest - lowest + 1
    return Recoding(side, lowest + first % many, lowest + quality % many, SUBSAMPLINGS[subsampling % len(SUBSAMPLINGS)])


def rules(side: int) -> dict[str, Any]:
    """What a manifest tells of all pictures."""
    return {"side": side, "least_side": least_side(side), "qualities": QUALITIES, "subsamplings": SUBSAMPLINGS}


def stored_anew(pixels: Pixels, how: Recoding) -> bytes:
    """A JPEG file of a picture: its middle square, stored once as JPEG, scaled down, and stored again.

    Args:
        pixels: uint8 (h, w, 3), RGB; both sides at least ``least_side(how.side)``.
        how: what is drawn for it.
    """
    height, width, _ = pixels.shape
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    middle = Image.fromarray(pixels[top : top + square, left : left + square])
    with Image.open(io.BytesIO(_jpeg(middle, how.first, "4:2:0")), formats=["JPEG"]) as once:
        small = once.resize((how.side, how.side), Image.Resampling.BICUBIC)
    return _jpeg(small, how.quality, how.subsampling)


def _jpeg(picture: Image.Image, quality: int, subsampling: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()
