"""Which picture formats are read: one table, and the first bytes of a file decide, never its name.

Pillow knows many more, some of which start other programs (EPS starts Ghostscript) or show a small copy of what they
hold: it is always told which one of these to take.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import NamedTuple

from aigenbench.data.pictures.limits import HEAVY_PIXELS, MAXIMUM_PIXELS

HEAD = 64
"""Bytes at a file's start that say what it is."""

EXTRA = "heic"
"""The optional extra that reads HEIC."""

PNG_METADATA_LIMIT = 2**26
"""Bytes of a PNG file's texts, and of its colour profile, uncompressed. Pillow's own limit of 1 MiB stops files that
every viewer shows: screens' colour profiles and workflows of image generators are larger."""


class FormatMissingError(ValueError):
    """A format that is read where something else is installed; the message says what."""


@dataclass(frozen=True)
class PictureFormat:
    """A picture format that is read.

    Attributes:
        name: as people write it.
        plugin: Pillow's name of it.
        module: where that stands.
        matches: whether a file that starts so is one.
        suffixes: usual ends of file names, which decide nothing: a file that has one and is no picture is a broken one.
        maximum_pixels: beyond which it is refused.
    """

    name: str
    plugin: str
    module: str
    matches: Callable[[bytes], bool]
    suffixes: tuple[str, ...]
    maximum_pixels: int = MAXIMUM_PIXELS


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
    # two letters alone would be the start of many a text
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124)


def _is_pnm(head: bytes) -> bool:
    return re.match(rb"P[1-6][\s#]", head) is not None


_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})


def _brands(head: bytes) -> list[bytes]:
    """The brands that a file of boxes gives itself, its own first."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def _is_avif(head: bytes) -> bool:
    brands = _brands(head)
    return bool(brands) and (brands[0] in _AVIF_BRANDS or (brands[0] not in _HEIC_BRANDS and _any(brands, "avif")))


def _is_heic(head: bytes) -> bool:
    brands = _brands(head)
    return bool(brands) and not _is_avif(head) and (_any(brands, "heic") or brands[0] in (b"mif1", b"msf1"))


def _any(brands: list[bytes], kind: str) -> bool:
    return not (_AVIF_BRANDS if kind == "avif" else _HEIC_BRANDS).isdisjoint(brands)


FORMATS = (
    # pictures of several frames (MPO, of phones) are JPEG files that go on
    PictureFormat(
        "JPEG", "JPEG", "PIL.JpegImagePlugin", _starts(b"\xff\xd8\xff"), (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
    ),
    PictureFormat("PNG", "PNG", "PIL.PngImagePlugin", _starts(b"\x89PNG\r\n\x1a\n"), (".png", ".apng")),
    PictureFormat("WebP", "WEBP", "PIL.WebPImagePlugin", _is_webp, (".webp",), HEAVY_PIXELS),
    PictureFormat("GIF", "GIF", "PIL.GifImagePlugin", _starts(b"GIF87a", b"GIF89a"), (".gif",)),
    PictureFormat("BMP", "BMP", "PIL.BmpImagePlugin", _is_bmp, (".bmp", ".dib")),
    PictureFormat(
        "TIFF",
        "TIFF",
        "PIL.TiffImagePlugin",
        _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        (".tif", ".tiff"),
    ),
    PictureFormat("AVIF", "AVIF", "PIL.AvifImagePlugin", _is_avif, (".avif", ".avifs"), HEAVY_PIXELS),
    PictureFormat(
        "JPEG 2000",
        "JPEG2000",
        "PIL.Jpeg2KImagePlugin",
        _starts(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        (".jp2", ".j2k", ".jpx", ".j2c", ".jpc", ".jpf"),
        HEAVY_PIXELS,
    ),
    PictureFormat("PPM", "PPM", "PIL.PpmImagePlugin", _is_pnm, (".ppm", ".pgm", ".pbm", ".pnm")),
    PictureFormat("HEIC", "HEIF", "pi_heif", _is_heic, (".heic", ".heif", ".hif"), HEAVY_PIXELS),
)

SUFFIXES = frozenset(suffix for one in FORMATS for suffix in one.suffixes)

NAMES = ", ".join(one.name for one in FORMATS) + f" (with the extra {EXTRA!r})"
"""As messages list them; HEIC stands last."""


class _Other(NamedTuple):
    name: str
    matches: Callable[[bytes], bool]


_OTHERS = (
    _Other("an EPS or PostScript file", _starts(b"%!PS", b"\xc5\xd0\xd3\xc6")),
    _Other("a PDF file", _starts(b"%PDF")),
    _Other("a Photoshop file", _starts(b"8BPS")),
    _Other("a JPEG XL picture", _starts(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    _Other("an icon file", _starts(b"\0\0\1\0", b"icns")),
    _Other("an SVG drawing", lambda head: b"<svg" in head.lower()),
    _Other("a web page", lambda head: head.lstrip().lower().startswith((b"<!doctype html", b"<html"))),
    _Other("a Git LFS pointer, fetch the file itself (git lfs pull)", _starts(b"version https://git-lfs")),
    _Other("a macOS attribute file (AppleDouble)", _starts(b"\0\5\x16\7")),
)


def format_of(head: bytes) -> PictureFormat | None:
    """The format of a file that starts with ``head``, of at least ``HEAD`` bytes where there are so many."""
    return next((one for one in FORMATS if one.matches(head)), None)


def what_it_is(head: bytes) -> str:
    """What a file that is none of the formats is, as far as its start says."""
    if not head:
        return "an empty file"
    other = next((one.name for one in _OTHERS if one.matches(head)), None)
    return f"{other or 'not an image'}; the formats read are {NAMES}"


@cache
def load_plugin(picture: PictureFormat) -> str:
    """Load what reads a format, and nothing else; return the name by which Pillow is told to take it.

    Raises:
        FormatMissingError: it is not installed.
    """
    if picture.plugin == "HEIF":
        return _load_heif(picture)
    try:
        plugin = import_module(picture.module)
    except ImportError as error:
        raise FormatMissingError(f"this version of Pillow reads no {picture.name}; update it") from error
    if picture.plugin == "PNG":
        vars(plugin).update(MAX_TEXT_CHUNK=PNG_METADATA_LIMIT, MAX_TEXT_MEMORY=PNG_METADATA_LIMIT)
    return picture.plugin


def _load_heif(picture: PictureFormat) -> str:
    try:
        plugin = import_module(picture.module)
    except ImportError as error:
        raise FormatMissingError(
            f"{picture.name} is read with the extra {EXTRA!r} alone: pip install 'aigenbench[{EXTRA}]'"
        ) from error
    plugin.register_heif_opener(thumbnails=False)
    return picture.plugin
