"""Made-up pictures of which no two are alike."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image


def picture(seed: int, side: int = 256) -> Image.Image:
    """A picture like no other: soft shapes of many sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n, 3)) / n**0.5, (side, side), interpolation=cv2.INTER_CUBIC) for n in (4, 9, 33)
    ]
    values = 127 + 110 * np.tanh(np.sum(layers, axis=0))
    return Image.fromarray(values.astype(np.uint8))


def stored(image: Image.Image, form: str = "JPEG", quality: int = 92) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": quality} if form == "JPEG" else {}))
    return buffer.getvalue()
