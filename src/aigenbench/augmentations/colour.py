"""Grayscale and colour jitter: brightness, contrast, saturation and hue.

Every adjustment rounds to uint8, so a jitter of several is the chain of them. The arithmetic is chosen so that
each step gives exactly the rounded real-valued result: tables where a value's new level depends on that level
alone, and integers for the hue, whose shift moves only the middle one of a pixel's three values (and, past a
primary or secondary colour, another one).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image

ADJUSTMENTS = ("brightness", "contrast", "saturation", "hue")

_TILE_PIXELS = 16384
"""Pixels worked on at a time where many passes follow each other, so that the planes stay in the second-level cache."""


def luma(image: Image) -> NDArray[np.uint8]:
    """The (height, width) grey levels of ``image`` by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), rounded."""
    grey: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def grayscale(image: Image) -> Image:
    """Return ``image`` with its `luma` in all three channels."""
    grey: Image = cv2.cvtColor(luma(image), cv2.COLOR_GRAY2RGB)
    return grey


def adjust_brightness(image: Image, factor: float) -> Image:
    """Return ``image`` times ``factor``."""
    return _through_table(image, np.arange(256) * factor)


def adjust_contrast(image: Image, factor: float) -> Image:
    """Return ``image`` drawn away from (``factor`` above 1) or towards (below 1) the mean of its `luma`."""
    middle = cv2.mean(luma(image))[0]
    return _through_table(image, np.arange(256) * factor + (1 - factor) * middle)


def adjust_saturation(image: Image, factor: float) -> Image:
    """Return ``image`` drawn away from (``factor`` above 1) or towards (below 1) its own `grayscale`."""
    blended: Image = cv2.addWeighted(image, factor, grayscale(image), 1 - factor, 0)
    return blended


def adjust_hue(image: Image, shift: float) -> Image:
    """Return ``image`` with every pixel's HSV hue moved by ``shift`` of the circle, |shift| at most 1/6.

    Value and saturation stay. Positive is from red towards yellow.
    """
    assert abs(shift) <= 1 / 6
    if shift == 0:
        return image
    steps = np.rint(np.arange(256) * (6 * abs(shift))).astype(np.uint8)
    shifted = np.empty_like(image)
    rows = max(1, _TILE_PIXELS // image.shape[1])
    for top in range(0, image.shape[0], rows):
        _shift_hue(image[top : top + rows], steps, shift > 0, shifted[top : top + rows])
    return shifted


def _shift_hue(tile: Image, steps: NDArray[np.uint8], towards_yellow: bool, shifted: Image) -> None:
    """Write ``tile`` with its hue moved by ``steps[chroma]`` levels to ``shifted``.

    With M and m the largest and smallest value of a pixel and q = steps[M - m], a shift from red towards yellow gives
    R' = clip(R - G + (M - q if G >= B else m + q), m, M), and the same with the channels' roles rotated; the other
    direction swaps green and blue in it. Differences that leave 0..255 saturate, which the clip makes harmless.
    """
    planes = cv2.split(tile)
    largest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    smallest = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
    step = cv2.LUT(cv2.subtract(largest, smallest), steps)
    below_largest, above_smallest = cv2.subtract(largest, step), cv2.add(smallest, step)
    moved = []
    for channel in range(3):
        first, second = planes[(channel + 1) % 3], planes[(channel + 2) % 3]
        if not towards_yellow:
            first, second = second, first
        value = cv2.copyTo(below_largest, cv2.compare(first, second, cv2.CMP_GE), above_smallest.copy())
        cv2.add(value, cv2.subtract(planes[channel], first), dst=value)
        cv2.subtract(value, cv2.subtract(first, planes[channel]), dst=value)
        cv2.min(value, largest, dst=value)
        moved.append(cv2.max(value, smallest, dst=value))
    cv2.merge(moved, dst=shifted)


def colour_jitter(
    image: Image, brightness: float, contrast: float, saturation: float, hue: float, order: Sequence[str] = ADJUSTMENTS
) -> Image:
    """Return ``image`` after the four adjustments of `ADJUSTMENTS`, in ``order``; as torchvision's ColorJitter.

    Args:
        image: uint8 RGB array (height, width, 3).
        brightness: factor, 1 for none.
        contrast: factor, 1 for none.
        saturation: factor, 1 for none.
        hue: shift in parts of the circle, 0 for none.
        order: the four names of `ADJUSTMENTS` in the order to apply them.
    """
    for name in order:
        if name == "brightness":
            image = adjust_brightness(image, brightness)
        elif name == "contrast":
            image = adjust_contrast(image, contrast)
        elif name == "saturation":
            image = adjust_saturation(image, saturation)
        else:
            image = adjust_hue(image, hue)
    return image


def _through_table(image: Image, levels: NDArray[np.floating]) -> Image:
    mapped: Image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    return mapped
