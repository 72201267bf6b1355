"""Pictures as a caller hands them over: paths, bytes of files, arrays, PIL images."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from aigenbench.data.pictures.limits import MAXIMUM_BYTES
from aigenbench.errors import InputError
from aigenbench.files import open_regular, readable_name, user_path

Picture = str | os.PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def several(images: Any) -> Any:
    """One picture or an iterable of them, as an iterable; an array (n, h, w, 3) is several."""
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    try:
        iter(images)
    except TypeError:
        return [images]
    return images


def check_kind(image: Any, i: int) -> None:
    """Refuse what is no picture; whether a file is there is not looked at.

    Raises:
        InputError: it is none of the kinds that are taken.
    """
    if isinstance(image, str | os.PathLike | bytes | Image.Image):
        return
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] == (3,)):
        return
    found = f"an array of {image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise InputError(
        f"image {i}: expected a path, a file's bytes, a PIL image or an array uint8 (h, w, 3) or (h, w), found {found}"
    )


def name_of(image: Any, i: int) -> str:
    """A picture's path as text that can be shown, or its place among those given."""
    return readable_name(os.fspath(image)) if isinstance(image, str | os.PathLike) else f"image {i}"


def file_of(image: Any) -> bytes:
    """The picture as the bytes of a file, which is then read as any other.

    Raises:
        OSError: a path names no regular file, or it cannot be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        with open_regular(user_path(Path(os.fspath(image)))) as file:
            # one byte more than a picture may have, which then is refused
            return file.read(MAXIMUM_BYTES + 1)
    return _encoded(Image.fromarray(image) if isinstance(image, np.ndarray) else ImageOps.exif_transpose(image))


def _encoded(image: Image.Image) -> bytes:
    """The image's pixels as a file without loss."""
    buffer = io.BytesIO()
    if image.mode in ("YCbCr", "HSV"):
        # no version of Pillow writes the second, and not each reads the first back
        image = image.convert("RGB")
    if image.mode in _PNG_MODES:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "TIFF")
    return buffer.getvalue()
