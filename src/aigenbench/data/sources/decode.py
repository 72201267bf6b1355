"""Bytes of an image file to an RGB array."""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from aigenbench.data.sources.formats import (
    HEAD,
    PNG_METADATA_LIMIT,
    FormatMissingError,
    PictureFormat,
    format_of,
    load_plugin,
    what_it_is,
)
from aigenbench.data.sources.headers import UPRIGHT, plain_orientation

Pixels = npt.NDArray[np.uint8]

DECODING = 2
"""Version of how files become pixels; one more whenever any file that is read gives others."""

MAXIMUM_PIXELS = 2**29
"""Images beyond this many pixels are refused; Pillow's own, lower limit warns about ordinary large photographs."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each EXIF orientation asks for."""

_ROTATIONS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}
"""The same of OpenCV."""

_REDUCED_COPY, _DNG_VERSION = 254, 50706
"""TIFF tags: of what kind a page is, and of digital negatives."""


class UnreadableImageError(ValueError):
    """The bytes are not an image that can be decoded; the message says why."""


def decode(data: Any) -> Pixels:
    """Decode an image file of one of the formats read, of any mode; its content says which, not its name.

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
    orientation = plain_orientation(view, MAXIMUM_PIXELS)
    if orientation is not None:
        pixels = _decode_with_opencv(view, orientation)
        if pixels is not None:
            return pixels
    return _decode_with_pillow(view)


def _decode_with_opencv(view: memoryview, orientation: int) -> Pixels | None:
    """For plain files, Pillow's pixels in less time; None where the file is damaged: Pillow then says how."""
    try:
        pixels: Pixels | None = cv2.imdecode(
            np.frombuffer(view, dtype=np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    return pixels if pixels is None or orientation == UPRIGHT else _turned(pixels, orientation)


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    if orientation in _ROTATIONS:
        return np.asarray(cv2.rotate(pixels, _ROTATIONS[orientation]), np.uint8)
    if orientation in _FLIPS:
        return np.asarray(cv2.flip(pixels, _FLIPS[orientation]), np.uint8)
    transposed = cv2.transpose(pixels)
    # 7 is 5 turned half round
    return np.asarray(transposed if orientation == 5 else cv2.rotate(transposed, cv2.ROTATE_180), np.uint8)


def _decode_with_pillow(view: memoryview) -> Pixels:
    head = bytes(view[:HEAD])
    picture = format_of(head)
    if picture is None:
        raise UnreadableImageError(what_it_is(head))
    try:
        # of odd metadata, which changes nothing, Pillow would warn in many lines
        with warnings.catch_warnings(action="ignore"):
            return _pixels(view, picture)
    except UnreadableImageError:
        raise
    except FormatMissingError as error:
        raise UnreadableImageError(str(error)) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{picture.name} of more than {MAXIMUM_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"starts as {picture.name}, but is damaged beyond its header") from error
    # damaged files end in errors of any kind in Pillow's readers
    except Exception as error:
        said = " ".join(str(error).split())
        if "MAX_TEXT" in said:
            raise UnreadableImageError(f"its metadata is larger than {PNG_METADATA_LIMIT >> 20} MiB") from error
        raise UnreadableImageError(f"damaged {picture.name}: {said or type(error).__name__}") from error


def _pixels(view: memoryview, picture: PictureFormat) -> Pixels:
    with Image.open(io.BytesIO(view), formats=[load_plugin(picture)]) as image:
        if image.width * image.height > MAXIMUM_PIXELS:
            raise UnreadableImageError(f"{picture.name} of more than {MAXIMUM_PIXELS} pixels")
        if picture.plugin == "TIFF":
            _refuse_raw(image)
        image.load()
        turn = _TURNS.get(_orientation(image))
        return np.ascontiguousarray(np.asarray(_to_rgb(image if turn is None else image.transpose(turn))))


def _orientation(image: Image.Image) -> Any:
    """The orientation Pillow finds; a record that it cannot read turns nothing, as in any viewer."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
        hash(found)
    except Exception:  # noqa: BLE001 - as of damaged files
        return UPRIGHT
    return found


def _refuse_raw(image: Image.Image) -> None:
    """A camera's raw file is a TIFF file whose first page is a small copy, which is not the picture."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if _DNG_VERSION in tags or int(tags.get(_REDUCED_COPY, 0)) & 1:
        raise UnreadableImageError("a camera's raw file, or its first page is a reduced copy; convert it first")


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
