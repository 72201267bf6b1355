from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import JpegImagePlugin

from aigenbench.augmentations import jpeg
from aigenbench.augmentations.jpeg import CODECS, jpeg_round_trip
from aigenbench.errors import InputError

YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
LUMA_TABLE = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]


def grey_reference(grey: np.ndarray, quality: int) -> np.ndarray:
    """The JPEG round trip of a grey image whose sides are multiples of 8, in float64: DCT, quantisation, inverse."""
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = np.clip((np.array(LUMA_TABLE) * factor + 50) // 100, 1, 255)
    k = np.arange(8)
    basis = np.sqrt(np.where(k == 0, 1, 2) / 8)[:, None] * np.cos((2 * k[None] + 1) * k[:, None] * np.pi / 16)
    blocks = grey.reshape(grey.shape[0] // 8, 8, -1, 8).transpose(0, 2, 1, 3) - 128.0
    coefficients = np.rint(basis @ blocks @ basis.T / table) * table
    levels = basis.T @ coefficients @ basis + 128
    return np.clip(np.rint(levels.transpose(0, 2, 1, 3).reshape(grey.shape)), 0, 255)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quality", [30, 50, 77, 100])
def test_grey_images_are_quantised_by_the_standard_table(codec, quality):
    grey = smooth(64, 96)[..., 0]
    image = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    result = jpeg_round_trip(image, quality, codec).astype(int)
    expected = grey_reference(grey, quality)
    off = np.abs(result - expected[..., None])
    # a coefficient that lies on the edge between two steps may fall to the other side in integer arithmetic
    assert np.mean(off > 1) < 0.06
    assert off.mean() < 0.2  # at a quality 3 away it is 0.4 to 2.4


@pytest.mark.parametrize("codec", CODECS)
def test_chroma_is_halved_both_ways(codec):
    columns = np.zeros((32, 32, 3), np.uint8)
    columns[:, ::2] = (255, 0, 0)
    columns[:, 1::2] = (0, 0, 255)
    for image in (columns, np.ascontiguousarray(columns.transpose(1, 0, 2))):
        chroma = jpeg_round_trip(image, 100, codec)[8:-8, 8:-8] @ YCC[1:].T
        assert np.ptp(chroma.reshape(-1, 2), axis=0).max() < 25  # it was 170 and more


@pytest.mark.parametrize("codec", CODECS)
def test_files_are_baseline(codec, monkeypatch):
    files = []
    written = PillowImage.Image.save

    def save(image, to, *args, **kwargs):
        written(image, to, *args, **kwargs)
        files.append(to.getvalue())

    encode = cv2.imencode

    def imencode(*args):
        ok, encoded = encode(*args)
        files.append(encoded.tobytes())
        return ok, encoded

    monkeypatch.setattr(PillowImage.Image, "save", save)
    monkeypatch.setattr(cv2, "imencode", imencode)
    jpeg_round_trip(smooth(40, 50), 75, codec)
    assert b"\xff\xc0" in files[0]
    assert b"\xff\xc2" not in files[0]
    opened = PillowImage.open(io.BytesIO(files[0]))
    assert not opened.info.get("progressive")
    assert JpegImagePlugin.get_sampling(opened) == 2


def test_codecs_agree_within_rounding():
    image = smooth(75, 61)
    for quality in (30, 50, 80, 100):
        pair = [jpeg_round_trip(image, quality, codec).astype(int) for codec in CODECS]
        assert np.abs(pair[0] - pair[1]).max() <= 2


@pytest.mark.parametrize("shape", [(64, 96), (75, 61), (1, 5), (17, 16)])
@pytest.mark.parametrize("quality", [30, 50, 93, 100])
def test_pillows_round_trip_is_pillows(shape, quality):
    image = smooth(*shape, quality)
    encoded = io.BytesIO()
    PillowImage.fromarray(image).save(encoded, "JPEG", quality=quality, subsampling="4:2:0")
    with PillowImage.open(encoded) as decoded:
        np.testing.assert_array_equal(jpeg_round_trip(image, quality, "pillow"), np.asarray(decoded))


@pytest.mark.parametrize("codec", CODECS)
def test_channels_stay_in_their_order(codec):
    image = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    assert np.abs(jpeg_round_trip(image, 100, codec).astype(int) - image).max() <= 2


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (9, 2)])
def test_any_size(codec, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = jpeg_round_trip(image, 50, codec)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


@pytest.mark.parametrize("codec", CODECS)
def test_a_side_beyond_the_format_is_told(codec):
    with pytest.raises(InputError, match="65500"):
        jpeg_round_trip(np.zeros((1, jpeg.LONGEST_SIDE + 1, 3), np.uint8), 50, codec)


@pytest.mark.filterwarnings("error")
def test_pillow_takes_pictures_it_would_warn_of(monkeypatch):
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
    assert jpeg_round_trip(smooth(40, 50), 75, "pillow").shape == (40, 50, 3)
