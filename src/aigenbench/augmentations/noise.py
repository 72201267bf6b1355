"""Additive Gaussian noise from table-mapped random bits."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image

LEVELS = 65536
"""How many equally likely values a standard normal deviate takes here: 16 random bits each."""


@lru_cache(maxsize=1)
def standard_normal_table() -> NDArray[np.float64]:
    """The normal quantiles at the centres of 65,536 equal slices of probability, scaled to variance 1.

    The tails end at 4.3 standard deviations.
    """
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((LEVELS / 2 + i + 0.5) / LEVELS) for i in range(LEVELS // 2)])
    table = np.concatenate([-upper[::-1], upper])
    table /= table.std()
    table.flags.writeable = False
    return table


def gaussian_noise(image: Image, std: float, rng: np.random.Generator) -> Image:
    """Return ``image`` plus normal noise, independent per channel and pixel, rounded and clipped to 0..255.

    Consumes ceil(image.size / 4) raw 64-bit words of ``rng``'s bit generator, each giving four values' noise, its
    lowest 16 bits the first's.

    Args:
        image: uint8 RGB array (height, width, 3).
        std: standard deviation in units of one grey level (of 255), at most 7,000.
        rng: a generator over a bit generator of 64-bit words (Philox, PCG64, SFC64).
    """
    noise_of = np.rint(standard_normal_table() * std).astype(np.int16)
    words: NDArray[np.uint64] = rng.bit_generator.random_raw(-(-image.size // 4))
    bits = words.astype("<u8", copy=False).view("<u2")[: image.size].reshape(image.shape)
    noisy: Image = cv2.add(image, _look_up(bits, noise_of), dtype=cv2.CV_8U)
    return noisy


def _look_up(bits: NDArray[np.uint16], table: NDArray[np.int16]) -> NDArray[np.int16]:
    if _OPENCV_LOOKS_UP_16_BITS:
        values: NDArray[np.int16] = cv2.LUT(bits, table)
        return values
    return table.take(bits)


# from OpenCV 5 on, cv2.LUT takes 16-bit indices; it is twice as fast as numpy.take
_OPENCV_LOOKS_UP_16_BITS = int(cv2.__version__.split(".")[0]) >= 5
