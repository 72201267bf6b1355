"""The operations a recipe is made of: each holds what was drawn for one image and is then a function of its pixels.

A picture without colour has three equal channels, and most operations leave them equal. `apply` then works on one of
them, an array of shape (height, width), which gives the same levels for less work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import cv2
import numpy as np

from aigenbench.augmentations.colour import colour_jitter, grayscale, in_three_channels, luma
from aigenbench.augmentations.geometry import Box, cut
from aigenbench.augmentations.images import Image, Size
from aigenbench.augmentations.jpeg import jpeg_round_trip
from aigenbench.augmentations.noise import gaussian_noise
from aigenbench.augmentations.resampling import resize


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Return ``image`` convolved with a Gaussian of ``sigma`` pixels, cut at three sigma or beyond; borders reflected.

    The border pixel itself is not repeated. The result is within half a level of the real-valued one: OpenCV's own
    Gaussian blur rounds the kernel to 8 bits, a separable filter with a kernel of its own does not.
    """
    if sigma < 0.25:  # the four neighbours then weigh at most 4 exp(-8): less than half a level in all
        return image
    reach = np.arange(-ceil(3 * sigma), ceil(3 * sigma) + 1)
    kernel = np.exp(-0.5 * np.square(reach / sigma))
    kernel /= kernel.sum()
    blurred: Image = cv2.sepFilter2D(image, cv2.CV_8U, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    return blurred


class Operation(ABC):
    """One drawn operation; its fields say what was drawn.

    Where ``keeps_grey`` is true, equal channels stay equal, and the operation takes one of them as well: shape
    (height, width) in and out.
    """

    keeps_grey: ClassVar[bool] = False

    def __call__(self, image: Image) -> Image:
        """Return the changed image; ``image`` itself is never written to."""
        return self._apply(image)

    @abstractmethod
    def _apply(self, image: Image) -> Image:
        """Return the changed image."""

    def size_after(self, size: Size) -> Size:
        """The (height, width) of the result for an image of ``size``."""
        return size


def apply(operations: Iterable[Operation], image: Image) -> Image:
    """Return ``image``, uint8 RGB of shape (height, width, 3), after ``operations``, one by one."""
    for operation in operations:
        image = apply_one(operation, image)
    return in_three_channels(image) if image.ndim == 2 else image


def apply_one(operation: Operation, image: Image) -> Image:
    """Return ``image`` after ``operation``; either may be the one channel that stands for three, (height, width)."""
    if image.ndim == 3:
        return luma(image) if isinstance(operation, Grayscale) else operation(image)
    return operation(image if operation.keeps_grey else in_three_channels(image))


@dataclass(frozen=True)
class Crop(Operation):
    """Keep the pixels inside ``box``."""

    box: Box

    def _apply(self, image: Image) -> Image:
        return cut(image, self.box)

    def size_after(self, size: Size) -> Size:
        """The box's size."""
        return self.box.height, self.box.width


@dataclass(frozen=True)
class ResizedCrop(Operation):
    """Keep the pixels inside ``box`` and resize them to a square of ``side`` pixels."""

    keeps_grey = True

    box: Box
    side: int
    interpolation: str

    def _apply(self, image: Image) -> Image:
        return resize(cut(image, self.box), (self.side, self.side), self.interpolation)

    def size_after(self, size: Size) -> Size:
        """The square's size."""
        return self.side, self.side


@dataclass(frozen=True)
class Jitter(Operation):
    """`colour_jitter` by these factors, in this order."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[str, ...]

    def _apply(self, image: Image) -> Image:
        return colour_jitter(image, self.brightness, self.contrast, self.saturation, self.hue, self.order)


@dataclass(frozen=True)
class Grayscale(Operation):
    """Three equal channels."""

    keeps_grey = True

    def _apply(self, image: Image) -> Image:
        return image if image.ndim == 2 else grayscale(image)


@dataclass(frozen=True)
class Hole(Operation):
    """Fill ``box`` with ``level`` in every channel."""

    keeps_grey = True

    box: Box
    level: int = 128

    def _apply(self, image: Image) -> Image:
        holed = image.copy()
        box = self.box
        holed[box.top : box.top + box.height, box.left : box.left + box.width] = self.level
        return holed


@dataclass(frozen=True)
class Noise(Operation):
    """`gaussian_noise` of standard deviation ``std`` grey levels."""

    std: float
    seed: tuple[int, int]

    def _apply(self, image: Image) -> Image:
        return gaussian_noise(image, self.std, self.seed)


@dataclass(frozen=True)
class Blur(Operation):
    """`gaussian_blur` of ``sigma`` pixels."""

    keeps_grey = True

    sigma: float

    def _apply(self, image: Image) -> Image:
        return gaussian_blur(image, self.sigma)


@dataclass(frozen=True)
class Jpeg(Operation):
    """`jpeg_round_trip` at ``quality`` with ``codec``."""

    keeps_grey = True

    quality: int
    codec: str

    def _apply(self, image: Image) -> Image:
        return jpeg_round_trip(image, self.quality, self.codec)
