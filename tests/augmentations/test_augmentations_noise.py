from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from aigenbench.augmentations import noise
from aigenbench.augmentations.noise import gaussian_noise, standard_normal_table

GREY = np.full((256, 256, 3), 128, np.uint8)


def test_table_is_a_standard_normal():
    table = standard_normal_table()
    assert table.size == 65536
    assert table.mean() == pytest.approx(0, abs=1e-12)
    assert table.std() == pytest.approx(1, abs=1e-12)
    centres = (np.arange(65536) + 0.5) / 65536
    assert np.abs(table - stats.norm.ppf(centres)).max() < 1e-3
    assert 4.2 < table.max() < 4.4


@pytest.mark.parametrize("std", [4.0, 12.0, 19.0])
def test_moments(std):
    field = gaussian_noise(GREY, std, [1, 1]).astype(float) - 128
    count = field.size
    # rounding to whole levels adds 1/12 to the variance
    assert field.std() == pytest.approx(np.sqrt(std**2 + 1 / 12), rel=5 / np.sqrt(2 * count))
    assert abs(field.mean()) < 5 * std / np.sqrt(count)
    assert abs(stats.kurtosis(field, axis=None)) < 5 * np.sqrt(24 / count) + 0.005
    assert abs(stats.skew(field, axis=None)) < 5 * np.sqrt(6 / count)


def test_distribution_is_normal():
    std = 10.0
    field = gaussian_noise(GREY, std, [2, 1]).astype(int) - 128
    levels = np.arange(-25, 26)
    edges = np.concatenate([[-np.inf], levels[:-1] + 0.5, [np.inf]])
    expected = np.diff(stats.norm.cdf(edges / std)) * field.size
    observed = np.array([np.sum(np.clip(field, -25, 25) == level) for level in levels])
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_channels_and_pixels_are_independent():
    field = gaussian_noise(GREY, 15.0, [3, 1]).astype(float) - 128
    bound = 5 / np.sqrt(256 * 256)
    channels = np.corrcoef(field.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < bound
    for axis in (0, 1):
        shifted = np.roll(field, 1, axis)
        assert abs(np.corrcoef(field.ravel(), shifted.ravel())[0, 1]) < bound


@pytest.mark.parametrize("level", [0, 3, 255])
def test_results_are_clipped(level):
    image = np.full((64, 64, 3), level, np.uint8)
    result = gaussian_noise(image, 60.0, [4, 1])
    unclipped = level + np.rint(standard_normal_table() * 60.0)
    assert result.min() == 0 or level == 255
    assert result.max() == 255 or level < 255
    assert result.mean() == pytest.approx(np.clip(unclipped, 0, 255).mean(), abs=1.5)


@pytest.mark.parametrize("std", [0.3, 20.0, 29.3, 29.8, 60.0, 112.0])
def test_each_value_takes_its_16_bits(std):
    image = np.random.default_rng(0).integers(0, 256, (13, 57, 3), dtype=np.uint8)
    image[:4] = np.array([0, 255, 128], np.uint8)
    words = np.random.SFC64([5, 1]).random_raw(-(-image.size // 4))
    bits = [(int(word) >> (16 * part)) & 0xFFFF for word in words for part in range(4)][: image.size]
    table = np.rint(standard_normal_table() * std).astype(int)
    expected = np.clip(image.ravel().astype(int) + table[bits], 0, 255).reshape(image.shape)
    np.testing.assert_array_equal(gaussian_noise(image, std, [5, 1]), expected)


def test_large_images_are_worked_on_in_one_stream(monkeypatch):
    first = gaussian_noise(GREY, 9.0, [9, 1])
    monkeypatch.setattr(noise, "_CHUNK", 4096)
    np.testing.assert_array_equal(gaussian_noise(GREY, 9.0, [9, 1]), first)


@pytest.mark.parametrize("std", [9.0, 90.0])
def test_both_ways_to_look_up_agree(monkeypatch, std):
    first = gaussian_noise(GREY, std, [6, 1])
    monkeypatch.setattr(noise, "_OPENCV_LOOKS_UP_16_BITS", False)
    np.testing.assert_array_equal(gaussian_noise(GREY, std, [6, 1]), first)


def test_seed_decides():
    np.testing.assert_array_equal(gaussian_noise(GREY, 9.0, [7, 1]), gaussian_noise(GREY, 9.0, [7, 1]))
    assert np.mean(gaussian_noise(GREY, 9.0, [7, 1]) == gaussian_noise(GREY, 9.0, [8, 1])) < 0.1
