"""Which image files OpenCV decodes to Pillow's pixels: told from the file's header, before anything is decoded."""

from __future__ import annotations

import struct
import zlib

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"

UPRIGHT = 1
"""The EXIF orientation that turns nothing."""

_XMP_ORIENTATION = b"tiff:Orientation"
"""Pillow turns a picture by its XMP record too."""

_EXIF_START = b"Exif\0\0"
_EXIF_ORIENTATION, _EXIF_SHORT = 0x112, 3

_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive; what other kinds give is Pillow's to say."""

_PNG_CHUNKS = frozenset(b"IHDR IDAT IEND sRGB gAMA cHRM iCCP pHYs sBIT bKGD tIME tEXt".split())
"""Chunks that change no pixel and no orientation; with any other, Pillow decodes."""

_PNG_TEXTS_WITH_ORIENTATION = (b"Raw profile type ", b"XML:com.adobe.xmp")

_LONGEST_PNG_NOTE = 2**20
"""Bytes of a chunk beside the pixels; Pillow has limits for them, which are its to tell."""

_WEBP_COLOUR_PROFILE = 0x20
"""The one feature of an extended WebP file that changes neither pixels nor orientation."""


def plain_orientation(view: memoryview, maximum_pixels: int) -> int | None:
    """The EXIF orientation (1 to 8) of a file of a kind that OpenCV decodes to the very pixels Pillow gives; else None.

    JPEG in grey or three components; PNG in RGB of 8 bits; WebP without transparency and animation; each of at most
    ``maximum_pixels`` pixels. What is said of the orientation must be of the usual form, or nothing: how Pillow reads
    another form, Pillow knows. A damaged file may pass for plain: OpenCV then gives no picture, or, in JPEG's
    entropy-coded data, the one Pillow gives too.
    """
    start = bytes(view[:12])
    if start.startswith(_JPEG_START):
        return _plain_jpeg_orientation(view, maximum_pixels)
    if start.startswith(_PNG_START):
        return UPRIGHT if _is_plain_png(view, maximum_pixels) else None
    return UPRIGHT if start[:4] == b"RIFF" and start[8:] == b"WEBP" and _is_plain_webp(view) else None


def _plain_jpeg_orientation(view: memoryview, maximum_pixels: int) -> int | None:
    segments, scan = _jpeg_segments(view)
    # OpenCV decodes a truncated file without a word; files may carry trailing bytes after the end marker
    if scan is None or b"\xff\xd9" not in bytes(view[max(scan, len(view) - 1024) :]):
        return None
    frames = [place for marker, place in segments if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)]
    if len(frames) != 1 or not _is_plain_frame(view, frames[0], maximum_pixels):
        return None
    if _XMP_ORIENTATION in bytes(view[:scan]):
        return None
    exif = [place for marker, place in segments if marker == 0xE1 and view[place : place + 6] == _EXIF_START]
    if not exif:
        return UPRIGHT
    if len(exif) > 1:
        return None
    place = exif[0]
    return _exif_orientation(view[place + 6 : place - 2 + _big_endian(view, place - 2, 2)])


def _jpeg_segments(view: memoryview) -> tuple[list[tuple[int, int]], int | None]:
    """Marker and place of the content of every segment before the first scan, and where that begins.

    The latter is None where anything else stands between segments.
    """
    segments: list[tuple[int, int]] = []
    position, size = 2, len(view)
    while position + 9 < size and view[position] == 0xFF:
        marker = view[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        # a marker without a length
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:
            break
        if marker == 0xDA:
            return segments, position
        segments.append((marker, position + 4))
        position += 2 + _big_endian(view, position + 2, 2)
    return segments, None


def _is_plain_frame(view: memoryview, place: int, maximum_pixels: int) -> bool:
    height, width = _big_endian(view, place + 1, 2), _big_endian(view, place + 3, 2)
    if view[place - 3] not in _JPEG_FRAMES:
        return False
    return view[place] == 8 and view[place + 5] in (1, 3) and 0 < height * width <= maximum_pixels


def _exif_orientation(record: memoryview) -> int | None:
    """The orientation an EXIF record gives in its usual form, 1 where it gives none; None for any other form."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(record[:4]))
    if order is None or len(record) < 10:
        return None
    (first,) = struct.unpack_from(order + "I", record, 4)
    if first < 8 or first + 2 > len(record):
        return None
    (count,) = struct.unpack_from(order + "H", record, first)
    if first + 2 + 12 * count > len(record):
        return None
    found = UPRIGHT
    seen = False
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from(order + "HHIH", record, at)
        if tag == _EXIF_ORIENTATION:
            if seen or (kind, number) != (_EXIF_SHORT, 1) or not 1 <= value <= 8:
                return None
            found, seen = value, True
    return found


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
