"""Which image files OpenCV decodes to Pillow's pixels: told from the file's header, before anything is decoded."""

from __future__ import annotations

import zlib

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"

_XMP_ORIENTATION = b"tiff:Orientation"
"""Pillow turns a picture by its XMP record too, OpenCV by its EXIF record alone."""

_PNG_CHUNKS = frozenset(b"IHDR IDAT IEND sRGB gAMA cHRM iCCP pHYs sBIT bKGD tIME tEXt".split())
"""Chunks that change no pixel and no orientation; with any other, Pillow decodes."""

_PNG_TEXTS_WITH_ORIENTATION = (b"Raw profile type ", b"XML:com.adobe.xmp")

_LONGEST_PNG_NOTE = 2**20
"""Bytes of a chunk beside the pixels; Pillow has limits for them, which are its to tell."""

_WEBP_COLOUR_PROFILE = 0x20
"""The one feature of an extended WebP file that changes neither pixels nor orientation."""


def is_plain(view: memoryview, maximum_pixels: int) -> bool:
    """Whether ``view`` holds a whole file of a kind that OpenCV decodes to exactly the pixels Pillow gives.

    JPEG in grey or three components; PNG in RGB of 8 bits; WebP without transparency and animation; each of at most
    ``maximum_pixels`` pixels and with no orientation that OpenCV would miss. A damaged file may pass for plain: OpenCV
    then gives no picture, or, in JPEG's entropy-coded data, the one Pillow gives too.
    """
    start = bytes(view[:12])
    if start.startswith(_JPEG_START):
        return _is_plain_jpeg(view, maximum_pixels)
    if start.startswith(_PNG_START):
        return _is_plain_png(view, maximum_pixels)
    return start[:4] == b"RIFF" and start[8:] == b"WEBP" and _is_plain_webp(view)


def _is_plain_jpeg(view: memoryview, maximum_pixels: int) -> bool:
    # OpenCV decodes a truncated file without a word; files may carry trailing bytes after the end marker
    if b"\xff\xd9" not in bytes(view[-1024:]):
        return False
    frame = _jpeg_frame(view)
    if frame is None:
        return False
    height, width = _big_endian(view, frame + 5, 2), _big_endian(view, frame + 7, 2)
    return (
        view[frame + 9] in (1, 3) and height * width <= maximum_pixels and _XMP_ORIENTATION not in bytes(view[:frame])
    )


def _jpeg_frame(view: memoryview) -> int | None:
    """Where the frame header's marker stands; None where there is none."""
    position, size = 2, len(view)
    while position + 9 < size and view[position] == 0xFF:
        marker = view[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return position
        position += 2 + _big_endian(view, position + 2, 2)
    return None


def _is_plain_png(view: memoryview, maximum_pixels: int) -> bool:
    position, first, name = len(_PNG_START), True, b""
    while name != b"IEND":
        end = position + 12 + _big_endian(view, position, 4)
        name = bytes(view[position + 4 : position + 8])
        if end > len(view) or name not in _PNG_CHUNKS or (name == b"IHDR") != first:
            return False
        if name != b"IDAT" and not _is_plain_png_chunk(name, view[position + 4 : end], maximum_pixels):
            return False
        position, first = end, False
    return True


def _is_plain_png_chunk(name: bytes, chunk: memoryview, maximum_pixels: int) -> bool:
    """``chunk`` is the name, the body and their checksum."""
    # pixels have libpng's own checks; what it only warns of elsewhere, Pillow refuses
    if len(chunk) > _LONGEST_PNG_NOTE or zlib.crc32(chunk[:-4]) != _big_endian(chunk, len(chunk) - 4, 4):
        return False
    if name == b"tEXt":
        return not bytes(chunk[4:24]).startswith(_PNG_TEXTS_WITH_ORIENTATION)
    if name == b"IHDR":
        depth_and_colours = bytes(chunk[12:14])
        return (
            depth_and_colours == b"\x08\x02" and _big_endian(chunk, 4, 4) * _big_endian(chunk, 8, 4) <= maximum_pixels
        )
    return True


def _is_plain_webp(view: memoryview) -> bool:
    if 8 + int.from_bytes(view[4:8], "little") > len(view):
        return False
    kind, body = bytes(view[12:16]), bytes(view[20:25])
    if kind == b"VP8X":
        return body[:1] in (b"\x00", bytes([_WEBP_COLOUR_PROFILE]))
    if kind == b"VP8L":  # a signature, two sides of 14 bits, and whether there is transparency
        return len(body) == 5 and not body[4] & 0x10
    return kind == b"VP8 "


def _big_endian(view: memoryview, start: int, length: int) -> int:
    """The whole number in these bytes; bytes beyond the end are left out."""
    return int.from_bytes(view[start : start + length], "big")
