from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from aigenbench.augmentations import operations
from aigenbench.augmentations.colour import in_three_channels
from aigenbench.augmentations.geometry import Box
from aigenbench.augmentations.jpeg import CODECS
from aigenbench.augmentations.operations import gaussian_blur


def hard_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (height, width, 3))


@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)), sigma=st.floats(1e-3, 3), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_blur_is_the_gaussian_filter(size, sigma, seed):
    image = hard_image(*size, seed)
    radius = int(np.ceil(3 * sigma))
    expected = image.astype(np.float64)
    for axis in (0, 1):
        expected = ndimage.gaussian_filter1d(expected, sigma, axis=axis, mode="mirror", radius=radius)
    assert np.abs(gaussian_blur(image, sigma) - expected).max() <= 0.51


def test_blur_reaches_three_sigma():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    for sigma in (1.0, 2.5):
        full = ndimage.gaussian_filter(image[..., 0].astype(float), sigma, mode="mirror", truncate=8)
        assert np.abs(gaussian_blur(image, sigma)[..., 0] - full).max() <= 1


def test_no_blur():
    image = hard_image(9, 9)
    for sigma in (0.0, 5e-324, 1e-9, 0.1, 0.2):
        np.testing.assert_array_equal(gaussian_blur(image, sigma), image)


def test_hole_leaves_the_input_alone():
    image = hard_image(10, 12)
    before = image.copy()
    holed = operations.Hole(Box(2, 3, 4, 5), 128)(image)
    np.testing.assert_array_equal(image, before)
    inside = np.zeros((10, 12), bool)
    inside[2:6, 3:8] = True
    assert (holed[inside] == 128).all()
    np.testing.assert_array_equal(holed[~inside], image[~inside])


def every_operation(size: tuple[int, int]) -> list[operations.Operation]:
    box = Box(size[0] // 3, size[1] // 3, size[0] - size[0] // 3, size[1] - size[1] // 3)
    return [
        operations.Crop(box),
        operations.ResizedCrop(box, 33, "bilinear"),
        operations.ResizedCrop(box, 70, "lanczos"),
        operations.Jitter(1.3, 0.7, 1.25, 0.06, ("hue", "contrast", "brightness", "saturation")),
        operations.Grayscale(),
        operations.Hole(Box(0, 0, 1, 1)),
        operations.Noise(20.0, (1, 2)),
        operations.Blur(1.7),
        operations.Jpeg(70, "opencv"),
        operations.Jpeg(70, "pillow"),
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (50, 2), (64, 47)])
def test_every_operation_keeps_the_promises_of_an_image(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image.flags.writeable = False
    for operation in every_operation(size):
        result = operation(image)
        assert result.shape == (*operation.size_after(size), 3), operation
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous


def test_threads_do_not_change_a_bit():
    image = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    threads = cv2.getNumThreads()
    try:
        for operation in every_operation((700, 900)):
            results = []
            for count in (1, 4):
                cv2.setNumThreads(count)
                results.append(operation(image))
            np.testing.assert_array_equal(*results, err_msg=repr(operation))
    finally:
        cv2.setNumThreads(threads)


def grey_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (2 + height // 3, 2 + width // 3), dtype=np.uint8)
    return cv2.resize(small, (width, height))


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(1, 100), codec=st.sampled_from(CODECS), seed=st.integers(0, 9),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_one_channel_of_a_grey_jpeg_stands_for_three(size, quality, codec, seed):
    grey = grey_image(*size, seed)
    result = operations.Jpeg(quality, codec)(grey)
    expected = operations.Jpeg(quality, codec)(in_three_channels(grey))
    np.testing.assert_array_equal(in_three_channels(result), expected)


@given(size=st.tuples(st.integers(1, 70), st.integers(1, 70)), sigma=st.floats(0, 3), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_one_channel_of_a_grey_blur_stands_for_three(size, sigma, seed):
    grey = grey_image(*size, seed)
    off = in_three_channels(operations.Blur(sigma)(grey)).astype(int) - operations.Blur(sigma)(in_three_channels(grey))
    assert np.abs(off).max() <= 1
    assert np.mean(off != 0) < 1e-3  # a sum next to a half may be rounded either way


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_one_channel_of_a_grey_resized_crop_stands_for_three(interpolation):
    grey = grey_image(64, 47)
    for box in (Box(3, 5, 50, 40), Box(0, 0, 64, 47)):
        crop = operations.ResizedCrop(box, 56, interpolation)
        np.testing.assert_array_equal(in_three_channels(crop(grey)), crop(in_three_channels(grey)))


def test_grey_pictures_go_through_as_if_in_colour():
    size = (64, 47)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for operation in every_operation(size):
        for rest in ([], [operations.Hole(Box(1, 2, 3, 4))], [operations.Noise(9.0, (3, 4))], [operations.Grayscale()]):
            row = [operations.Grayscale(), operation, *rest]
            expected = image
            for step in row:
                expected = step(expected)
            before = image.copy()
            result = operations.apply(row, image)
            np.testing.assert_array_equal(image, before)
            assert result.shape == expected.shape
            assert result.flags.c_contiguous
            np.testing.assert_array_equal(result, expected, err_msg=repr(operation))
