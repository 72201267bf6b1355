"""Cutting, padding and turning images; nothing here resamples."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aigenbench.augmentations.images import Image, Size


@dataclass(frozen=True)
class Box:
    """A rectangle of ``height`` x ``width`` pixels whose first pixel is (``top``, ``left``) of an image."""

    top: int
    left: int
    height: int
    width: int


def cut(image: Image, box: Box) -> Image:
    """Return the part of ``image`` inside ``box``, contiguous; zeros (black) where the box leaves the image."""
    rows, columns = image.shape[:2]
    top, left = max(box.top, 0), max(box.left, 0)
    part = image[top : max(box.top + box.height, 0), left : max(box.left + box.width, 0)]
    if part.shape[:2] == (box.height, box.width):
        return image if (rows, columns) == (box.height, box.width) else np.ascontiguousarray(part)
    padded = np.zeros((box.height, box.width, *image.shape[2:]), np.uint8)
    down, right = top - box.top, left - box.left
    padded[down : down + part.shape[0], right : right + part.shape[1]] = part
    return padded


def centred(inside: Size, size: Size) -> Box:
    """The box of ``size`` in the middle of an image of size ``inside``; it may be the larger one.

    Where the margins differ by a pixel, halves round to even, as in torchvision's centre crop; padding puts the
    smaller margin first.
    """
    offsets = [round((a - b) / 2) if a >= b else -((b - a) // 2) for a, b in zip(inside, size, strict=True)]
    return Box(offsets[0], offsets[1], *size)


def placed(inside: Size, size: Size, down: float, along: float) -> Box:
    """The box of ``size`` at a uniformly drawn place: inside the image, or around it on a side where it is larger.

    ``down`` and ``along`` are uniform in [0, 1).
    """
    offsets = []
    for a, b, uniform in zip(inside, size, (down, along), strict=True):
        offset = int(uniform * (abs(a - b) + 1))
        offsets.append(offset if a >= b else -offset)
    return Box(offsets[0], offsets[1], *size)


def at_most(size: Size, maximum: int | None) -> Size:
    """``size`` with no side above ``maximum``; None leaves it as it is."""
    if maximum is None:
        return size
    return min(size[0], maximum), min(size[1], maximum)


@dataclass(frozen=True)
class Orientation:
    """Rotation by ``quarter_turns`` x 90 degrees counter-clockwise (0..3), then, if ``mirrored``, left to right."""

    quarter_turns: int
    mirrored: bool

    @property
    def swaps_sides(self) -> bool:
        """Whether height and width change places."""
        return self.quarter_turns % 2 == 1


_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def draw_orientation(rng: np.random.Generator) -> Orientation:
    """Draw one of the four rotations and, independently, a flip with probability 1/2: two uniforms of ``rng``."""
    turn, flip = rng.random(2)
    return Orientation(int(turn * 4), bool(flip < 0.5))


def apply_orientation(image: Image, orientation: Orientation) -> Image:
    """Return ``image`` turned and mirrored by ``orientation``, contiguous."""
    if orientation.quarter_turns:
        image = cv2.rotate(image, _ROTATIONS[orientation.quarter_turns])
    if orientation.mirrored:
        image = cv2.flip(image, 1)
    return image
