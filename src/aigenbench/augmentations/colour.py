"""Grayscale and colour jitter: brightness, contrast, saturation and hue.

Every adjustment rounds to uint8, so a jitter is the chain of its adjustments. Each of them gives exactly the rounded
real-valued result where its amount is of `exact_factor` or `exact_shift`: OpenCV's float32 arithmetic is then exact,
and nothing lies halfway between two levels. Other amounts may round a few halves the other way.

Images are worked on in tiles that stay in the processor's second-level cache through all adjustments; only contrast,
which needs the mean of the whole image, starts a second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.hue import HueShift
from aigenbench.augmentations.images import Image

ADJUSTMENTS = ("brightness", "contrast", "saturation", "hue")

TILE_PIXELS = 65536
"""Pixels worked on at a time."""

Adjustment = Callable[[Image, Image], object]
"""Writes the new levels of the first tile, of shape (1, pixels, 3), to the second, which may be the same."""


def exact_factor(factor: float) -> float:
    """The odd multiple of 1/4096 at or below ``factor``, or just above it."""
    return (2 * floor(factor * 2048) + 1) / 4096


def exact_shift(shift: float) -> float:
    """The ``shift`` of the hue circle nearest to the one given that is an odd multiple of 1/8192 of a sixth."""
    return (2 * floor(shift * 6 * 4096) + 1) / 8192 / 6


def luma(image: Image) -> NDArray[np.uint8]:
    """The (height, width) grey levels of ``image`` by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), rounded."""
    grey: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def grayscale(image: Image) -> Image:
    """Return ``image`` with its `luma` in all three channels."""
    return in_three_channels(luma(image))


def in_three_channels(grey: NDArray[np.uint8]) -> Image:
    """Return the levels of ``grey``, of shape (height, width), in all three channels."""
    image: Image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    return image


def colour_jitter(
    image: Image,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    order: Sequence[str] = ADJUSTMENTS,
) -> Image:
    """Return ``image`` after the adjustments, in ``order``; as torchvision's ColorJitter.

    Brightness multiplies; contrast draws away from (above 1) or towards (below 1) the mean of the image's `luma`;
    saturation does so with each pixel's own luma; hue moves every pixel's HSV hue, its value and chroma kept.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        brightness: factor.
        contrast: factor.
        saturation: factor.
        hue: shift in parts of the circle, from -1/6 to 1/6; positive is from red towards yellow.
        order: names of `ADJUSTMENTS` in the order to apply them; one left out does not happen.
    """
    amounts = {"brightness": brightness, "saturation": saturation, "hue": hue}
    names = list(order)
    at = names.index("contrast") if "contrast" in names else len(names)
    image = _adjust(image, [_adjustment(name, amounts[name]) for name in names[:at]])
    if at == len(names):
        return image
    levels = _to_levels(np.arange(256) * contrast + (1 - contrast) * _mean_luma(image))
    after = names[at + 1 :]
    if after[:1] == ["brightness"]:
        levels = _to_levels(levels * brightness)
        after = after[1:]
    return _adjust(image, [_through_table(levels), *(_adjustment(name, amounts[name]) for name in after)])


def _adjust(image: Image, adjustments: Sequence[Adjustment]) -> Image:
    if not adjustments:
        return image
    adjusted = np.empty_like(image)
    for source, target in zip(_tiles(image), _tiles(adjusted), strict=True):
        for adjust in adjustments:
            adjust(source, target)
            source = target
    return adjusted


def _mean_luma(image: Image) -> float:
    total: float = sum(cv2.sumElems(luma(tile))[0] for tile in _tiles(image))
    return total / (image.shape[0] * image.shape[1])


def _tiles(image: Image) -> Iterator[Image]:
    """Views of consecutive pixels, in order."""
    line = image.reshape(1, -1, 3)
    for start in range(0, line.shape[1], TILE_PIXELS):
        yield line[:, start : start + TILE_PIXELS]


def _adjustment(name: str, amount: float) -> Adjustment:
    if name == "brightness":
        return lambda source, target: cv2.convertScaleAbs(source, alpha=amount, dst=target)
    if name == "saturation":
        return lambda source, target: cv2.addWeighted(source, amount, grayscale(source), 1 - amount, 0, dst=target)
    return HueShift(amount, TILE_PIXELS)


def _through_table(levels: NDArray[np.uint8]) -> Adjustment:
    return lambda source, target: cv2.LUT(source, levels, dst=target)


def _to_levels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
