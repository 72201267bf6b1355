from __future__ import annotations

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from aigenbench.augmentations import operations, resampling
from aigenbench.augmentations.geometry import Box
from aigenbench.augmentations.resampling import (
    INTERPOLATIONS,
    _weights,
    _with_numpy,
    _with_torch,
    resize,
    resize_for_model,
)

PILLOW = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}
USUAL = [(675, 901), (256, 256), (512, 512), (480, 640), (225, 224), (300, 1080), (1024, 1024), (1080, 1080)]


def pillows(image: np.ndarray, size: tuple[int, int], interpolation: str = "bilinear") -> np.ndarray:
    return np.asarray(PillowImage.fromarray(image).resize(size[::-1], PILLOW[interpolation]))


def extremes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Uniform noise in one half, noise of black and white, the hardest to resample, in the other."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hard = rng.choice(np.array([0, 255], np.uint8), image.shape)
    return np.where(np.arange(width)[None, :, None] < width / 2, image, hard)


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth areas, edges and grain: what pictures are made of."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    areas = rng.uniform(0, 255, (5, 5, 3))[5 * y // height, 5 * x // width]
    shade = np.sin(x / (3 + seed) + y / 17)[..., None] * 30
    return np.clip(areas + shade + rng.normal(0, 4, areas.shape), 0, 255).astype(np.uint8)


def reference(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Both axes by the triangle filter in float64, not rounded."""
    matrices = []
    for inputs, outputs in zip(image.shape[:2], size, strict=True):
        scale = inputs / outputs
        away = np.arange(inputs) + 0.5 - (np.arange(outputs)[:, None] + 0.5) * scale
        weights = np.clip(1 - np.abs(away / max(scale, 1)), 0, None)
        matrices.append(weights / weights.sum(1, keepdims=True))
    return np.einsum("oh,hwc,pw->opc", matrices[0], image.astype(np.float64), matrices[1], optimize=True)


SIZES = st.tuples(st.integers(1, 130), st.integers(1, 130))
PICTURES = st.sampled_from([extremes, photograph])


@given(
    make=PICTURES, inside=SIZES, size=SIZES, interpolation=st.sampled_from(INTERPOLATIONS), seed=st.integers(0, 9)
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_a_recipes_pixels_are_pillows(make, inside, size, interpolation, seed):
    image = make(*inside, seed)
    result = resize(image, size, interpolation)
    np.testing.assert_array_equal(result, pillows(image, size, interpolation))
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_resized_crop_is_pillows_crop_then_resize(interpolation):
    image = photograph(300, 401)
    crop = operations.ResizedCrop(Box(20, 31, 200, 190), 256, interpolation)
    cropped = PillowImage.fromarray(image).crop((31, 20, 31 + 190, 20 + 200))
    np.testing.assert_array_equal(crop(image), cropped.resize((256, 256), PILLOW[interpolation]))


@given(inside=SIZES, size=SIZES, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=200)
def test_for_the_model_near_pillows_and_the_float_result(inside, size, seed):
    image = extremes(*inside, seed)
    result = resize_for_model(image, size)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    shrinks = inside[0] >= size[0] and inside[1] >= size[1]
    assert np.abs(result.astype(int) - pillows(image, size)).max() <= (1 if shrinks else 2)
    # two roundings of half a level each
    assert np.abs(result - reference(image, size)).max() < 1.01


@pytest.mark.parametrize("make", [extremes, photograph])
@pytest.mark.parametrize("inside", USUAL)
def test_for_the_model_usual_sizes_are_pillows_nearly_everywhere(inside, make):
    image = make(*inside)
    assert np.mean(resize_for_model(image, (224, 224)) != pillows(image, (224, 224))) < 0.01


@pytest.mark.parametrize("inside", [(100, 90), (200, 200), (128, 128), (223, 224)])
def test_for_the_model_what_grows_is_pillows_mostly(inside):
    image = photograph(*inside)
    assert np.mean(resize_for_model(image, (224, 224)) != pillows(image, (224, 224))) < 0.1


@given(inside=st.tuples(st.integers(1, 600), st.integers(1, 600)), size=SIZES, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_numpy_gives_the_kernels_bits(inside, size, seed):
    torch = pytest.importorskip("torch")
    image = extremes(*inside, seed)
    np.testing.assert_array_equal(_with_numpy(image, size), _with_torch(torch, image, size))


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_the_kernel_gives_the_same_bits_on_any_processor(capability):
    pytest.importorskip("torch")
    code = f"""
import os, zlib
os.environ["ATEN_CPU_CAPABILITY"] = "{capability}"
import numpy as np, torch
from aigenbench.augmentations.resampling import _with_torch
image = np.random.default_rng(5).integers(0, 256, (301, 407, 3), dtype=np.uint8)
print(zlib.crc32(_with_torch(torch, image, (224, 199))))
"""
    image = np.random.default_rng(5).integers(0, 256, (301, 407, 3), dtype=np.uint8)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(zlib.crc32(_with_numpy(image, (224, 199))))]


@pytest.mark.parametrize("inputs", [1, 5, 225, 1024, 3583, 10000])
def test_weights_are_whole_numbers_of_16_bits(inputs):
    weights, bits = _weights(inputs, 224)
    np.testing.assert_array_equal(weights, np.rint(weights))
    assert weights.min() >= 0
    assert weights.max() < 2**15
    assert np.abs(weights.sum(1) / 2**bits - 1).max() < 1 / 1024  # less than half a level of 255


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_constant_images_stay_constant(level):
    for inside in ((77, 230), (1079, 300), (3000, 230)):
        image = np.full((*inside, 3), level, np.uint8)
        for result in (resize_for_model(image, (61, 224)), _with_numpy(image, (61, 224))):
            assert (result == level).all()


def test_the_same_size_is_the_same_image():
    image = extremes(20, 30)
    assert resize(image, (20, 30), "lanczos") is image
    assert resize_for_model(image, (20, 30)) is image


def test_torch_is_not_loaded_for_it():
    code = """
import sys, zlib
import numpy as np
from aigenbench.augmentations.resampling import resize_for_model
image = np.arange(90 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 70, 3)
print(zlib.crc32(resize_for_model(image, (40, 31))), "torch" in sys.modules)
"""
    image = np.arange(90 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 70, 3)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == [str(zlib.crc32(_with_numpy(image, (40, 31)))), "False"]


def test_the_kernel_is_used_where_torch_is_loaded(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(resampling, "_with_torch", lambda torch, image, size: "kernel")
    assert resize_for_model(extremes(30, 30), (20, 20)) == "kernel"
