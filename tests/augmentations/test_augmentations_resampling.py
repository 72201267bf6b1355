from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from aigenbench.augmentations import resampling
from aigenbench.augmentations.resampling import (
    _FILTERS,
    _FRACTION_BITS,
    INTERPOLATIONS,
    _column_bands,
    _row_bands,
    resize,
)

FLOATS = tuple(_FILTERS)
"""The interpolations that matrix products of floats do; test_augmentations_bilinear.py has the other."""

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


def kernel(interpolation: str, x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    if interpolation == "bilinear":
        return np.clip(1 - x, 0, None)
    if interpolation == "bicubic":
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x < 1, near, np.where(x < 2, far, 0))
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


def matrix(interpolation: str, inputs: int, outputs: int) -> np.ndarray:
    scale = inputs / outputs
    away = np.arange(inputs) + 0.5 - (np.arange(outputs)[:, None] + 0.5) * scale
    weights = kernel(interpolation, away / max(scale, 1))
    return weights / weights.sum(1, keepdims=True)


def reference(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Both axes in float64, clipped, not rounded."""
    rows, columns = (matrix(interpolation, a, b) for a, b in zip(image.shape[:2], size, strict=True))
    return np.clip(np.einsum("oh,hwc,pw->opc", rows, image.astype(np.float64), columns, optimize=True), 0, 255)


INSIDE = st.tuples(st.integers(1, 120), st.integers(1, 120))
SIZES = st.tuples(st.integers(8, 90), st.integers(8, 90))


@given(inside=INSIDE, size=SIZES, interpolation=st.sampled_from(FLOATS), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=150)
def test_is_the_rounded_float_result(inside, size, interpolation, seed):
    image = extremes(*inside, seed)
    result = resize(image, size, interpolation)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.abs(result - reference(image, size, interpolation)).max() < 1


@given(inside=INSIDE, size=st.tuples(st.integers(1, 90), st.integers(1, 90)), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=150)
def test_bilinear_is_pillows_within_one_level(inside, size, seed):
    image = extremes(*inside, seed)
    assert np.abs(resize(image, size).astype(int) - pillows(image, size, "bilinear")).max() <= 1


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos"])
@pytest.mark.parametrize("inside", [(300, 401), (350, 290), (600, 580)])
def test_without_overshooting_every_filter_is_pillows(inside, interpolation):
    image = extremes(*inside) // 4 + 96
    for size in ((256, 256), (412, 412)):
        off = np.abs(resize(image, size, interpolation).astype(int) - pillows(image, size, interpolation))
        assert off.max() <= 2  # Pillow rounds twice, with weights of both signs
        assert np.mean(off > 1) < 1e-5


@pytest.mark.parametrize("interpolation", FLOATS)
@pytest.mark.parametrize("inside", [(675, 901), (224, 1080), (100, 700), (150, 90), (225, 224), (1024, 1024)])
def test_usual_sizes(inside, interpolation):
    image = extremes(*inside)
    off = np.abs(resize(image, (224, 224), interpolation) - reference(image, (224, 224), interpolation))
    assert off.max() < (0.75 if min(inside) > 224 else 1)
    assert off.mean() < 0.27  # 0.25 would be rounding alone


@pytest.mark.parametrize("interpolation", FLOATS)
@pytest.mark.parametrize("inputs", [1, 2, 5, 60, 301, 3000, 3583])
def test_sums_are_exact_in_float32(inputs, interpolation):
    # then neither their order nor the processor matters
    kind = _FILTERS[interpolation]
    _, rows = _row_bands(inputs, 224, interpolation)
    _, columns = _column_bands(inputs, 224, interpolation)
    fraction = 2.0**_FRACTION_BITS
    overshoot = np.abs(rows).sum(2).max() / fraction
    for weights, axis, most, unit in (
        (rows, 2, 128, fraction / 2**kind.rows_bits),
        (columns, 1, 128 * overshoot * fraction, 1 / fraction / 2**kind.columns_bits),
    ):
        units = weights.astype(np.float64) / unit
        np.testing.assert_array_equal(units, np.rint(units))
        np.testing.assert_array_equal(units.sum(axis), units.sum(axis).flat[0])
        assert np.abs(units).sum(axis).max() * most <= 2**24


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
