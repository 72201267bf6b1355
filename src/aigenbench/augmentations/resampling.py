"""Resizing with antialiasing: the filter is widened by the factor of shrinking, each axis by itself, as Pillow does it.

Bilinear shrinking, which nearly every sample ends with, is done here, in a third less time than Pillow takes: a pass
over one axis is a few small matrix products, as a block of output rows needs a band of input rows only. The weights are
whole multiples of a power of two, few enough bits that every sum is exact in float32. So the result does not depend on
the order of summation: it is the same on every processor, with every matrix library and any number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from aigenbench.augmentations.images import Image, Size

Floats = NDArray[np.float32]

_PILLOW = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}
INTERPOLATIONS = tuple(_PILLOW)

_BLOCK = 8
"""Output rows (or columns) of a matrix product: fewer cost calls, more cost multiplications by zero."""

_FRACTION_BITS = 2
"""Between the passes, levels are rounded to quarters."""

_ROWS_BITS, _COLUMNS_BITS = 16, 14
"""Weights are multiples of 2**-bits. With the 8 bits of a level and those of its fraction, that is 24: float32's."""

_STRONGEST_SHRINKING = 16
"""Beyond, weights get too small for their bits; Pillow then does the work."""

_MOST_VALUES = 3 * 4096 * 4096
"""Beyond, the floats between the passes take too much memory; Pillow then does the work."""


def resize(image: Image, size: Size, interpolation: str = "bilinear") -> Image:
    """Return ``image`` resampled to exactly ``size``, whatever its aspect; within one level of Pillow's result.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        size: (height, width) to give.
        interpolation: one of `INTERPOLATIONS`.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if interpolation == "bilinear":
        if height <= size[0] and width <= size[1]:
            enlarged: Image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
            return enlarged
        if max(height / size[0], width / size[1]) <= _STRONGEST_SHRINKING and image.size <= _MOST_VALUES:
            rows = _resample_rows(image.reshape(height, -1), size[0])
            return _resample_columns(rows, size[1]).reshape(*size, 3)
    resized = PillowImage.fromarray(image).resize((size[1], size[0]), _PILLOW[interpolation])
    return np.asarray(resized)


def _resample_rows(image: NDArray[np.uint8], count: int) -> Floats:
    """From levels (rows, values) to (``count``, values) in units of 2**-_FRACTION_BITS levels, whole."""
    starts, weights = _row_bands(image.shape[0], count)
    band = np.empty((weights.shape[2], image.shape[1]), np.float32)
    resampled = np.empty((len(starts) * _BLOCK, image.shape[1]), np.float32)
    for block, start in enumerate(starts):
        np.copyto(band, image[start : start + len(band)])
        np.matmul(weights[block], band, out=resampled[block * _BLOCK : (block + 1) * _BLOCK])
    return np.rint(resampled, out=resampled)[:count]


def _resample_columns(rows: Floats, count: int) -> NDArray[np.uint8]:
    """From what `_resample_rows` gives, (rows, 3 x columns), to levels (rows, 3 x ``count``)."""
    starts, weights = _column_bands(rows.shape[1] // 3, count)
    resampled = np.empty((len(rows), len(starts) * 3 * _BLOCK), np.float32)
    for block, start in enumerate(starts):
        band = rows[:, 3 * start : 3 * start + weights.shape[1]]
        np.matmul(band, weights[block], out=resampled[:, block * 3 * _BLOCK : (block + 1) * 3 * _BLOCK])
    return np.rint(resampled[:, : 3 * count]).astype(np.uint8)


@lru_cache(maxsize=64)
def _row_bands(inputs: int, outputs: int) -> tuple[list[int], Floats]:
    """The first input of each block of outputs, and the weights (blocks, `_BLOCK`, inputs in a band)."""
    starts, weights = _bands(inputs, outputs, _ROWS_BITS)
    return starts, (weights * 2**_FRACTION_BITS).astype(np.float32)


@lru_cache(maxsize=64)
def _column_bands(inputs: int, outputs: int) -> tuple[list[int], Floats]:
    """Likewise for rows of RGB pixels: the weights are (blocks, 3 x inputs in a band, 3 x `_BLOCK`)."""
    starts, weights = _bands(inputs, outputs, _COLUMNS_BITS)
    blocks, _, length = weights.shape
    pixels = np.zeros((blocks, length, 3, _BLOCK, 3), np.float32)
    for channel in range(3):
        pixels[:, :, channel, :, channel] = weights.transpose(0, 2, 1) / 2**_FRACTION_BITS
    return starts, pixels.reshape(blocks, 3 * length, 3 * _BLOCK)


def _bands(inputs: int, outputs: int, bits: int) -> tuple[list[int], NDArray[np.float64]]:
    """Where each block's band of inputs starts, and the weights (blocks, `_BLOCK`, length) of a triangle filter.

    The last block may reach beyond ``outputs``; it then repeats the last output.
    """
    scale = inputs / outputs
    reach = max(scale, 1.0)
    blocks = -(-outputs // _BLOCK)
    centres = (np.minimum(np.arange(blocks * _BLOCK), outputs - 1).reshape(blocks, _BLOCK) + 0.5) * scale
    first = np.maximum(np.floor(centres[:, 0] - reach), 0).astype(int)
    last = np.minimum(np.ceil(centres[:, -1] + reach), inputs).astype(int)
    length = int((last - first).max())
    first = np.minimum(first, inputs - length)
    places = first[:, None, None] + np.arange(length) + 0.5
    weights = np.maximum(1 - np.abs(places - centres[:, :, None]) / reach, 0)
    units = np.rint(weights * (2**bits / weights.sum(axis=2, keepdims=True)))
    # what rounding lost goes to the largest weight, so that flat areas keep their level
    largest = units.argmax(axis=2)[:, :, None]
    lost = 2**bits - units.sum(axis=2, keepdims=True)
    np.put_along_axis(units, largest, np.take_along_axis(units, largest, 2) + lost, 2)
    return first.tolist(), units / 2**bits
