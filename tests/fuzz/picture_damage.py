"""Damage to picture files, most of it where their formats cut them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from fuzz.picture_files import whole

Damage = Callable[[bytes, str, np.random.Generator], bytes]

ODD = (0, 1, 2, 3, 4, 5, 6, 8, 9, 16, 127, 128, 254, 255)


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG file."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def parts(data: bytes, kind: str) -> list[bytes]:
    """A file cut where its format cuts it: segments, chunks, boxes; any other in its first bytes and its rest."""
    cuts = {"JPEG": _jpeg_cuts, "PNG": _png_cuts, "WEBP": _webp_cuts, "AVIF": _box_cuts, "JPEG2000": _box_cuts}
    found = cuts[kind](data) if kind in cuts else iter([min(len(data) // 2, 64)])
    ends = [*sorted({end for end in found if 0 < end < len(data)}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _jpeg_cuts(data: bytes) -> Iterator[int]:
    at = 2
    while found := re.compile(rb"\xff[^\0\xff]").search(data, at):
        marker, at = data[found.start() + 1], found.end()
        yield found.start()
        if not 0xD0 <= marker <= 0xD9:
            at += int.from_bytes(data[at : at + 2], "big")
            yield at


def _png_cuts(data: bytes) -> Iterator[int]:
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _webp_cuts(data: bytes) -> Iterator[int]:
    at = 12
    while at + 8 <= len(data):
        yield at
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2


def _box_cuts(data: bytes) -> Iterator[int]:
    at = 0
    while at + 8 <= len(data):
        yield at
        at += max(int.from_bytes(data[at : at + 4], "big"), 8)


def flipped(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """One to three bytes."""
    out = bytearray(data)
    for at in rng.integers(0, len(out), rng.integers(1, 4)) if out else ():
        out[at] ^= int(rng.integers(1, 256))
    return bytes(out)


def odd_header(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Odd values in the first hundreds of bytes."""
    out = bytearray(data)
    for at in rng.integers(0, min(len(out), 700), rng.integers(1, 3)) if out else ():
        out[at] = int(rng.choice(ODD))
    return bytes(out)


def cut_short(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """At the very end or anywhere."""
    return data[: rng.integers(0, len(data) + 1)] if rng.random() < 0.5 else data[: -int(rng.integers(1, 40))]


def lengthened(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """By an end, nothing, anything, or itself."""
    return data + [b"\xff\xd9", b"\0", rng.bytes(rng.integers(1, 2000)), data][rng.integers(4)]


def inserted(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Some bytes anywhere."""
    at = int(rng.integers(0, len(data) + 1))
    new = [rng.bytes(rng.integers(1, 9)), b"\xff", b"\xff\xd9", bytes([255, rng.integers(0xC0, 256)]), bytes(4)]
    return data[:at] + new[rng.integers(len(new))] + data[at:]


def removed(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Some bytes anywhere."""
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + data[at + int(rng.integers(1, 30)) :]


def part_removed(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A segment is missing."""
    some = parts(data, kind)
    del some[int(rng.integers(len(some)))]
    return b"".join(some)


def part_twice(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A segment stands at another place too."""
    some = parts(data, kind)
    some.insert(int(rng.integers(len(some) + 1)), some[rng.integers(len(some))])
    return b"".join(some)


def parts_swapped(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Two segments are in each other's place."""
    some = parts(data, kind)
    one, other = rng.integers(0, len(some), 2)
    some[one], some[other] = some[other], some[one]
    return b"".join(some)


def part_of_another(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A segment is another picture's."""
    some, others = parts(data, kind), parts(whole(kind, rng), kind)
    some[rng.integers(len(some))] = others[rng.integers(len(others))]
    return b"".join(some)


def part_damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Damage within a segment; a PNG's checksum is mended, so that it is met."""
    some = parts(data, kind)
    at = int(rng.integers(len(some)))
    some[at] = flipped(some[at], kind, rng)
    if kind == "PNG" and at and len(some[at]) >= 12:
        some[at] = some[at][:-4] + struct.pack(">I", zlib.crc32(some[at][4:-4]))
    return b"".join(some)


def pixels_damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A PNG's rows are too few, too many or others, under checksums that are right; any other file's latter half."""
    some = parts(data, kind)
    where = next((i for i, part in enumerate(some) if part[4:8] == b"IDAT"), None)
    if kind != "PNG" or where is None:
        return data[: len(data) // 2] + flipped(data[len(data) // 2 :], kind, rng)
    body = some[where][8:-4]
    try:
        rows = zlib.decompress(body)
    except zlib.error:
        return data
    ways = [
        zlib.compress(rows[: -int(rng.integers(1, 50))]),
        zlib.compress(rows + rng.bytes(99)),
        zlib.compress(flipped(rows, kind, rng)),
        body[:-4] + rng.bytes(4),
    ]
    some[where] = chunk(b"IDAT", ways[rng.integers(4)])
    return b"".join(some)


def note_added(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """An EXIF or XMP record of some form between any two segments."""
    is_xmp = rng.random() < 0.3
    record = b'<a tiff:Orientation="%d"/>' % rng.integers(0, 10) if is_xmp else exif_record(rng)
    if kind == "JPEG":
        note = segment(0xE1, (b"http://ns.adobe.com/xap/1.0/\0" if is_xmp else b"Exif\0\0") + record)
    elif kind == "PNG":
        note = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + record) if is_xmp else chunk(b"eXIf", record)
    elif kind == "WEBP":
        note = (b"XMP " if is_xmp else b"EXIF") + struct.pack("<I", len(record)) + record + bytes(len(record) % 2)
    else:
        return flipped(data, kind, rng)
    some = parts(data, kind)
    some.insert(int(rng.integers(1, len(some) + 1)), note)
    return b"".join(some)


def exif_record(rng: np.random.Generator) -> bytes:
    """A record of one to three values, of odd types and counts, some of them beyond its end."""
    order = str(rng.choice(["<", ">"]))
    entries = []
    for _ in range(rng.integers(1, 4)):
        tag = int(rng.choice([0x112, 0x112, 0x10F, 0x100, 0x8769]))
        kind = int(rng.choice([3, 3, 1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 16, 0, 77]))
        count = int(rng.choice([1, 1, 1, 0, 2, 3, 2**31]))
        value = struct.pack(order + ("H2x" if kind in (3, 8) else "I"), int(rng.integers(0, 10)))
        entries.append(struct.pack(order + "HHI", tag, kind, count) + value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, int(rng.choice([8, 8, 8, 10, 9999])))
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


DAMAGES: dict[str, Damage] = {
    one.__name__: one
    for one in (
        *(flipped, odd_header, cut_short, lengthened, inserted, removed, part_removed, part_twice, parts_swapped),
        *(part_of_another, part_damaged, pixels_damaged, note_added),
    )
}
