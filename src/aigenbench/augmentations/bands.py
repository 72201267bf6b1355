"""Products with matrices whose rows are zero but for a band, as those are that resample an axis of an image.

A block of output rows needs a band of inputs only: a product is a row of small dense ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.number]
Floats = NDArray[np.floating]

_LARGEST_PRODUCT = 2**18
"""Multiplications in a matrix product: OpenBLAS does so many on the calling thread, more on all it may take.

The threads of several workers would wait for each other far longer than they compute.
"""


def multiply_rows(starts: list[int], weights: Floats, values: Numbers) -> Floats:
    """Weighted sums along the first axis.

    Args:
        starts: the first input of each block's band.
        weights: (blocks, outputs of a block, inputs of a band).
        values: (inputs, n), of any number type.

    Returns:
        (blocks x outputs of a block, n), of the weights' type.
    """
    _, height, length = weights.shape
    sums = np.empty((len(starts) * height, values.shape[1]), weights.dtype)
    step = max(1, _LARGEST_PRODUCT // (height * length))
    for left in range(0, values.shape[1], step):
        columns = slice(left, left + step)
        band = np.empty((length, values[:, columns].shape[1]), weights.dtype)
        for block, start in enumerate(starts):
            np.copyto(band, values[start : start + length, columns])
            np.matmul(weights[block], band, out=sums[block * height : (block + 1) * height, columns])
    return sums


def multiply_columns(values: Numbers, starts: list[int], weights: Floats) -> Floats:
    """Weighted sums along each row of RGB pixels.

    Args:
        values: (rows, 3 x inputs), of any number type.
        starts: the first input of each block's band.
        weights: what `for_pixels` gives.

    Returns:
        (rows, 3 x blocks x outputs of a block), of the weights' type.
    """
    _, length, width = weights.shape
    sums = np.empty((len(values), len(starts) * width), weights.dtype)
    step = max(1, _LARGEST_PRODUCT // (length * width))
    for top in range(0, len(values), step):
        rows = np.asarray(values[top : top + step], weights.dtype)
        for block, start in enumerate(starts):
            band = rows[:, 3 * start : 3 * start + length]
            np.matmul(band, weights[block], out=sums[top : top + step, block * width : (block + 1) * width])
    return sums


def for_pixels(weights: Floats) -> Floats:
    """Weights (blocks, outputs, inputs) as (blocks, 3 x inputs, 3 x outputs): each channel of a pixel by itself."""
    blocks, outputs, inputs = weights.shape
    pixels = np.zeros((blocks, inputs, 3, outputs, 3), weights.dtype)
    for channel in range(3):
        pixels[:, :, channel, :, channel] = weights.transpose(0, 2, 1)
    return pixels.reshape(blocks, 3 * inputs, 3 * outputs)
