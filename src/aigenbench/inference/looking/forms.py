"""Other forms of a picture, scored without holding many of a large one at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.inference.detector import Answer, Detector

MOST_PIXELS = 2**25
"""Of a picture whose forms are scored; those of a larger one take gigabytes and many seconds."""
_AT_ONCE = 2**24
"""Pixels of all forms that are held at once, where one has not more."""


def is_too_large(image: Pixels) -> bool:
    """Whether no other forms of a picture are made."""
    return image.shape[0] * image.shape[1] > MOST_PIXELS


def answers(detector: Detector, image: Pixels, forms: Iterable[Pixels]) -> Iterator[Answer]:
    """The answer for each form of a picture, drawn in parts.

    Args:
        detector: an exported detector.
        image: uint8 (h, w, 3), RGB: what the forms are of.
        forms: arrays of about its size.

    Raises:
        InputError: it has more than ``MOST_PIXELS`` pixels.
    """
    if is_too_large(image):
        height, width = image.shape[:2]
        raise InputError(f"a picture of {height} x {width} pixels is too large: more than {MOST_PIXELS:,}")
    drawn = iter(forms)
    size = max(1, _AT_ONCE // (image.shape[0] * image.shape[1]))
    while part := list(islice(drawn, size)):
        yield from detector.answers(part)
        part.clear()
