"""Picture files of every format that Pillow writes: of any mode, size and orientation, stored in any way."""

from __future__ import annotations

import io
from collections.abc import Callable
from unittest import mock

import numpy as np
from PIL import ExifTags, Image, ImageFile

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "AVIF": ("RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB", "I;16"),
}
"""Of each format that Pillow writes, by its name of it."""

ORIENTED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")


def whole(kind: str, rng: np.random.Generator) -> bytes:
    """A valid file of some mode, size, orientation and way of storing it."""
    mode = str(rng.choice(MODES[kind]))
    # one pixel is too small for the resolutions of a JPEG 2000 file; in turn, decoders take large files in pieces
    side = int(rng.choice([1 if kind != "JPEG2000" else 8, 8, 40], p=[0.03, 0.93, 0.04]))
    width, height = (int(x) for x in rng.integers(side, side * 12, 2))
    levels = rng.integers(0, 256, (height // 2, width // 2, 3) if side > 8 else (4, 5, 3), dtype=np.uint8)
    image = Image.fromarray(levels).resize((width, height))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    options = OPTIONS.get(kind, lambda mode, rng: {})(mode, rng)
    if kind in ORIENTED and rng.random() < 0.5:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = int(rng.integers(1, 9))
        exif[ExifTags.Base.Make] = "Maker"
        options["exif"] = exif
    buffer = io.BytesIO()
    # Pillow keeps too little room for progressive files of noise
    with mock.patch.object(ImageFile, "MAXBLOCK", 2**21):
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {"quality": int(rng.integers(1, 101)), "progressive": bool(rng.random() < 0.4)}
    options |= {} if mode == "L" else {"subsampling": int(rng.integers(0, 3))}
    options |= {"optimize": True} if rng.random() < 0.3 else {}
    options |= {"restart_marker_blocks": int(rng.integers(1, 9))} if rng.random() < 0.3 else {}
    return options | ({"comment": b"a note"} if rng.random() < 0.3 else {})


def _png_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {"compress_level": int(rng.integers(0, 10))}
    options |= {"icc_profile": b"not a profile"} if rng.random() < 0.2 else {}
    options |= {"transparency": 0} if mode in ("L", "P") and rng.random() < 0.3 else {}
    return options | ({"transparency": (1, 2, 3)} if mode == "RGB" and rng.random() < 0.1 else {})


def _webp_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {
        "lossless": bool(rng.random() < 0.4),
        "quality": int(rng.integers(1, 101)),
        "method": 0,
    }
    return options | ({"icc_profile": b"not a profile"} if rng.random() < 0.2 else {})


def _tiff_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    compressions = ["raw", "tiff_lzw", "tiff_deflate", "packbits"] + (["group4"] if mode == "1" else [])
    return {"compression": str(rng.choice(compressions)) if mode != "YCbCr" else "tiff_lzw"}


OPTIONS: dict[str, Callable[[str, np.random.Generator], dict[str, object]]] = {
    "JPEG": _jpeg_options,
    "PNG": _png_options,
    "WEBP": _webp_options,
    "TIFF": _tiff_options,
    "GIF": lambda mode, rng: {"interlace": int(rng.integers(0, 2))},
    "AVIF": lambda mode, rng: {"speed": 10, "quality": int(rng.integers(1, 101))},
    "JPEG2000": lambda mode, rng: {
        "irreversible": bool(rng.integers(0, 2)),
        "num_resolutions": int(rng.integers(1, 4)),
    },
}
