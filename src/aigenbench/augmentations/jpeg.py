"""Encoding to JPEG and decoding again, with either of two codecs."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from aigenbench.augmentations.images import Image
from aigenbench.errors import InputError

CODECS = ("opencv", "pillow")

LONGEST_SIDE = 65500
"""libjpeg encodes no longer side (``JPEG_MAX_DIMENSION``)."""


def jpeg_round_trip(image: Image, quality: int, codec: str) -> Image:
    """Return ``image`` as it looks after being stored as a JPEG file.

    The file is baseline, 4:2:0, with the standard tables scaled by ``quality``. Both codecs build on libjpeg-turbo
    but bring their own copy of it, each with its own conversions around it. What either has encoded, OpenCV decodes.

    Args:
        image: uint8 RGB array (height, width, 3); or (height, width) for one of three equal channels, which then stay
            equal: a file with that channel alone holds the same levels.
        quality: 1..100.
        codec: one of `CODECS`.

    Raises:
        InputError: a side is longer than JPEG allows.
    """
    if max(image.shape[:2]) > LONGEST_SIDE:
        raise InputError(
            f"JPEG files have at most {LONGEST_SIDE} pixels a side, got an image of shape {image.shape}: crop it first"
        )
    encoded = _encode_with_opencv(image, quality) if codec == "opencv" else _encode_with_pillow(image, quality)
    # OpenCV's decoder gives Pillow's pixels, in less time
    kind = cv2.IMREAD_COLOR_RGB if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(encoded, kind), np.uint8)


def _encode_with_opencv(image: Image, quality: int) -> NDArray[np.uint8]:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        parameters += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    written, encoded = cv2.imencode(".jpg", image, parameters)
    assert written
    return np.asarray(encoded, np.uint8)


def _encode_with_pillow(image: Image, quality: int) -> NDArray[np.uint8]:
    encoded = io.BytesIO()
    if image.ndim == 2:
        PillowImage.fromarray(image).save(encoded, "JPEG", quality=quality)
    else:
        height, width = image.shape[:2]
        # four bytes a pixel are what Pillow works with: it takes these as they are
        padded = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
        picture = PillowImage.frombuffer("RGBX", (width, height), padded, "raw", "RGBX", 0, 1)
        picture.save(encoded, "JPEG", quality=quality, subsampling="4:2:0")
    return np.frombuffer(encoded.getbuffer(), np.uint8)
