"""Tiles of an image at its own resolution: which parts of it a detector looks at.

No two tiles overlap: an image too small for all of them has fewer, one that is smaller than a tile has one, padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.colour import luma
from aigenbench.augmentations.geometry import Box, centred
from aigenbench.augmentations.images import Image, Size, size_of
from aigenbench.errors import InputError, nearest

CHOICES = ("grid", "texture")
MOST_TILES = 64


@dataclass(frozen=True)
class Tiles:
    """Which tiles of an image are looked at.

    Attributes:
        n: the most tiles.
        choose: ``grid`` spreads them evenly over the image; ``texture`` takes those of the most texture.
        thumbnail: look at the whole image too, resized; it is the last view.
    """

    n: int = 4
    choose: str = "grid"
    thumbnail: bool = True

    @classmethod
    def of(cls, arguments: Any) -> Tiles:
        """From a config's mapping of arguments; None takes the defaults.

        Raises:
            InputError: there is no such argument, or a value is none of the known.
        """
        where, known = "model.evaluation_cropping_strategy: tiles", list(cls.__dataclass_fields__)
        given = {} if arguments is None else arguments
        if not isinstance(given, Mapping) or (unknown := [key for key in given if key not in known]):
            said = f"unknown {unknown[0]!r}{nearest(str(unknown[0]), known)}" if isinstance(given, Mapping) else ""
            raise InputError(f"{where} takes {', '.join(known)}; {said or repr(given)}")
        made = cls(**given)
        if type(made.n) is not int or not 1 <= made.n <= MOST_TILES:
            raise InputError(f"{where} n: expected a whole number from 1 to {MOST_TILES}, found {made.n!r}")
        if made.choose not in CHOICES:
            hint = nearest(str(made.choose), CHOICES)
            raise InputError(f"{where} choose: expected {' or '.join(CHOICES)}, found {made.choose!r}{hint}")
        if not isinstance(made.thumbnail, bool):
            raise InputError(f"{where} thumbnail: expected true or false, found {made.thumbnail!r}")
        return made

    @property
    def views(self) -> int:
        """The most views of an image."""
        return self.n + self.thumbnail

    def boxes(self, image: Image, size: Size) -> list[Box]:
        """The tiles of ``image``, each of ``size`` (height, width), row by row; at least one."""
        inside = size_of(image)
        # as many as fit beside each other
        rows, columns = (max(1, a // b) for a, b in zip(inside, size, strict=True))
        if self.choose == "grid":
            return _spread(inside, size, *_split(self.n, rows, columns, inside[1] / inside[0]))
        boxes = _spread(inside, size, rows, columns)
        if len(boxes) <= self.n:
            return boxes
        by_texture = np.argsort([-amount for amount in texture(image, boxes)], kind="stable")
        return [boxes[i] for i in sorted(by_texture[: self.n].tolist())]


def texture(image: Image, boxes: list[Box]) -> list[int]:
    """How much neighbouring pixels differ in each box: the sum of |differences| of grey levels, across and down.

    The choice of rich patches of PatchCraft (arXiv 2311.12397) without its diagonals. Whole numbers, so that the choice
    is the same on every machine; of equals, the first in row order counts.
    """
    grey = luma(image)
    across, down = _differences(grey[:, 1:], grey[:, :-1]), _differences(grey[1:], grey[:-1])
    return [_inside(across, box, 0, 1) + _inside(down, box, 1, 0) for box in boxes]


def _differences(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.maximum(a, b) - np.minimum(a, b)


def _inside(differences: NDArray[np.uint8], box: Box, fewer_rows: int, fewer_columns: int) -> int:
    bottom, right = box.top + box.height - fewer_rows, box.left + box.width - fewer_columns
    # a box may begin outside of an image that is narrower
    return int(differences[max(box.top, 0) : bottom, max(box.left, 0) : right].sum(dtype=np.int64))


def _split(n: int, rows: int, columns: int, aspect: float) -> tuple[int, int]:
    """Rows and columns of at most ``n`` tiles where ``rows`` x ``columns`` have room.

    As many tiles as can be; then the shape nearest to the image's ``aspect``, width by height; then fewer rows.
    """
    ways = [(down, min(columns, n // down)) for down in range(1, min(rows, n) + 1)]
    return min(ways, key=lambda way: (-way[0] * way[1], abs(log(way[1] / way[0] / aspect)), way[0]))


def _spread(inside: Size, size: Size, rows: int, columns: int) -> list[Box]:
    """Boxes evenly spread from edge to edge; a single row or column is centred."""
    middle = centred(inside, size)
    tops = _starts(inside[0] - size[0], rows, middle.top)
    lefts = _starts(inside[1] - size[1], columns, middle.left)
    return [Box(top, left, *size) for top in tops for left in lefts]


def _starts(room: int, count: int, middle: int) -> list[int]:
    return [middle] if count == 1 else [i * room // (count - 1) for i in range(count)]
