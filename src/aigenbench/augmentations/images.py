"""What every augmentation takes and gives: a C-contiguous uint8 RGB array of shape (height, width, 3)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aigenbench.errors import InputError

Image: TypeAlias = NDArray[np.uint8]
Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


def check_image(image: Any) -> Image:
    """Return ``image`` as a C-contiguous uint8 RGB array, copying it only where it is not contiguous.

    Raises:
        InputError: it is no uint8 array of shape (height, width, 3) with at least one pixel.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"augmentations take uint8 arrays of shape (height, width, 3), got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            "augmentations take uint8 arrays of shape (height, width, 3) with at least one pixel, "
            f"got {image.dtype} of shape {image.shape}"
        )
    return np.ascontiguousarray(image)


def check_size(size: Any) -> Size:
    """Return ``size`` as (height, width).

    Raises:
        InputError: it is not a pair of positive whole numbers.
    """
    try:
        height, width = size
    except (TypeError, ValueError):
        raise InputError(f"an image size is a pair (height, width), got {size!r}") from None
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in (height, width))
    if not whole or min(height, width) < 1:
        raise InputError(f"an image size is a pair (height, width) of positive whole numbers, got {size!r}")
    return int(height), int(width)


def size_of(image: Image) -> Size:
    """The (height, width) of ``image``."""
    height, width = image.shape[:2]
    return height, width
