from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from aigenbench.augmentations import resampling
from aigenbench.augmentations.resampling import INTERPOLATIONS, _column_bands, _row_bands, resize

PILLOW = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}


def pillows(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    resized = PillowImage.fromarray(image).resize((size[1], size[0]), PILLOW[interpolation])
    return np.asarray(resized)


def extremes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Uniform noise in one half, noise of black and white, the hardest to resample, in the other."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hard = rng.choice(np.array([0, 255], np.uint8), image.shape)
    return np.where(np.arange(width)[None, :, None] < width / 2, image, hard)


def matrix(inputs: int, outputs: int) -> np.ndarray:
    scale = inputs / outputs
    away = np.abs(np.arange(inputs) + 0.5 - (np.arange(outputs)[:, None] + 0.5) * scale) / max(scale, 1)
    weights = np.clip(1 - away, 0, None)
    return weights / weights.sum(1, keepdims=True)


def reference(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear in float64, not rounded."""
    rows, columns = matrix(image.shape[0], size[0]), matrix(image.shape[1], size[1])
    return np.einsum("oh,hwc,pw->opc", rows, image.astype(np.float64), columns, optimize=True)


@given(
    inside=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    interpolation=st.sampled_from(INTERPOLATIONS),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=200)
def test_is_pillows_within_one_level(inside, size, interpolation, seed):
    image = extremes(*inside, seed)
    result = resize(image, size, interpolation)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.abs(result.astype(int) - pillows(image, size, interpolation)).max() <= 1


@pytest.mark.parametrize("inside", [(675, 901), (224, 1080), (100, 700), (150, 90), (225, 224), (1024, 1024)])
def test_bilinear_is_the_rounded_float_result(inside):
    image = extremes(*inside)
    result = resize(image, (224, 224))
    assert np.abs(result - reference(image, (224, 224))).max() < 0.8
    assert np.abs(result - reference(image, (224, 224))).mean() < 0.27  # 0.25 would be rounding alone
    assert np.abs(result.astype(int) - pillows(image, (224, 224), "bilinear")).max() <= 1


@pytest.mark.parametrize("inputs", [1, 60, 301, 3000, 3583])
def test_sums_are_exact_in_float32(inputs):
    # then neither their order nor the processor matters
    _, rows = _row_bands(inputs, 224)
    _, columns = _column_bands(inputs, 224)
    for weights, axis, most, unit in ((rows, 2, 255, 2.0**-14), (columns, 1, 4 * 255, 2.0**-16)):
        units = weights.astype(np.float64) / unit
        np.testing.assert_array_equal(units, np.rint(units))
        np.testing.assert_array_equal(units.sum(axis), units.sum(axis).flat[0])
        assert units.min() >= 0
        assert units.sum(axis).max() * most <= 2**24


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_constant_images_stay_constant(interpolation):
    for level in (0, 1, 127, 254, 255):
        image = np.full((77, 130, 3), level, np.uint8)
        assert (resize(image, (31, 200), interpolation) == level).all()


def test_shrinking_averages():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, (64, 64))
    assert 120 <= small.min() <= small.max() <= 135  # without antialiasing some columns come out black or white


def test_the_same_size_is_the_same_image():
    image = extremes(20, 30)
    assert resize(image, (20, 30)) is image


def test_a_hundred_megapixels():
    image = np.full((10000, 10000, 3), 77, np.uint8)
    assert (resize(image, (224, 224)) == 77).all()


def test_beyond_the_limits_pillow_is_asked(monkeypatch):
    image = extremes(400, 30)
    np.testing.assert_array_equal(resize(image, (20, 20)), pillows(image, (20, 20), "bilinear"))
    monkeypatch.setattr(resampling, "_MOST_VALUES", 100)
    np.testing.assert_array_equal(resize(image, (300, 20)), pillows(image, (300, 20), "bilinear"))
