from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from aigenbench.augmentations.resampling import INTERPOLATIONS, resize

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


@given(
    inside=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    interpolation=st.sampled_from(INTERPOLATIONS),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=150)
def test_is_pillows_within_one_level(inside, size, interpolation, seed):
    image = extremes(*inside, seed)
    result = resize(image, size, interpolation)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.abs(result.astype(int) - pillows(image, size, interpolation)).max() <= 1


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("inside", [(675, 901), (224, 1080), (100, 700), (150, 90)])
def test_usual_sizes(inside, interpolation):
    image = extremes(*inside)
    off = np.abs(resize(image, (224, 224), interpolation).astype(int) - pillows(image, (224, 224), interpolation))
    assert off.max() <= 1
    assert off.mean() < 0.3


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
