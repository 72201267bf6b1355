"""Additive Gaussian noise from table-mapped random bits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image

LEVELS = 65536
"""How many equally likely values a standard normal deviate takes here: 16 random bits each."""

_CHUNK = 65536
"""Values worked on at a time, so that their bits and noise stay in the cache; a multiple of 4, the values in a word."""


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


def gaussian_noise(image: Image, std: float, seed: Sequence[int]) -> Image:
    """Return ``image`` plus normal noise, independent per channel and pixel, rounded and clipped to 0..255.

    The values' noise, in memory order, comes from the words of NumPy's ``SFC64(seed)``, each giving four values', its
    lowest 16 bits the first's. (It is the fastest of NumPy's; their words are the same in every version.)

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        std: standard deviation in grey levels (of 255), at most 7,000.
        seed: whole numbers that decide the noise.
    """
    table = np.rint(standard_normal_table() * std).astype(np.int16)
    if np.abs(table).max() <= np.iinfo(np.int8).max:
        table, add = table.astype(np.int8), _add_small
    else:
        add = _add_any
    noisy = np.empty_like(image)
    line, noisy_line = image.reshape(1, -1), noisy.reshape(1, -1)
    words_of = np.random.SFC64(seed)
    for start in range(0, image.size, _CHUNK):
        chunk = line[:, start : start + _CHUNK]
        words: NDArray[np.uint64] = words_of.random_raw(-(-chunk.size // 4))
        bits = words.astype("<u8", copy=False).view("<u2")[None, : chunk.size]
        add(chunk, _look_up(bits, table), noisy_line[:, start : start + _CHUNK])
    return noisy


def _add_small(levels: Image, noise: NDArray[np.signedinteger], noisy: Image) -> None:
    """For noise of 8 bits: as distances from 128, levels add up with saturation in one instruction for many."""
    np.bitwise_xor(levels, 128, out=noisy)
    distances = noisy.view(np.int8)
    cv2.add(distances, noise, dst=distances)
    np.bitwise_xor(noisy, 128, out=noisy)


def _add_any(levels: Image, noise: NDArray[np.signedinteger], noisy: Image) -> None:
    cv2.add(levels, noise, dst=noisy, dtype=cv2.CV_8U)


def _look_up(bits: NDArray[np.uint16], table: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    if _OPENCV_LOOKS_UP_16_BITS:
        values: NDArray[np.signedinteger] = cv2.LUT(bits, table)
        return values
    return table.take(bits)


# from OpenCV 5 on, cv2.LUT takes 16-bit indices; it is twice as fast as numpy.take
_OPENCV_LOOKS_UP_16_BITS = int(cv2.__version__.split(".")[0]) >= 5
