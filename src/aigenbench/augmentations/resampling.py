"""Resizing with antialiasing: the filter is widened by the factor of shrinking, each axis by itself, as Pillow does it.

For the cubic and Lanczos filters, a pass over one axis is a few small matrix products, as a block of output rows needs
a band of input rows only. That takes half of Pillow's time. The weights are whole multiples of a power of two, few
enough bits that every sum is exact in float32: so the result does not depend on the order of summation, and is the same
on every processor, with every matrix library and any number of threads. Unlike Pillow's, it is clipped once, not
between the passes too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from aigenbench.augmentations.bands import Floats, for_pixels, multiply_columns, multiply_rows
from aigenbench.augmentations.bilinear import shrink_bilinear
from aigenbench.augmentations.images import Image, Size

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.minimum(np.abs(x), 2)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2)


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


@dataclass(frozen=True)
class _Filter:
    """A filter, and how many bits of fraction its weights have.

    With the 7 of a level's distance from 128, the `_FRACTION_BITS` between the passes, and what the overshooting of
    the filter needs, they are at most the 24 of a float32.
    """

    curve: Curve
    reach: int
    rows_bits: int
    columns_bits: int


_FILTERS = {
    "bicubic": _Filter(_cubic, 2, 16, 14),
    "lanczos": _Filter(_lanczos, 3, 16, 13),
}
_PILLOWS_FILTERS = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}
INTERPOLATIONS = tuple(_PILLOWS_FILTERS)

_FRACTION_BITS = 2

_STRONGEST_SHRINKING = 16
"""Beyond, weights get too small for their bits; Pillow then does the work."""

_MOST_VALUES = 3 * 4096 * 4096
"""Beyond, the floats between the passes take too much memory; Pillow then does the work."""


def resize(image: Image, size: Size, interpolation: str = "bilinear") -> Image:
    """Return ``image`` resampled to exactly ``size``, whatever its aspect.

    Bilinear is within one level of Pillow's result, and nearly always equal to it where both axes shrink; so are the
    others within two but where they overshoot 0..255 on the way.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        size: (height, width) to give.
        interpolation: one of `INTERPOLATIONS`: triangle filter, Keys' cubic with a = -1/2, Lanczos with 3 lobes.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if interpolation == "bilinear" and height <= size[0] and width <= size[1]:
        enlarged: Image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return enlarged
    if max(height / size[0], width / size[1]) > _STRONGEST_SHRINKING or image.size > _MOST_VALUES:
        resized = PillowImage.fromarray(image).resize((size[1], size[0]), _PILLOWS_FILTERS[interpolation])
        return np.asarray(resized)
    if interpolation == "bilinear":
        return shrink_bilinear(image, size)
    from_128 = (image ^ np.uint8(128)).view(np.int8).reshape(height, -1)
    rows = _resample_rows(from_128, size[0], interpolation)
    return _resample_columns(rows, size[1], interpolation).reshape(*size, 3)


def _resample_rows(image: NDArray[np.int8], count: int, interpolation: str) -> Floats:
    """From distances to level 128 (rows, values) to (``count``, values), in whole units of 2**-_FRACTION_BITS."""
    resampled = multiply_rows(*_row_bands(image.shape[0], count, interpolation), image)
    return np.rint(resampled, out=resampled)[:count]


def _resample_columns(rows: Floats, count: int, interpolation: str) -> NDArray[np.uint8]:
    """From what `_resample_rows` gives, (rows, 3 x columns), to levels (rows, 3 x ``count``)."""
    resampled = multiply_columns(rows, *_column_bands(rows.shape[1] // 3, count, interpolation))[:, : 3 * count]
    # adds 128, rounds halves to even and clips, in one pass
    levels: NDArray[np.uint8] = cv2.addWeighted(resampled, 1, resampled, 0, 128, dtype=cv2.CV_8U)
    return levels


@lru_cache(maxsize=128)
def _row_bands(inputs: int, outputs: int, interpolation: str) -> tuple[list[int], Floats]:
    """The first input of each block of outputs, and the weights (blocks, outputs of a block, inputs of its band)."""
    kind = _FILTERS[interpolation]
    starts, weights = _bands(inputs, outputs, kind, kind.rows_bits)
    return starts, (weights * 2**_FRACTION_BITS).astype(np.float32)


@lru_cache(maxsize=32)
def _column_bands(inputs: int, outputs: int, interpolation: str) -> tuple[list[int], Floats]:
    """Likewise for rows of RGB pixels: the weights are (blocks, 3 x inputs of a band, 3 x outputs of a block)."""
    kind = _FILTERS[interpolation]
    starts, weights = _bands(inputs, outputs, kind, kind.columns_bits)
    return starts, for_pixels((weights / 2**_FRACTION_BITS).astype(np.float32))


def _bands(inputs: int, outputs: int, kind: _Filter, bits: int) -> tuple[list[int], NDArray[np.float64]]:
    """Where each block's band of inputs starts, and the weights (blocks, block, length), multiples of 2**-bits.

    Fewer outputs a block cost calls, more cost multiplications by zero. The last block may reach beyond ``outputs``;
    it then repeats the last output.
    """
    scale = inputs / outputs
    widening = max(scale, 1.0)
    block = 4 if scale > 2 else 8
    blocks = -(-outputs // block)
    centres = (np.minimum(np.arange(blocks * block), outputs - 1).reshape(blocks, block) + 0.5) * scale
    first = np.maximum(np.floor(centres[:, 0] - kind.reach * widening), 0).astype(int)
    last = np.minimum(np.ceil(centres[:, -1] + kind.reach * widening), inputs).astype(int)
    length = int((last - first).max())
    first = np.minimum(first, inputs - length)
    places = first[:, None, None] + np.arange(length) + 0.5
    weights = kind.curve((places - centres[:, :, None]) / widening)
    units = np.rint(weights * (2**bits / weights.sum(axis=2, keepdims=True)))
    # what rounding lost goes to the largest weight, so that flat areas keep their level
    largest = units.argmax(axis=2)[:, :, None]
    lost = 2**bits - units.sum(axis=2, keepdims=True)
    np.put_along_axis(units, largest, np.take_along_axis(units, largest, 2) + lost, 2)
    return first.tolist(), units / 2**bits
