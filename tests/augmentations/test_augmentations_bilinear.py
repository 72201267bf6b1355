from __future__ import annotations

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from aigenbench.augmentations import bilinear
from aigenbench.augmentations.bilinear import _row_bands, _weights, _with_matrices, _with_torch, shrink_bilinear
from aigenbench.augmentations.resampling import resize

USUAL = [(675, 901), (256, 256), (512, 512), (480, 640), (225, 224), (300, 1080), (1024, 1024), (1080, 1080)]


def extremes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Uniform noise in one half, noise of black and white, the hardest to resample, in the other."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hard = rng.choice(np.array([0, 255], np.uint8), image.shape)
    return np.where(np.arange(width)[None, :, None] < width / 2, image, hard)


def pillows(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(PillowImage.fromarray(image).resize(size[::-1], PillowImage.Resampling.BILINEAR))


def matrix(inputs: int, outputs: int) -> np.ndarray:
    scale = inputs / outputs
    away = np.arange(inputs) + 0.5 - (np.arange(outputs)[:, None] + 0.5) * scale
    weights = np.clip(1 - np.abs(away / max(scale, 1)), 0, None)
    return weights / weights.sum(1, keepdims=True)


def reference(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Both axes in float64, not rounded."""
    rows, columns = (matrix(a, b) for a, b in zip(image.shape[:2], size, strict=True))
    return np.einsum("oh,hwc,pw->opc", rows, image.astype(np.float64), columns, optimize=True)


SIZES = st.tuples(st.integers(1, 130), st.integers(1, 130))


@given(inside=SIZES, size=SIZES, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=200)
def test_a_level_from_the_float_result_at_most(inside, size, seed):
    image = extremes(*inside, seed)
    result = shrink_bilinear(image, size)
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    # two roundings of half a level each
    assert np.abs(result - reference(image, size)).max() < 1.01


@pytest.mark.parametrize("inside", USUAL)
def test_usual_sizes_are_pillows(inside):
    image = extremes(*inside)
    result = resize(image, (224, 224))
    off = np.abs(result.astype(int) - pillows(image, (224, 224)))
    assert off.max() <= 1
    assert np.mean(off > 0) < 0.01
    assert np.abs(result - reference(image, (224, 224))).mean() < 0.3  # 0.25 would be one rounding alone


@given(
    inside=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    size=st.one_of(st.just((224, 224)), SIZES), seed=st.integers(0, 9),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_matrix_products_give_the_kernels_bits(inside, size, seed):
    torch = pytest.importorskip("torch")
    image = extremes(*inside, seed)
    np.testing.assert_array_equal(_with_matrices(image, size), _with_torch(torch, image, size))


@pytest.mark.parametrize("inputs", [1, 5, 225, 1024, 3583])
def test_weights_are_whole_numbers_of_16_bits(inputs):
    weights, bits = _weights(inputs, 224)
    np.testing.assert_array_equal(weights, np.rint(weights))
    assert weights.min() >= 0
    assert weights.max() < 2**15
    assert np.abs(weights.sum(1) / 2**bits - 1).max() < 1 / 1024  # less than half a level of 255
    np.testing.assert_allclose(weights / 2**bits, matrix(inputs, 224), atol=1.01 / 2 ** (bits + 1))
    exact = 2**24 if _row_bands(inputs, 224)[1].dtype == np.float32 else 2**53
    assert 255 * weights.sum(1).max() <= exact


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX512"])
def test_the_kernel_is_used_where_it_is_vectorised(monkeypatch, capability):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    used = []
    monkeypatch.setattr(bilinear, "_with_torch", lambda torch, image, size: used.append("kernel"))
    monkeypatch.setattr(bilinear, "_with_matrices", lambda image, size: used.append("matrices"))
    shrink_bilinear(extremes(30, 30), (20, 20))
    assert used == ["kernel" if capability == "AVX512" else "matrices"]


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_constant_images_stay_constant(level):
    for inside in ((77, 130), (1079, 300), (3000, 230)):
        assert (shrink_bilinear(np.full((*inside, 3), level, np.uint8), (61, 224)) == level).all()


def test_torch_is_not_loaded_for_it():
    code = """
import sys, zlib
import numpy as np
from aigenbench.augmentations.resampling import resize
image = np.arange(90 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 70, 3)
print(zlib.crc32(resize(image, (40, 31))), "torch" in sys.modules)
"""
    image = np.arange(90 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(90, 70, 3)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == [str(zlib.crc32(_with_matrices(image, (40, 31)))), "False"]
