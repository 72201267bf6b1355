"""Which image files OpenCV decodes to Pillow's pixels: told from the file's header, before anything is decoded."""

from __future__ import annotations

import struct
import zlib

from aigenbench.data.pictures.formats import PNG_METADATA_LIMIT
from aigenbench.data.pictures.jpeg2000 import check_memory
from aigenbench.data.pictures.jpeg_stream import check_scans, exif_records, frame_size, is_plain, read_stream
from aigenbench.data.pictures.limits import HEAVY_PIXELS, MAXIMUM_PIXELS, TooMuchError, check_size

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"

UPRIGHT = 1
"""The EXIF orientation that turns nothing."""

_XMP_ORIENTATION = b"tiff:Orientation"
"""Pillow turns a picture by its XMP record too."""

_EXIF_ORIENTATION, _EXIF_SHORT = 0x112, 3
_VALUE_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)
"""Bytes of an EXIF value, by its type."""

_PNG_CHUNKS = frozenset(b"IHDR IDAT IEND sRGB gAMA cHRM iCCP pHYs sBIT bKGD tIME tEXt".split())
"""Chunks that change no pixel and no orientation; with any other, Pillow decodes."""

_PNG_TEXTS_WITH_ORIENTATION = (b"Raw profile type ", b"XML:com.adobe.xmp")

_LONGEST_PNG_NOTE = 2**20
"""Bytes of a chunk beside the pixels; Pillow has limits for them, which are its to tell."""

_MOST_UNPACKED = 2**30
"""Bytes that the compressed notes of a PNG file may become together, each at most ``PNG_METADATA_LIMIT``."""
_DEFLATE = 1032
"""Bytes that one compressed byte becomes at most."""

_WEBP_COLOUR_PROFILE = 0x20
"""The one feature of an extended WebP file that changes neither pixels nor orientation."""


def plain_orientation(view: memoryview) -> int | None:
    """The EXIF orientation (1 to 8) of a file of a kind that OpenCV decodes to the very pixels Pillow gives; else None.

    JPEG in grey or three components; PNG in RGB of 8 bits; WebP without transparency and animation; each whole, by
    its parts, and within the limits. What is said of the orientation must be of the usual form, or nothing: how Pillow
    reads another form, Pillow knows. The compressed pixels are not looked into: for a file damaged there, OpenCV gives
    no picture, or the one Pillow gives too.
    """
    start = bytes(view[:12])
    try:
        if start.startswith(_JPEG_START):
            return _plain_jpeg_orientation(view)
        if start.startswith(_PNG_START):
            return UPRIGHT if _is_plain_png(view) else None
        return UPRIGHT if start[:4] == b"RIFF" and start[8:] == b"WEBP" and _is_plain_webp(view) else None
    except TooMuchError:
        return None


def check_header(data: bytes, plugin: str) -> None:
    """Refuse a file that would take Pillow's plug-in too long or too much memory to open.

    Raises:
        TooMuchError: a JPEG file of too many segments or scans; a PNG file with too much compressed metadata; a
            JPEG 2000 file of too many code-blocks.
    """
    view = memoryview(data)
    if plugin == "JPEG":
        check_scans(view, read_stream(view))
    elif plugin == "JPEG2000":
        check_memory(data)
    elif plugin == "PNG" and _unpacked_png_notes(view) > _MOST_UNPACKED:
        raise TooMuchError(f"PNG whose compressed metadata may become more than {_MOST_UNPACKED >> 30} GiB")


def _unpacked_png_notes(view: memoryview) -> int:
    position, unpacked = len(_PNG_START), 0
    while position + 8 <= len(view):
        length, name = _big_endian(view, position, 4), view[position + 4 : position + 8]
        # after its keyword, a text tells whether it is compressed
        if name in (b"iCCP", b"zTXt") or (
            name == b"iTXt" and not bytes(view[position + 8 : position + 88]).partition(b"\0")[2].startswith(b"\0")
        ):
            unpacked += min(_DEFLATE * length, PNG_METADATA_LIMIT)
        position += 12 + length
    return unpacked


def _plain_jpeg_orientation(view: memoryview) -> int | None:
    stream = read_stream(view)
    if not is_plain(view, stream):
        return None
    check_scans(view, stream)
    check_size("JPEG", *frame_size(view, stream), MAXIMUM_PIXELS)
    if _XMP_ORIENTATION in bytes(view[: stream.header]):
        return None
    records = exif_records(view, stream)
    if not records:
        return UPRIGHT
    return _exif_orientation(records[0]) if len(records) == 1 else None


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
        # at a value that is not all there, Pillow reads no further
        if not 1 <= kind < len(_VALUE_SIZES) or not _value_is_there(record, at, number * _VALUE_SIZES[kind], order):
            return None
        if tag == _EXIF_ORIENTATION:
            if seen or (kind, number) != (_EXIF_SHORT, 1) or not 1 <= value <= 8:
                return None
            found, seen = value, True
    return found


def _value_is_there(record: memoryview, entry: int, size: int, order: str) -> bool:
    return size <= 4 or struct.unpack_from(order + "I", record, entry + 8)[0] + size <= len(record)


def _is_plain_png(view: memoryview) -> bool:
    position, first, name = len(_PNG_START), True, b""
    while name != b"IEND":
        end = position + 12 + _big_endian(view, position, 4)
        name = bytes(view[position + 4 : position + 8])
        if end > len(view) or name not in _PNG_CHUNKS or (name == b"IHDR") != first:
            return False
        if name != b"IDAT" and not _is_plain_png_chunk(name, view[position + 4 : end]):
            return False
        position, first = end, False
    return True


def _is_plain_png_chunk(name: bytes, chunk: memoryview) -> bool:
    """``chunk`` is the name, the body and their checksum."""
    # pixels have libpng's own checks; what it only warns of elsewhere, Pillow refuses
    if len(chunk) > _LONGEST_PNG_NOTE or zlib.crc32(chunk[:-4]) != _big_endian(chunk, len(chunk) - 4, 4):
        return False
    if name == b"tEXt":
        return not bytes(chunk[4:24]).startswith(_PNG_TEXTS_WITH_ORIENTATION)
    if name == b"IHDR":
        check_size("PNG", _big_endian(chunk, 4, 4), _big_endian(chunk, 8, 4), MAXIMUM_PIXELS)
        return bytes(chunk[12:14]) == b"\x08\x02"
    return True


def _is_plain_webp(view: memoryview) -> bool:
    """One picture alone, or one picture of the canvas's size behind the canvas and at most a colour profile."""
    end, position = 8 + _little_endian(view, 4, 4), 12
    # of bytes behind the end, OpenCV makes up what is missing before it
    if end != len(view):
        return False
    canvas = None
    if view[position : position + 4] == b"VP8X":
        if view[position + 8] & ~_WEBP_COLOUR_PROFILE:
            return False
        canvas = _little_endian(view, position + 12, 3) + 1, _little_endian(view, position + 15, 3) + 1
        position = _after_riff_chunk(view, position)
        if view[position : position + 4] == b"ICCP":
            position = _after_riff_chunk(view, position)
    size = _webp_frame_size(view, position)
    if size is None or canvas not in (None, size):
        return False
    check_size("WebP", *size, HEAVY_PIXELS)
    return _after_riff_chunk(view, position) == end


def _webp_frame_size(view: memoryview, position: int) -> tuple[int, int] | None:
    """Width and height of the chunk of pixels that begins here, if it has no transparency."""
    kind, body = bytes(view[position : position + 4]), position + 8
    if kind == b"VP8 " and view[body + 3 : body + 6] == b"\x9d\x01\x2a":
        return _little_endian(view, body + 6, 2) & 0x3FFF, _little_endian(view, body + 8, 2) & 0x3FFF
    if kind == b"VP8L" and view[body : body + 1] == b"\x2f":
        # two sides of 14 bits, less one, and whether there is transparency
        bits = _little_endian(view, body + 1, 4)
        return None if bits >> 28 & 1 else ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return None


def _after_riff_chunk(view: memoryview, position: int) -> int:
    length = _little_endian(view, position + 4, 4)
    return position + 8 + length + length % 2


def _big_endian(view: memoryview, start: int, length: int) -> int:
    """The whole number in these bytes; bytes beyond the end are left out."""
    return int.from_bytes(view[start : start + length], "big")


def _little_endian(view: memoryview, start: int, length: int) -> int:
    return int.from_bytes(view[start : start + length], "little")
