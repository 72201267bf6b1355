"""Encoding to JPEG and decoding again, with either of two codecs."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL.JpegImagePlugin import JpegImageFile

from aigenbench.augmentations.images import Image
from aigenbench.errors import InputError

CODECS = ("opencv", "pillow")

LONGEST_SIDE = 65500
"""libjpeg encodes no longer side (``JPEG_MAX_DIMENSION``)."""


def jpeg_round_trip(image: Image, quality: int, codec: str) -> Image:
    """Return ``image`` as it looks after being stored as a JPEG file.

    The file is baseline, 4:2:0, with the standard tables scaled by ``quality``. Both codecs build on libjpeg-turbo
    but bring their own copy of it, each with its own conversions around it.

    Args:
        image: uint8 RGB array (height, width, 3).
        quality: 1..100.
        codec: one of `CODECS`.

    Raises:
        InputError: a side is longer than JPEG allows.
    """
    if max(image.shape[:2]) > LONGEST_SIDE:
        raise InputError(
            f"JPEG files have at most {LONGEST_SIDE} pixels a side, got an image of shape {image.shape}: crop it first"
        )
    return _with_opencv(image, quality) if codec == "opencv" else _with_pillow(image, quality)


def _with_opencv(image: Image, quality: int) -> Image:
    parameters = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    written, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
    assert written
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)


def _with_pillow(image: Image, quality: int) -> Image:
    encoded = io.BytesIO()
    PillowImage.fromarray(image).save(encoded, "JPEG", quality=quality, subsampling="4:2:0")
    encoded.seek(0)
    # not through Image.open: it warns of, or refuses, pictures it deems too large to be honest; this one is ours
    return np.asarray(JpegImageFile(encoded))
