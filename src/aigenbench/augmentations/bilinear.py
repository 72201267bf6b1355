"""Antialiased bilinear shrinking in whole numbers, as Pillow and torchvision do it.

Rows are resampled along the width first; the result, rounded to levels, along the height. Weights are 16-bit integers
and every sum is exact, so the pixels are the same on every processor and with any number of threads. PyTorch brings a
vectorised kernel of exactly this arithmetic, which takes a fourth of the time that matrix products take; it does the
work where the process has loaded PyTorch anyhow and the processor is one it is vectorised for. Elsewhere matrix
products give the same bits.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.bands import Floats, for_pixels, multiply_columns, multiply_rows
from aigenbench.augmentations.images import Image, Size

Bands = tuple[list[int], Floats]
"""The first input of each block's band, and weights (blocks, outputs of a block, inputs of a band)."""

_LARGEST_WEIGHT = 2**15
_MOST_FRACTION_BITS = 22
_MOST_FRACTION_BITS_IN_FLOAT32 = 16
"""With the 8 bits of a level, sums then have 24 bits at most."""

_ROWS = 256
"""Rows narrowed at a time, so that their floats take little memory."""

_VECTORISED = ("AVX2", "AVX512")


def shrink_bilinear(image: Image, size: Size) -> Image:
    """Return ``image`` resampled to exactly ``size``; an axis that grows is interpolated.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        size: (height, width) to give.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.backends.cpu.get_cpu_capability() in _VECTORISED:
        return _with_torch(torch, image, size)
    return _with_matrices(image, size)


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
        starts, weights = _column_bands(width, size[1])
        rows = image.reshape(height, -1)
        parts = [multiply_columns(rows[top : top + _ROWS], starts, weights) for top in range(0, height, _ROWS)]
        image = np.concatenate([_to_levels(part[:, : 3 * size[1]]) for part in parts])
    image = image.reshape(height, -1)
    if height != size[0]:
        image = _to_levels(multiply_rows(*_row_bands(height, size[0]), image)[: size[0]])
    return image.reshape(*size, 3)


def _to_levels(sums: Floats) -> NDArray[np.uint8]:
    """Sums, exact multiples of a power of two, rounded (halves upwards)."""
    sums += 0.5
    return np.clip(np.floor(sums, out=sums), 0, 255, out=sums).astype(np.uint8)


@lru_cache(maxsize=32)
def _column_bands(inputs: int, outputs: int) -> Bands:
    starts, weights = _row_bands(inputs, outputs)
    return starts, for_pixels(weights)


@lru_cache(maxsize=128)
def _row_bands(inputs: int, outputs: int) -> Bands:
    """The last block may reach beyond ``outputs``; it then repeats the last output."""
    whole, bits = _weights(inputs, outputs)
    block = 4 if inputs > 2 * outputs else 8  # fewer cost calls, more cost multiplications by zero
    blocks = -(-outputs // block)
    whole = whole[np.minimum(np.arange(blocks * block), outputs - 1)].reshape(blocks, block, inputs)
    used = whole.max(axis=1) > 0
    first, last = used.argmax(axis=1), inputs - used[:, ::-1].argmax(axis=1)
    length = int((last - first).max())
    first = np.minimum(first, inputs - length)
    bands = np.take_along_axis(whole, (first[:, None] + np.arange(length))[:, None, :], axis=2) / 2**bits
    return first.tolist(), bands.astype(np.float32 if bits <= _MOST_FRACTION_BITS_IN_FLOAT32 else np.float64)


def _weights(inputs: int, outputs: int) -> tuple[NDArray[np.float64], int]:
    """Whole numbers (outputs, inputs), and how many bits of them are fraction."""
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
