"""Bytes of an image file to an RGB array."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from aigenbench.data.headers import is_plain

Pixels = npt.NDArray[np.uint8]

MAXIMUM_PIXELS = 2**29
"""Images beyond this many pixels are refused; Pillow's own, lower limit warns about ordinary large photographs."""


class UnreadableImageError(ValueError):
    """The bytes are not an image that can be decoded; the message says why."""


def decode(data: Any) -> Pixels:
    """Decode an image file of any format and mode Pillow reads.

    The first frame of an animation is taken, the EXIF orientation applied, transparency dropped, 16-bit
    values scaled to 8 bits.

    Args:
        data: the file's bytes, or any object with the buffer protocol.

    Returns:
        uint8 (H, W, 3), RGB, C-contiguous.

    Raises:
        UnreadableImageError: the bytes are truncated or not an image.
    """
    view = memoryview(data)
    if is_plain(view, MAXIMUM_PIXELS):
        pixels = _decode_with_opencv(view)
        if pixels is not None:
            return pixels
    return _decode_with_pillow(view)


def _decode_with_opencv(view: memoryview) -> Pixels | None:
    """For plain files, Pillow's pixels in less time; None where the file is damaged: Pillow then says how."""
    try:
        pixels: Pixels | None = cv2.imdecode(np.frombuffer(view, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return pixels


def _decode_with_pillow(view: memoryview) -> Pixels:
    try:
        with Image.open(io.BytesIO(view)) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                raise UnreadableImageError(f"{image.width} x {image.height} pixels are beyond {MAXIMUM_PIXELS}")
            image.load()
            return np.ascontiguousarray(np.asarray(_to_rgb(ImageOps.exif_transpose(image))))
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image of a known format") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(" ".join(str(error).split()) or type(error).__name__) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


# Pillow's limit is a module variable; ours above replaces it for every image decoded here
Image.MAX_IMAGE_PIXELS = MAXIMUM_PIXELS
