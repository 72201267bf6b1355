from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.augmentations.colour import (
    ADJUSTMENTS,
    colour_jitter,
    exact_factor,
    exact_shift,
    grayscale,
    luma,
)


def some_image(height: int = 61, width: int = 83, seed: int = 0) -> np.ndarray:
    """Random colours, and among them greys, blacks, whites and pixels with equal channels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[: height // 8] = image[: height // 8, :, :1]
    image[height // 8 : height // 4, :, 1] = image[height // 8 : height // 4, :, 0]
    image[height // 4 : height // 3] = rng.choice(np.array([0, 255], np.uint8), image[height // 4 : height // 3].shape)
    return image


def to_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255)


def luma_reference(image: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 with its weights rounded to 15 bits."""
    return np.floor((image @ np.array([9798.0, 19235.0, 3735.0]) + 16384) / 32768)


def hue_reference(image: np.ndarray, shift: float) -> np.ndarray:
    """To HSV and back in float64."""
    red, green, blue = np.moveaxis(image / 255.0, -1, 0)
    value, chroma = (image / 255.0).max(-1), np.ptp(image / 255.0, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sector = np.where(
            value == red,
            (green - blue) / chroma % 6,
            np.where(value == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
        )
    hue = (np.where(chroma == 0, 0, sector) / 6 + shift) % 1
    channels = []
    for offset in (5, 3, 1):
        k = (offset + hue * 6) % 6
        channels.append(value - chroma * np.clip(np.minimum(k, 4 - k), 0, 1))
    return to_levels(np.stack(channels, -1) * 255)


def step_reference(image: np.ndarray, name: str, amount: float) -> np.ndarray:
    image = image.astype(np.float64)
    if name == "brightness":
        return to_levels(image * amount)
    if name == "contrast":
        return to_levels(image * amount + (1 - amount) * luma_reference(image).mean())
    if name == "saturation":
        return to_levels(image * amount + (1 - amount) * luma_reference(image)[..., None])
    return hue_reference(image, amount)


def adjust(image: np.ndarray, name: str, amount: float) -> np.ndarray:
    return colour_jitter(image, **{name: amount}, order=[name])


def off(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(result.astype(float) - expected).max())


def test_luma_of_every_colour():
    levels = np.arange(256, dtype=np.uint8)
    red, green = np.meshgrid(levels, levels, indexing="ij")
    for blue in range(0, 256, 17):
        image = np.stack([red, green, np.full_like(red, blue)], -1)
        np.testing.assert_array_equal(luma(image), luma_reference(image))
        assert np.abs(luma(image) - (0.299 * red + 0.587 * green + 0.114 * blue)).max() < 0.52


def test_grayscale_has_three_equal_channels():
    grey = grayscale(some_image())
    assert grey.shape == (61, 83, 3)
    assert (grey == luma(some_image())[..., None]).all()
    assert grey.flags.c_contiguous


@pytest.mark.parametrize("factor", [0.6, 0.83, 1.0, 1.4])
def test_brightness_and_contrast(factor):
    image = some_image()
    assert off(adjust(image, "brightness", factor), step_reference(image, "brightness", factor)) == 0
    assert off(adjust(image, "contrast", factor), step_reference(image, "contrast", factor)) <= 1


@pytest.mark.parametrize("factor", [0.6, 0.83, 1.0, 1.4])
def test_saturation(factor):
    image = some_image()
    assert off(adjust(image, "saturation", factor), step_reference(image, "saturation", factor)) <= 1


@given(shift=st.floats(-1 / 6, 1 / 6), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_hue_is_the_rounded_float_result(shift, seed):
    image = some_image(seed=seed)
    assert off(adjust(image, "hue", shift), hue_reference(image, shift)) <= 1


@given(amount=st.floats(0.6, 1.4), shift=st.floats(-0.1, 0.1))
@settings(deadline=None, max_examples=30)
def test_exact_amounts_are_exact(amount, shift):
    image = some_image()
    assert 0 <= exact_factor(amount) - amount + 1 / 4096 <= 1 / 2048
    assert abs(exact_shift(shift) - shift) <= 1 / 4096 / 6
    for name in ("brightness", "saturation"):
        exact = exact_factor(amount)
        assert off(adjust(image, name, exact), step_reference(image, name, exact)) == 0
    assert off(adjust(image, "hue", exact_shift(shift)), hue_reference(image, exact_shift(shift))) == 0


def test_images_of_several_tiles():
    image = some_image(300, 701)
    expected = step_reference(step_reference(image, "saturation", 1.25), "hue", exact_shift(-0.07))
    result = colour_jitter(image, saturation=1.25, hue=exact_shift(-0.07), order=["saturation", "hue"])
    assert np.mean(result != expected) < 1e-4
    assert off(adjust(image, "contrast", 1.3), step_reference(image, "contrast", 1.3)) == 0


def test_hue_keeps_value_and_chroma_to_a_level():
    image = some_image()
    shifted = adjust(image, "hue", 0.07)
    np.testing.assert_array_equal(shifted.max(-1), image.max(-1))
    np.testing.assert_array_equal(shifted.min(-1), image.min(-1))


def test_no_change_at_neutral_amounts():
    image = some_image()
    np.testing.assert_array_equal(colour_jitter(image, 1.0, 1.0, 1.0, 0.0), image)


@pytest.mark.parametrize("order", list(itertools.permutations(ADJUSTMENTS)))
def test_every_order_is_the_chain_of_its_steps(order):
    rng = np.random.default_rng([ADJUSTMENTS.index(name) for name in order])
    for _ in range(3):
        image = some_image(seed=int(rng.integers(100)))
        amounts = {name: exact_factor(rng.uniform(0.6, 1.4)) for name in ADJUSTMENTS}
        amounts["hue"] = exact_shift(rng.uniform(-0.1, 0.1))
        expected = image
        for name in order:
            expected = step_reference(expected, name, amounts[name])
        result = colour_jitter(image, **amounts, order=order)
        # contrast's offset is no exact amount, so that of a million levels one may lie next to a half
        assert off(result, expected) <= 1
        assert np.mean(result != expected) < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (1, 40000), (40000, 1), (130, 129)])
def test_any_shape(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = image.copy()
    result = colour_jitter(image, 1.2, 0.7, 1.3, 0.05)
    assert result.shape == image.shape
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


def test_each_step_is_torchvisions():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = some_image()
    tensor = torch.from_numpy(image).permute(2, 0, 1).double() / 255
    for name in ADJUSTMENTS:
        for amount in (-0.1, 0.03) if name == "hue" else (0.6, 1.4):
            theirs = getattr(functional, f"adjust_{name}")(tensor, amount)
            expected = to_levels(theirs.permute(1, 2, 0).numpy() * 255)
            assert off(adjust(image, name, amount), expected) <= 1, name
