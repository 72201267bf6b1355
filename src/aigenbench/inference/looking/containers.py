"""Where picture files keep what they say of themselves: segments, chunks and boxes, walked through and not decoded.

What a stranger's file can ask for is bounded: parts walked through, bytes of each note, bytes that a compressed one
becomes. A file that ends early, or whose parts lie about their lengths, gives the notes that stand before.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from aigenbench.data.pictures.formats import HEAD, format_of
from aigenbench.data.pictures.jpeg_stream import exif_records, read_stream, segment_length
from aigenbench.data.pictures.limits import TooMuchError

MOST_PARTS = 4096
"""Chunks or boxes that are walked through."""
LONGEST_NOTE = 2**20
"""Bytes of a note, uncompressed, that are looked at."""
MOST_NOTES = 32
"""Notes of each kind."""

_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC_IN_JPEG = b"Photoshop 3.0\0"
_XMP_IN_PNG = "XML:com.adobe.xmp"
_APP1, _APP11, _APP13, _COMMENT = 0xE1, 0xEB, 0xED, 0xFE
_XMP_START, _XMP_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""C2PA specification, "Embedding manifests into BMFF-based assets": the type of the box ``uuid``."""
_C2PA_IN_GIF = b"\x21\xff\x0bC2PA_GIF"
_TIFF_STARTS = re.compile(rb"II\*\0|MM\0\*")


@dataclass
class Notes:
    """What a file holds beside its pixels, as it stands there.

    Attributes:
        exif: EXIF records, each a TIFF structure.
        xmp: XMP packets.
        iptc: resources of Photoshop's, of which one holds IPTC's values.
        texts: keyword and text, of PNG; comments have the keyword ``comment``.
        c2pa: where a C2PA manifest stands; "" where none does.
    """

    exif: list[bytes] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)
    iptc: list[bytes] = field(default_factory=list)
    texts: list[tuple[str, bytes]] = field(default_factory=list)
    c2pa: str = ""


def read_notes(data: bytes) -> Notes:
    """The notes of a picture file of any format read; none of any other file."""
    picture = format_of(data[:HEAD])
    notes = Notes()
    if picture is None:
        return notes
    if picture.plugin == "JPEG":
        _read_jpeg(data, notes)
    elif picture.plugin == "PNG":
        _read_png(data, notes)
    elif picture.plugin == "WEBP":
        _read_webp(data, notes)
    else:
        _read_other(data, picture.plugin, notes)
    for kind in (notes.exif, notes.xmp, notes.iptc, notes.texts):
        del kind[MOST_NOTES:]
    return notes


def _read_jpeg(data: bytes, notes: Notes) -> None:
    view = memoryview(data)
    try:
        stream = read_stream(view)
    except TooMuchError:
        return
    notes.exif += [bytes(record) for record in exif_records(view, stream)]
    for marker, place in stream.segments:
        if marker not in (_APP1, _APP11, _APP13, _COMMENT):
            continue
        content = bytes(view[place : place - 2 + segment_length(view, place)])
        if marker == _APP1 and content.startswith(_XMP_IN_JPEG):
            notes.xmp.append(content[len(_XMP_IN_JPEG) :])
        elif marker == _APP11 and content.startswith(b"JP") and b"jumd" in content and b"c2pa" in content:
            notes.c2pa = "JUMBF in segments APP11"
        elif marker == _APP13 and content.startswith(_IPTC_IN_JPEG):
            notes.iptc.append(content[len(_IPTC_IN_JPEG) :])
        elif marker == _COMMENT:
            notes.texts.append(("comment", content))


def _read_png(data: bytes, notes: Notes) -> None:
    for name, start, end in _parts(data, 8, "big"):
        body = data[start : min(end, start + LONGEST_NOTE)]
        if name == b"eXIf":
            notes.exif.append(body)
        elif name == b"caBX":
            notes.c2pa = "chunk caBX"
        elif name in (b"tEXt", b"zTXt", b"iTXt") and len(notes.texts) < MOST_NOTES:
            keyword, text = _png_text(name, body)
            if keyword == _XMP_IN_PNG:
                notes.xmp.append(text)
            else:
                notes.texts.append((keyword, text))


def _png_text(name: bytes, body: bytes) -> tuple[str, bytes]:
    """Keyword and text of a chunk (PNG specification, 11.3.3)."""
    keyword, _, rest = body.partition(b"\0")
    compressed = name == b"zTXt"
    if name == b"zTXt":
        rest = rest[1:]
    elif name == b"iTXt":
        compressed = rest[:1] == b"\1"
        # behind two bytes on compression stand the language and the keyword translated
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword[:80].decode("latin-1"), _unpacked(rest) if compressed else rest


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, LONGEST_NOTE)
    except zlib.error:
        return b""


def _read_webp(data: bytes, notes: Notes) -> None:
    for name, start, end in _parts(data, 12, "little"):
        body = data[start : min(end, start + LONGEST_NOTE)]
        if name == b"EXIF":
            notes.exif.append(body.removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            notes.xmp.append(body)
        elif name == b"C2PA":
            notes.c2pa = "chunk C2PA"


def _parts(data: bytes, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk of a PNG (``big``) or RIFF file (``little``)."""
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            return
        first, second = data[position : position + 4], data[position + 4 : position + 8]
        if order == "big":
            length, name, after = int.from_bytes(first, "big"), second, 4
        else:
            length, name = int.from_bytes(second, "little"), first
            after = length % 2
        yield name, position + 8, min(position + 8 + length, len(data))
        position += 8 + length + after


def _read_other(data: bytes, plugin: str, notes: Notes) -> None:
    """TIFF, GIF, and files of boxes: XMP is found by its beginning, as Adobe's specification provides (part 3, 2)."""
    start = data.find(_XMP_START)
    for _ in range(MOST_NOTES):
        if start < 0:
            break
        end = data.find(_XMP_END, start, start + LONGEST_NOTE)
        notes.xmp += [data[start:end]] if end > 0 else []
        start = data.find(_XMP_START, start + len(_XMP_START))
    if plugin == "TIFF":
        notes.exif.append(data)
    elif plugin == "GIF":
        notes.c2pa = "an application extension" if _C2PA_IN_GIF in data else ""
    elif plugin in ("AVIF", "HEIF", "JPEG2000"):
        notes.c2pa = "a box uuid" if any(box == _C2PA_BOX for box in _uuid_boxes(data)) else ""
        # the place of an EXIF record is told in tables; what is none by its beginning, its reader drops
        starts = [found.start() for found, _ in zip(_TIFF_STARTS.finditer(data), range(MOST_NOTES), strict=False)]
        notes.exif += [data[start : start + LONGEST_NOTE] for start in starts]


def _uuid_boxes(data: bytes) -> Iterator[bytes]:
    """The types of the boxes ``uuid`` at the top of a file (ISO/IEC 14496-12, 4.2)."""
    position = 0
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position : position + 4], "big")
        body = position + 8
        if length == 1:
            length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        if data[position + 4 : position + 8] == b"uuid":
            yield data[body : body + 16]
        # one of length 0 goes on to the end
        if length < 8:
            return
        position += length
