"""However a file tells its orientation: what Pillow makes of it is what we make of it."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from aigenbench.data.pictures.decode import decode
from aigenbench.data.pictures.headers import plain_orientation

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8))


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG, PNG, WEBP = saved("JPEG"), saved("PNG"), saved("WEBP", lossless=True)
ORIENTATION, WIDTH = 0x112, 0x100
BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED_SHORT, FLOAT = 1, 2, 3, 4, 5, 8, 11


def record(order: str, *entries: tuple[int, int, int, bytes], start: int = 8, magic: int = 42) -> bytes:
    """An EXIF record of (tag, type, count, value)."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", magic, start)
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3].ljust(4, b"\0")[:4] for entry in entries)
    return head + bytes(start - 8) + struct.pack(order + "H", len(entries)) + body + bytes(4)


def short(order: str, value: int) -> tuple[int, int, int, bytes]:
    return ORIENTATION, SHORT, 1, struct.pack(order + "H", value)


def segment(body: bytes, marker: int = 0xE1) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(*segments: bytes, before_scan: bool = False) -> bytes:
    at = JPEG.index(b"\xff\xda") if before_scan else 2
    return JPEG[:at] + b"".join(segments) + JPEG[at:]


def exif(*args: object, **options: object) -> bytes:
    return segment(b"Exif\0\0" + record(*args, **options))  # type: ignore[arg-type]


def pillows(data: bytes) -> np.ndarray:
    """Pillow's own way; a record at which it gives up turns nothing."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        try:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (SyntaxError, ValueError, struct.error):
            return np.asarray(image.convert("RGB"))


def xmp(text: str) -> bytes:
    return segment(b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def told(order: str, kind: int, count: int, value: bytes) -> bytes:
    return exif(order, (ORIENTATION, kind, count, value))


SPELLINGS = {
    "long, big-endian": told(">", LONG, 1, struct.pack(">I", 6)),
    "long, little-endian": told("<", LONG, 1, struct.pack("<I", 6)),
    "byte": told(">", BYTE, 1, b"\x06"),
    "signed short": told(">", SIGNED_SHORT, 1, b"\0\x06"),
    "float": told("<", FLOAT, 1, struct.pack("<f", 6)),
    "text": told("<", ASCII, 2, b"6\0"),
    "two shorts": told("<", SHORT, 2, struct.pack("<HH", 6, 3)),
    "no short": told("<", SHORT, 0, b"\x06\0"),
    "of no kind": told("<", 77, 1, b"\x06\0"),
    "nine": told("<", SHORT, 1, b"\x09\0"),
    "nought": told("<", SHORT, 1, b"\0\0"),
    "twice": exif("<", short("<", 3), short("<", 6)),
    "after another tag": exif(">", (WIDTH, SHORT, 1, b"\0\x18"), short(">", 8)),
    "beyond the record": segment((b"Exif\0\0" + record("<", short("<", 6), start=4000))[:40]),
    "behind a value beyond the record": exif(">", (0x10F, ASCII, 6, struct.pack(">I", 3000)), short(">", 8)),
    "behind a value of no kind": exif(">", (0x10F, 77, 1, bytes(4)), short(">", 8)),
    "behind a gap": exif("<", short("<", 6), start=30),
    "in a second segment": exif("<", (WIDTH, SHORT, 1, b"\1\0")) + exif("<", short("<", 6)),
    "in two segments": exif("<", short("<", 3)) + exif("<", short("<", 6)),
    "a header twice": segment(b"Exif\0\0Exif\0\0" + record("<", short("<", 6))),
    "another magic number": exif("<", short("<", 6), magic=43),
    "not a record": segment(b"Exif\0\0rubbish, and more of it"),
    "an empty record": segment(b"Exif\0\0"),
    "a record cut short": segment((b"Exif\0\0" + record("<", (WIDTH, SHORT, 1, b"\1\0"), short("<", 6)))[:-12]),
    "XMP": xmp('<rdf:Description tiff:Orientation="6"/>'),
    "an element in XMP": xmp("<tiff:Orientation>6</tiff:Orientation>"),
    "XMP against EXIF": exif("<", short("<", 3)) + xmp('<rdf:Description tiff:Orientation="6"/>'),
    "XMP beside an EXIF without": exif("<", (WIDTH, SHORT, 1, b"\1\0")) + xmp('<a tiff:Orientation="6"/>'),
}


@pytest.mark.parametrize("before_scan", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_an_orientation(spelling: str, before_scan: bool) -> None:
    data = jpeg(SPELLINGS[spelling], before_scan=before_scan)
    np.testing.assert_array_equal(decode(data), pillows(data))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", range(1, 9))
def test_the_usual_form_is_fast(order: str, value: int) -> None:
    data = jpeg(exif(order, (WIDTH, SHORT, 1, b"\1\1"), short(order, value)))
    assert plain_orientation(memoryview(data)) == value
    np.testing.assert_array_equal(decode(data), pillows(data))


@given(st.integers(6, 60), st.binary(min_size=1, max_size=3), st.sampled_from("<>"), st.integers(1, 8))
def test_damage_in_a_record(at: int, rubbish: bytes, order: str, value: int) -> None:
    data = bytearray(jpeg(exif(order, (WIDTH, SHORT, 1, b"\1\1"), short(order, value))))
    # the content of the segment, not its length
    at = min(at, 40)
    data[at : at + len(rubbish)] = rubbish
    np.testing.assert_array_equal(decode(bytes(data)), pillows(bytes(data)))


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("name", ["eXIf", "tEXt", "zTXt", "iTXt"])
def test_pngs_turn_too(name: str, place: bytes) -> None:
    plain = record(">", (ORIENTATION, LONG, 1, struct.pack(">I", 6)))
    raw = b"\nexif\n%8d\n" % (len(plain) + 6) + (b"Exif\0\0" + plain).hex().encode() + b"\n"
    body = {
        "eXIf": plain,
        "tEXt": b"Raw profile type exif\0" + raw,
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(raw),
        "iTXt": b'XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation="6"/>',
    }[name]
    at = PNG.index(place) - 4
    data = PNG[:at] + png_chunk(name.encode(), body) + PNG[at:]
    np.testing.assert_array_equal(decode(data), pillows(data))
    assert decode(data).shape == (24, 16, 3)


def test_a_webp_with_a_long_orientation_and_one_with_a_broken_record() -> None:
    for body, shape in ((record("<", (ORIENTATION, LONG, 1, b"\x06")), (24, 16, 3)), (b"rubbish", (16, 24, 3))):
        data = saved("WEBP", lossless=True, exif=b"Exif\0\0" + body)
        assert decode(data).shape == shape
        np.testing.assert_array_equal(decode(data), pillows(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiffs_turn_once(orientation: int) -> None:
    data = saved("TIFF", tiffinfo={ORIENTATION: orientation})
    np.testing.assert_array_equal(decode(data), pillows(data))


def test_a_turned_picture_with_another_tag_that_nobody_can_read() -> None:
    broken = (0x8769, LONG, 1, struct.pack("<I", 3_000_000))
    data = jpeg(exif("<", short("<", 6), broken))
    assert decode(data).shape == (24, 16, 3)
