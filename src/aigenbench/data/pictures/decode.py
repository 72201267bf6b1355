"""Bytes of an image file to an RGB array."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from aigenbench.data.pictures.formats import (
    HEAD,
    PNG_METADATA_LIMIT,
    FormatMissingError,
    PictureFormat,
    format_of,
    load_plugin,
    what_it_is,
)
from aigenbench.data.pictures.headers import UPRIGHT, check_header, plain_orientation
from aigenbench.data.pictures.limits import (
    HEAVY_PIXELS,
    MAXIMUM_BYTES,
    MAXIMUM_PIXELS,
    SLOW_PIXELS,
    BoundedFile,
    TooMuchError,
    check_size,
)

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")

DECODING = 3
"""Version of how files become pixels; one more whenever any file that is read gives others."""

_ROTATIONS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}
"""What EXIF orientations ask for, in OpenCV's words."""

_IN_PYTHON = frozenset({"bmp_rle", "ppm", "ppm_plain"})
"""Pillow's decoders that are written in Python: of run-length coded BMP, and of PPM as text or of an odd depth."""

_STRIP = 2**22
"""Pixels that are converted at once, so that a large picture is not held a third time."""

_TILE_WIDTH, _TILE_LENGTH = 322, 323
_REDUCED_COPY, _DNG_VERSION = 254, 50706
"""TIFF tags: of a tile, of what kind a page is, and of digital negatives."""


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
    if len(view) > MAXIMUM_BYTES:
        raise UnreadableImageError(f"larger than {MAXIMUM_BYTES >> 20} MiB")
    orientation = plain_orientation(view)
    if orientation is not None:
        pixels = _decode_with_opencv(view, orientation)
        if pixels is not None:
            return pixels
    return with_pillow(view, _pixels)


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


def with_pillow(view: memoryview, read: Callable[[memoryview, PictureFormat], T]) -> T:
    """What ``read`` makes of a file, given its format by content; what goes wrong is told in one line.

    Raises:
        UnreadableImageError: the bytes are not an image, or not one that Pillow can read.
    """
    head = bytes(view[:HEAD])
    picture = format_of(head)
    if picture is None:
        raise UnreadableImageError(what_it_is(head))
    try:
        # of odd metadata, which changes nothing, Pillow would warn in many lines
        with warnings.catch_warnings(action="ignore"):
            return read(view, picture)
    except (FormatMissingError, TooMuchError) as error:
        raise UnreadableImageError(str(error)) from error
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{picture.name} of more than {picture.maximum_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"starts as {picture.name}, but is damaged beyond its header") from error
    except MemoryError as error:
        raise UnreadableImageError(f"{picture.name} too large for the memory that is left") from error
    # damaged files end in errors of any kind in Pillow's readers
    except Exception as error:
        said = " ".join(str(error).split())
        if "MAX_TEXT" in said:
            raise UnreadableImageError(f"its metadata is larger than {PNG_METADATA_LIMIT >> 20} MiB") from error
        raise UnreadableImageError(f"damaged {picture.name}: {said or type(error).__name__}") from error


def _pixels(view: memoryview, picture: PictureFormat) -> Pixels:
    with opened(view, picture) as image:
        image.load()
        pixels, orientation = _to_rgb(image), orientation_of(image)
    return pixels if orientation == UPRIGHT else _turned(pixels, orientation)


@contextmanager
def opened(view: memoryview, picture: PictureFormat) -> Iterator[Image.Image]:
    """A file opened by Pillow, within the limits; only its header is read."""
    data = view.obj if isinstance(view.obj, bytes) and len(view.obj) == len(view) else bytes(view)
    check_header(data, picture.plugin)
    file = BoundedFile(picture.name, data)
    with Image.open(file, formats=[load_plugin(picture)]) as image:
        check_size(picture.name, *image.size, picture.maximum_pixels)
        if image.tile and image.tile[0][0] in _IN_PYTHON:
            check_size(f"{picture.name} of this kind", *image.size, SLOW_PIXELS)
            file.reads += 2 * SLOW_PIXELS
        if picture.plugin == "TIFF":
            _check_tiff(image)
        yield image


def orientation_of(image: Image.Image) -> int:
    """The orientation Pillow finds; a record that it cannot read turns nothing, as in any viewer."""
    try:
        # not PNG's own, which decodes a picture for a record behind its pixels; of a decoded one it is the same
        found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, UPRIGHT)
    except Exception:  # noqa: BLE001 - as of damaged files
        return UPRIGHT
    # other numbers, equal to one of these, turn too
    return next((one for one in range(2, 9) if found == one), UPRIGHT)


def _check_tiff(image: Image.Image) -> None:
    """A camera's raw file is a TIFF file whose first page is a small copy, which is not the picture."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if _DNG_VERSION in tags or int(tags.get(_REDUCED_COPY, 0)) & 1:
        raise UnreadableImageError("a camera's raw file, or its first page is a reduced copy; convert it first")
    check_size("TIFF's tile", tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0), HEAVY_PIXELS)


def _to_rgb(image: Image.Image) -> Pixels:
    width, height = image.size
    rows = max(_STRIP // width, 1)
    if rows >= height:
        return np.ascontiguousarray(np.asarray(_strip_to_rgb(image)))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_strip_to_rgb(strip))
    return pixels


def _strip_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.asarray(image)
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


# Pillow's limit is a module variable; ours above replaces it for every image decoded here
Image.MAX_IMAGE_PIXELS = MAXIMUM_PIXELS
