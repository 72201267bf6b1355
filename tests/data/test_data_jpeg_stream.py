"""The structure of a JPEG file: what OpenCV may decode, and what Pillow must."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from aigenbench.data.pictures import jpeg_stream
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.jpeg_stream import JpegStream, frame_size, is_plain, read_stream
from aigenbench.data.pictures.limits import TooMuchError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))


def saved(**options: object) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def stream_of(data: bytes) -> JpegStream:
    return read_stream(memoryview(data))


def plain(data: bytes) -> bool:
    return is_plain(memoryview(data), stream_of(data))


def pillows(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))


BASELINE, PROGRESSIVE, RESTARTS = saved(), saved(progressive=True), saved(restart_marker_blocks=2)
SCAN = BASELINE.index(b"\xff\xda")
FRAME = BASELINE[BASELINE.index(b"\xff\xc0") :][:19]


@pytest.mark.parametrize(("data", "scans"), [(BASELINE, 1), (PROGRESSIVE, 10), (RESTARTS, 1), (BASELINE + b"more", 1)])
def test_ordinary_files_are_plain(data: bytes, scans: int) -> None:
    stream = stream_of(data)
    assert plain(data)
    assert stream.scans == scans
    assert stream.header == data.index(b"\xff\xda")
    assert frame_size(memoryview(data), stream) == (56, 40)


ODD = {
    "padding before a marker": BASELINE[:2] + b"\xff" + BASELINE[2:],
    "padding before the end": BASELINE[:-2] + b"\xff" + BASELINE[-2:],
    "junk between segments": BASELINE[:2] + b"\xff\xfe\0\2junk" + BASELINE[2:],
    "an unknown marker in a scan": BASELINE[: SCAN + 90] + b"\xff\x23" + BASELINE[SCAN + 90 :],
    "a frame in a scan": BASELINE[: SCAN + 90] + FRAME + BASELINE[SCAN + 90 :],
    "two frames": BASELINE[:SCAN] + FRAME + BASELINE[SCAN:],
    "a scan twice": BASELINE[:SCAN] + BASELINE[SCAN : SCAN + 14] + BASELINE[SCAN:],
    "a scan before its frame": BASELINE[:2] + BASELINE[SCAN : SCAN + 14] + BASELINE[2:],
    "a restart too many": BASELINE[: SCAN + 90] + b"\xff\xd5" + BASELINE[SCAN + 90 :],
    "restarts out of order": RESTARTS.replace(b"\xff\xd1", b"\xff\xd2", 1),
    "no end": BASELINE[:-2],
    "half an end": BASELINE[:-1],
    "no end, but one that a record holds": BASELINE[:2] + b"\xff\xfe\0\4\xff\xd9" + BASELINE[2:-2],
    "cut in a scan": PROGRESSIVE[:-100],
    "cut in its header": BASELINE[: SCAN + 5],
    "no scan": BASELINE[:SCAN] + b"\xff\xd9",
}


@pytest.mark.parametrize("odd", ODD)
def test_of_an_odd_file_pillow_decides(odd: str) -> None:
    data = ODD[odd]
    assert not plain(data)
    try:
        expected = pillows(data)
    except (OSError, SyntaxError):
        with pytest.raises(UnreadableImageError):
            decode(data)
    else:
        np.testing.assert_array_equal(decode(data), expected)


def test_a_marker_at_the_seam_of_two_searches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stream_of(RESTARTS)
    for size in range(1, 40):
        monkeypatch.setattr(jpeg_stream, "_BLOCK", size)
        assert stream_of(RESTARTS) == whole


def test_segments_and_scans_have_bounds() -> None:
    small = b"\xff\xfe\0\2"
    room = jpeg_stream.MAXIMUM_SEGMENTS - len(stream_of(BASELINE).segments)
    np.testing.assert_array_equal(decode(BASELINE[:2] + small * room + BASELINE[2:]), decode(BASELINE))
    with pytest.raises(TooMuchError):
        stream_of(BASELINE[:2] + small * (room + 1) + BASELINE[2:])
    with pytest.raises(UnreadableImageError, match=r"^JPEG of more than 4096 segments$"):
        decode(BASELINE[:2] + small * 5000 + BASELINE[2:])


def test_many_scans_of_a_large_picture_are_refused() -> None:
    last = PROGRESSIVE.rindex(b"\xff\xda")
    many = PROGRESSIVE[:-2] + PROGRESSIVE[last:-2] * 90 + b"\xff\xd9"
    frame = many.index(b"\xff\xc2")
    large = many[: frame + 5] + b"\x0f\xff\x0f\xff" + many[frame + 9 :]
    assert not plain(large) or stream_of(large).scans == 100
    with pytest.raises(UnreadableImageError, match=r"^JPEG of 4095 x 4095 pixels in 100 scans$"):
        decode(large)
    np.testing.assert_array_equal(decode(many), pillows(many))
