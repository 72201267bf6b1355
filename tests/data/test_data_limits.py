"""What a picture file may ask for."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aigenbench.data.pictures import decode as decoding
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.formats import FORMATS
from aigenbench.data.pictures.limits import HEAVY_PIXELS, MAXIMUM_PIXELS, BoundedFile, TooMuchError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8))
MANY = 2**18


def saved(kind: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def grey_png(side: int) -> bytes:
    """A black picture of one bit a pixel."""
    row = bytes(1 + (side + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row * 1000) for _ in range(side // 1000 + 1)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif(width: int, height: int, before: bytes = b"") -> bytes:
    """A GIF file of 43 bytes and ``before``."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + b"!\xf9\4\0\0\0\0\0"
    return head + before + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0;"


def bmp_of_runs(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1080, 0, 0, 1078) + head + bytes(1024) + b"\0\1"


def webp_of(width: int, height: int) -> bytes:
    data = saved("WEBP", lossless=True)
    return data[:21] + struct.pack("<I", width - 1 | height - 1 << 14) + data[25:]


def jpeg2000_of(width: int, height: int, **options: object) -> bytes:
    """The header alone tells the size."""
    data = saved("JPEG2000", no_jp2=True, **options)
    return data[:8] + struct.pack(">II8xII", width, height, width, height) + data[32:]


def tiff_of_a_tile(side: int) -> bytes:
    values = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 200, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(values)) + entries).ljust(200, b"\0") + zlib.compress(bytes(64))


def png_with(notes: bytes, mode: str = "RGB") -> bytes:
    data = saved("PNG", PICTURE.convert(mode))
    return data[:33] + notes + data[33:]


def packed(name: bytes) -> bytes:
    """A chunk of a megabyte of zeros and an end that is none."""
    return chunk(name, b"a\0\0" + zlib.compress(bytes(2**26), 9)[:-4] + b"none")


TOO_MUCH = {
    f"GIF of more than {MAXIMUM_PIXELS} pixels": gif(65535, 65535),
    f"PNG of more than {MAXIMUM_PIXELS} pixels": grey_png(11_586),
    f"PPM of more than {MAXIMUM_PIXELS} pixels": b"P6 11586 11586 255\n",
    f"WebP of more than {HEAVY_PIXELS} pixels": webp_of(7072, 7072),
    "PPM of this kind of more than 4194304 pixels": b"P6 2049 2049 127\n",
    "BMP of this kind of more than 4194304 pixels": bmp_of_runs(2049, 2049),
    "PPM with a side of more than 1048576 pixels": b"P5 1048577 1 255\n",
    "PNG whose compressed metadata may become more than 1 GiB": png_with(packed(b"zTXt") * 17),
    "PNG of far too many parts": png_with(chunk(b"tEXt", b"a\0") * MANY, "RGBA"),
    "JPEG of far too many parts": b"\xff\xd8" + b"\xff" * MANY + saved("JPEG")[2:],
    "GIF of far too many parts": gif(8, 8, b"!\xfe" + b"\1a" * MANY + b"\0"),
    "PPM of far too many parts": b"P6 #" + b"a" * MANY + b"\n8 8 255\n" + bytes(192),
    "JPEG 2000 of far too many parts": saved("JPEG2000")[:12] + b"\0\0\0\x08free" * MANY,
    "JPEG 2000 of too many pixels or code-blocks": jpeg2000_of(4000, 4000, codeblock_size=(4, 4)),
    "TIFF's tile of more than 50000000 pixels": tiff_of_a_tile(2**16),
}


@pytest.mark.parametrize("line", TOO_MUCH)
def test_what_asks_for_too_much_is_refused_in_a_line(line: str) -> None:
    with pytest.raises(UnreadableImageError) as told:
        decode(TOO_MUCH[line])
    assert str(told.value) == line


def test_files_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAXIMUM_BYTES", 2**20)
    assert decode(saved("JPEG") + bytes(1000)).shape == (16, 24, 3)
    with pytest.raises(UnreadableImageError, match=r"^larger than 1 MiB$"):
        decode(saved("JPEG") + bytes(2**20))


def test_want_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "_to_rgb", fail)
    with pytest.raises(UnreadableImageError, match=r"^GIF too large for the memory that is left$"):
        decode(saved("GIF"))


def test_a_file_is_read_only_so_much() -> None:
    file = BoundedFile("TIFF", bytes(2**20))
    for _ in range(72):
        file.seek(0)
        file.read()
    file.seek(0)
    with pytest.raises(TooMuchError, match=r"^TIFF of far too many parts$"):
        file.read()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_large_pictures_are_converted_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 24), dtype=np.uint16)
    image = Image.fromarray(levels) if mode == "I;16" else PICTURE.resize((24, 40)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved("TIFF", image, exif=exif)
    expected = decode(data)
    assert expected.shape == (24, 40, 3)
    monkeypatch.setattr(decoding, "_STRIP", 100)
    np.testing.assert_array_equal(decode(data), expected)


def test_the_page_tells_which_formats_have_which_limit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    for limit, told in ((MAXIMUM_PIXELS, f"2^27 ({MAXIMUM_PIXELS // 10**6} million)"), (HEAVY_PIXELS, "50 million")):
        names = ", ".join(sorted(one.name for one in FORMATS if one.maximum_pixels == limit))
        (row,) = re.findall(rf"(?m)^\| {re.escape(told)} pixels \| ((?:[^ ]+(?: 2000)?, )+[^ ]+)[ ;].*\|$", page)
        assert ", ".join(sorted(row.rstrip(";").split(", "))) == names


@pytest.mark.slow
@pytest.mark.parametrize("data", [grey_png(11_585), saved("GIF", Image.new("P", (11_585, 11_585)))], ids=["PNG", "GIF"])
def test_the_largest_pictures_of_the_smallest_files_stay_in_bounds(data: bytes) -> None:
    program = (
        "import pathlib, sys; from aigenbench.data.pictures.decode import decode\n"
        "assert decode(sys.stdin.buffer.read()).shape == (11585, 11585, 3)\n"
        # the peak of this program alone: that of `resource` begins with its parent's
        "print(1024 * int(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert int(done.stdout) < 1.5e9
