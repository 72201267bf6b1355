from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.headers import plain_orientation
from aigenbench.data.pictures.limits import MAXIMUM_PIXELS

XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def picture(height: int = 41, width: int = 58, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pillows(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def plain(data: bytes) -> bool:
    return plain_orientation(memoryview(data)) is not None


def with_chunk(png: bytes, name: bytes, body: bytes, before: bytes = b"IDAT") -> bytes:
    at = png.index(before) - 4
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:at] + chunk + png[at:]


KINDS = [
    ("PNG", {}),
    ("PNG", {"compress_level": 0}),
    ("PNG", {"icc_profile": b"not a profile"}),
    ("WEBP", {"quality": 40}),
    ("WEBP", {"quality": 95, "method": 0}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"icc_profile": b"not a profile"}),
    ("JPEG", {"quality": 60}),
    ("JPEG", {"quality": 100, "subsampling": 0}),
]


@given(
    kind=st.sampled_from(KINDS),
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    mode=st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr"]),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=250)
def test_pixels_are_pillows(kind, size, mode, seed):
    try:
        data = saved(picture(*size, seed).convert(mode), kind[0], **kind[1])
    except (OSError, KeyError):  # the format does not know the mode
        return
    np.testing.assert_array_equal(decode(data), pillows(data))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_ordinary_files_are_plain(kind, options):
    assert plain(saved(picture(), kind, **options))


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("name", ["gAMA", "sRGB", "cHRM", "pHYs", "bKGD", "sBIT"])
def test_notes_beside_the_pixels_change_nothing(interlace, name):
    bodies = {
        "gAMA": struct.pack(">I", 100000),
        "sRGB": b"\x00",
        "cHRM": struct.pack(">8I", *range(30000, 30008)),
        "pHYs": struct.pack(">IIB", 2835, 2835, 1),
        "bKGD": struct.pack(">3H", 1, 2, 3),
        "sBIT": b"\x05\x05\x05",
    }
    data = saved(picture(), "PNG") if not interlace else interlaced()
    data = with_chunk(data, name.encode(), bodies[name])
    assert plain(data)
    np.testing.assert_array_equal(decode(data), pillows(data))


def interlaced() -> bytes:
    """An 8 x 8 picture in the seven passes of Adam7, unfiltered."""
    levels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, along in passes for row in levels[top::down, left::along]
    )
    empty = saved(Image.new("RGB", (8, 8)), "PNG")
    start = empty[: empty.index(b"IDAT") - 4]
    header = start[:28] + b"\x01"
    start = header + struct.pack(">I", zlib.crc32(header[12:])) + start[33:]
    end = empty[empty.index(b"IEND") - 4 :]
    return with_chunk(start + end, b"IDAT", zlib.compress(rows), b"IEND")


def text(**notes: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, value in notes.items():
        info.add_text(key, value)
    return info


def test_texts():
    assert plain(saved(picture(), "PNG", pnginfo=text(parameters="a cat, steps: 20")))
    info = PngImagePlugin.PngInfo()
    info.add(b"tEXt", b"Raw profile type exif\0\nexif\n 8\n00")
    assert not plain(saved(picture(), "PNG", pnginfo=info))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    data = saved(picture(), "PNG", pnginfo=info)
    assert not plain(data)
    assert decode(data).shape == (58, 41, 3)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_orientation_in_xmp(kind):
    data = saved(picture(), kind, xmp=XMP)
    assert not plain(data)
    assert decode(data).shape == (58, 41, 3)


def test_what_opencv_would_see_otherwise_is_not_plain():
    image = picture()
    transparent = image.convert("RGBA")
    transparent.putalpha(100)
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    assert not plain(saved(transparent, "PNG"))
    assert not plain(saved(transparent, "WEBP"))
    assert not plain(saved(transparent, "WEBP", lossless=True, exact=True))
    assert not plain(saved(image, "PNG", **frames))
    assert not plain(saved(image, "WEBP", **frames))
    assert not plain(saved(image, "PNG", exif=exif))
    assert not plain(saved(image, "WEBP", exif=exif))
    assert not plain(saved(image, "PNG", transparency=(1, 2, 3)))
    assert not plain(saved(image.convert("CMYK"), "JPEG"))


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width: int, height: int, features: int = 0) -> bytes:
    sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"VP8X" + struct.pack("<II", 10, features) + sizes


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_is_plain_where_all_of_it_is_known(lossless):
    whole = saved(picture(), "WEBP", lossless=lossless)
    frame = whole[12:]
    others = {
        "behind the end": whole + b"more",
        "two frames": riff(frame, frame),
        "in a larger canvas": riff(canvas(60, 60), frame),
        "two canvases": riff(canvas(58, 41), canvas(58, 41), frame),
        "an unknown chunk": riff(frame, b"what\0\0\0\0"),
        "cut": riff(frame[:-20]),
        "cut, and more behind the end": riff(frame[:4] + struct.pack("<I", len(frame) - 28) + frame[8:-20]) + bytes(50),
    }
    assert plain(riff(canvas(58, 41), frame))
    for data in (whole, riff(canvas(58, 41), frame), *others.values()):
        try:
            expected = pillows(data)
        except OSError:
            with pytest.raises(UnreadableImageError):
                decode(data)
        else:
            np.testing.assert_array_equal(decode(data), expected)
    assert not [name for name, data in others.items() if plain(data)]


@pytest.mark.parametrize("width", [2**13 + 1, 2**14 + 1, 2**17])
def test_too_many_pixels_are_no_damage(width):
    # the header alone: all beyond our limit, the last beyond Pillow's too
    data = bytearray(saved(picture(), "PNG"))
    data[16:24] = struct.pack(">II", width, 2**14)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(UnreadableImageError, match=f"^PNG of more than {MAXIMUM_PIXELS} pixels$"):
        decode(bytes(data))


@given(
    kind=st.sampled_from(KINDS[:7]), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=3),
    end=st.floats(0, 1),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_damage_is_told_as_pillow_tells_it(kind, flips, end):
    data = bytearray(saved(picture(), kind[0], **kind[1]))
    for place, bits in flips:
        data[int(place * (len(data) - 1))] ^= bits
    if not flips:
        data = data[: int(end * len(data))]
    results = []
    for with_opencv in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not with_opencv:
                patch.setattr("aigenbench.data.pictures.decode.plain_orientation", lambda view: None)
            try:
                results.append(decode(bytes(data)).tolist())
            except UnreadableImageError as error:
                results.append(str(error))
    assert results[0] == results[1]


def test_errors_of_opencv_are_left_to_pillow(monkeypatch):
    data = saved(picture(), "PNG")

    def refuse(*_: object) -> None:
        raise cv2.error("too large")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    np.testing.assert_array_equal(decode(data), pillows(data))
