"""What a picture file's header says of it; its pixels are not decoded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from aigenbench.data.pictures.decode import opened, orientation_of, with_pillow
from aigenbench.data.pictures.formats import PictureFormat

NO_JPEG = -1
"""Quantisation, quality and subsampling of what is no JPEG."""
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""By Pillow's number."""

_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29),
    *(51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121),
    *(120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""Of the JPEG standard's annex K, at libjpeg's quality 50."""


class Facts(NamedTuple):
    """What a picture file is.

    Attributes:
        form: name of the format, by content.
        width: pixels as shown, the orientation applied; of a PNG file that tells it behind its pixels, as stored.
        height: likewise.
        mode: Pillow's: ``RGB``, ``L``, ``RGBA``, ``P`` ...
        table: mean of the JPEG luminance quantisation table.
        quality: libjpeg's, 1 to 100, whose table is the nearest.
        subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, -1 for others and what is no JPEG.
        exif: whether there is an EXIF record.
    """

    form: str
    width: int
    height: int
    mode: str
    table: float
    quality: int
    subsampling: int
    exif: bool


def picture_facts(data: Any) -> Facts:
    """Read the header of an image file of one of the formats read.

    Args:
        data: the file's bytes, or any object with the buffer protocol.

    Raises:
        UnreadableImageError: the bytes are not an image, or its header is damaged or beyond the limits.
    """
    return with_pillow(memoryview(data), _facts)


def _facts(view: memoryview, picture: PictureFormat) -> Facts:
    with opened(view, picture) as image:
        # of a TIFF file, Pillow tells the size as shown
        is_turned = picture.plugin != "TIFF" and orientation_of(image) >= 5
        width, height = image.size[::-1] if is_turned else image.size
        table, quality, subsampling = _jpeg(image)
        return Facts(picture.name, width, height, image.mode, table, quality, subsampling, bool(image.info.get("exif")))


def _jpeg(image: Image.Image) -> tuple[float, int, int]:
    """Mean of the luminance table, quality and subsampling."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or not image.quantization:
        return NO_JPEG, NO_JPEG, NO_JPEG
    found = np.array(image.quantization[min(image.quantization)])
    # sorted: the order in which a table stands changed between versions of Pillow
    nearest = np.abs(_tables() - np.sort(found)).sum(axis=1).argmin()
    return float(found.mean()), int(nearest) + 1, int(JpegImagePlugin.get_sampling(image))


def _tables() -> npt.NDArray[np.int64]:
    """Libjpeg's luminance tables for the qualities 1 to 100, each sorted: int64 (100, 64)."""
    quality = np.arange(1, 101)[:, np.newaxis]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((np.sort(_LUMINANCE) * scale + 50) // 100, 1, 255)
