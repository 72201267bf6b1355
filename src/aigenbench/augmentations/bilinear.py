"""Antialiased bilinear shrinking in whole numbers, as Pillow and torchvision do it.

Rows are resampled along the width first; the result, rounded to levels, along the height. Weights are 16-bit integers
and every sum is exact, so the pixels are the same on every processor and with any number of threads. PyTorch brings a
vectorised kernel of exactly this arithmetic, which takes a third of the time that matrix products take; it does the
work where the process has loaded PyTorch anyhow, and matrix products give the same bits where it has not.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image, Size

Weights = tuple[NDArray[np.float64], int]
"""Whole numbers (outputs, inputs), and how many bits of them are fraction."""

_LARGEST_WEIGHT = 2**15
_MOST_FRACTION_BITS = 22
_ROWS = 64
"""Rows that the matrix products work on at a time, so that their floats take little memory."""


def shrink_bilinear(image: Image, size: Size) -> Image:
    """Return ``image`` resampled to exactly ``size``; an axis that grows is interpolated.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        size: (height, width) to give.
    """
    torch = sys.modules.get("torch")
    return _with_matrices(image, size) if torch is None else _with_torch(torch, image, size)


def _with_torch(torch: Any, image: Image, size: Size) -> Image:
    if not image.flags.writeable:  # PyTorch warns of arrays that it might write to
        image = image.copy()
    # unsqueezed by torch, the batch's stride is one that its kernel for interleaved channels recognises
    batch = torch.from_numpy(image).unsqueeze(0).permute(0, 3, 1, 2)
    shrunk = torch.nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(shrunk.permute(0, 2, 3, 1)[0].numpy())


def _with_matrices(image: Image, size: Size) -> Image:
    height, width = image.shape[:2]
    if width != size[1]:
        narrowed = np.empty((height, size[1], 3), np.uint8)
        for top in range(0, height, _ROWS):
            planes = image[top : top + _ROWS].transpose(0, 2, 1)  # (rows, 3, width)
            narrowed[top : top + _ROWS] = _weighted(planes, _weights(width, size[1])).transpose(0, 2, 1)
        image = narrowed
    if height == size[0]:
        return image
    columns = image.reshape(height, -1).T
    return np.ascontiguousarray(_weighted(columns, _weights(height, size[0])).T).reshape(*size, 3)


def _weighted(values: NDArray[np.uint8], weights: Weights) -> NDArray[np.uint8]:
    """The weighted sums over the last axis, rounded (halves upwards); sums are exact in float64."""
    matrix, bits = weights
    sums = values.astype(np.float64) @ matrix.T
    return np.clip(np.floor(sums / 2**bits + 0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _weights(inputs: int, outputs: int) -> Weights:
    scale = inputs / outputs
    reach = max(scale, 1.0)
    centres = (np.arange(outputs) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), inputs)
    matrix = np.zeros((outputs, inputs))
    for row, centre, start, end in zip(matrix, centres, first, last, strict=True):
        weights = np.maximum(1 - np.abs((np.arange(start, end) - centre + 0.5) * (1 / reach)), 0)
        row[start:end] = weights / weights.sum()
    bits = 0
    while bits < _MOST_FRACTION_BITS and int(0.5 + matrix.max() * 2 ** (bits + 1)) < _LARGEST_WEIGHT:
        bits += 1
    return np.floor(matrix * 2**bits + 0.5), bits
