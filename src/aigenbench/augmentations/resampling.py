"""Resizing with antialiasing: by Pillow within recipes, and by a faster kernel to the model's size.

The published numbers were made through Pillow, so the recipes' pixels are Pillow's bit for bit.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from aigenbench.augmentations.images import Image, Size

_FILTERS = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}
INTERPOLATIONS = tuple(_FILTERS)

_LARGEST_WEIGHT = 2**15
_MOST_FRACTION_BITS = 22


def resize(image: Image, size: Size, interpolation: str) -> Image:
    """Return ``image`` resampled by Pillow to exactly ``size``, whatever its aspect.

    Args:
        image: uint8 RGB array (height, width, 3), or (height, width) for one of three equal channels.
        size: (height, width) to give.
        interpolation: one of `INTERPOLATIONS`: triangle filter, Keys' cubic with a = -1/2, Lanczos with 3 lobes.
    """
    if image.shape[:2] == size:
        return image
    return np.asarray(PillowImage.fromarray(image).resize(size[::-1], _FILTERS[interpolation]))


def resize_for_model(image: Image, size: Size) -> Image:
    """Return ``image`` resampled bilinearly to exactly ``size``.

    These are torchvision's pixels: in whole numbers and rounded between the axes as Pillow's, with weights of 16 bits.
    Where the picture shrinks, fewer than one value of a hundred differ from Pillow's, by one level; where it grows,
    fewer than one of ten, by two at most. PyTorch's vectorised kernel takes a fourth of Pillow's time; in a process
    that has not loaded PyTorch, NumPy gives the same bits slowly.

    Args:
        image: C-contiguous uint8 RGB array (height, width, 3).
        size: (height, width) to give.
    """
    if image.shape[:2] == size:
        return image
    torch = sys.modules.get("torch")
    return _with_numpy(image, size) if torch is None else _with_torch(torch, image, size)


def _with_torch(torch: Any, image: Image, size: Size) -> Image:
    if not image.flags.writeable:  # PyTorch warns of arrays that it might write to
        image = image.copy()
    # unsqueezed by torch, the batch's stride is one that its kernel for interleaved channels recognises
    batch = torch.from_numpy(image).unsqueeze(0).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1)[0].numpy())


def _with_numpy(image: Image, size: Size) -> Image:
    columns = _with_rows(image.transpose(1, 0, 2), size[1])
    return _with_rows(columns.transpose(1, 0, 2), size[0])


def _with_rows(image: Image, count: int) -> Image:
    """``image`` (rows, n, 3) resampled along its first axis: (``count``, n, 3)."""
    weights, bits = _weights(len(image), count)
    resampled = np.empty((count, *image.shape[1:]), np.uint8)
    for row, of_row in zip(resampled, weights, strict=True):
        band = slice(of_row.nonzero()[0][0], of_row.nonzero()[0][-1] + 1)
        # exact in float64; halves are rounded upwards
        sums = np.tensordot(of_row[band], image[band].astype(np.float64), 1)
        row[...] = np.minimum(np.floor(sums / 2**bits + 0.5), 255)
    return resampled


@lru_cache(maxsize=128)
def _weights(inputs: int, outputs: int) -> tuple[NDArray[np.float64], int]:
    """Whole numbers (outputs, inputs), and how many bits of them are fraction."""
    scale = inputs / outputs
    reach = max(scale, 1.0)
    centres = (np.arange(outputs)[:, None] + 0.5) * scale
    places = np.arange(inputs)
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = (centres + reach + 0.5).astype(int)
    weights = np.maximum(1 - np.abs((places - centres + 0.5) * (1 / reach)), 0)
    weights *= (places >= first) & (places < last)
    weights /= weights.sum(1, keepdims=True)
    bits = 0
    while bits < _MOST_FRACTION_BITS and int(0.5 + weights.max() * 2 ** (bits + 1)) < _LARGEST_WEIGHT:
        bits += 1
    return np.floor(weights * 2**bits + 0.5), bits
