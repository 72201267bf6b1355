"""Resizing with antialiasing."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image as PillowImage

from aigenbench.augmentations.images import Image, Size

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")

_PILLOW = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}


def resize(image: Image, size: Size, interpolation: str = "bilinear") -> Image:
    """Return ``image`` resampled to exactly ``size``, whatever its aspect; shrinking widens the filter (antialiasing).

    Args:
        image: uint8 RGB array (height, width, 3).
        size: (height, width) to give.
        interpolation: one of `INTERPOLATIONS`: triangle filter, Keys' cubic with a = -1/2, Lanczos with 3 lobes.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if interpolation == "bilinear" and height <= size[0] and width <= size[1]:
        enlarged: Image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return enlarged
    resized = PillowImage.fromarray(image).resize((size[1], size[0]), _PILLOW[interpolation])
    return np.asarray(resized)
