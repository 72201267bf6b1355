from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.augmentations.patches import PatchReplacement, PatchShuffle, grid, rearranged

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))
SEEDS = st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))


def some_image(height: int, width: int) -> np.ndarray:
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image.flags.writeable = False
    return image


def patches(image: np.ndarray, side: int) -> list[bytes]:
    rows, columns = grid(image.shape[:2], side)
    return [
        image[i * side : (i + 1) * side, j * side : (j + 1) * side].tobytes()
        for i in range(rows)
        for j in range(columns)
    ]


def border(image: np.ndarray, side: int) -> np.ndarray:
    rest = image.copy()
    rows, columns = grid(image.shape[:2], side)
    rest[: rows * side, : columns * side] = 0
    return rest


def test_rearranged_by_hand():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    after = rearranged(image, 2, np.array([5, 1, 1, 3, 0, 2]))
    np.testing.assert_array_equal(after[:2, :2], image[2:, 4:])
    np.testing.assert_array_equal(after[:2, 4:], image[:2, 2:4])
    np.testing.assert_array_equal(after[2:, 2:4], image[:2, :2])


@given(size=SIZES, side=st.integers(1, 20), seed=SEEDS)
@settings(deadline=None)
def test_a_shuffle_keeps_every_patch(size, side, seed):
    image = some_image(*size)
    after = PatchShuffle(side, seed)(image)
    assert sorted(patches(after, side)) == sorted(patches(image, side))
    np.testing.assert_array_equal(border(after, side), border(image, side))
    np.testing.assert_array_equal(PatchShuffle(side, seed)(image), after)


@given(size=SIZES, side=st.integers(1, 20), share=st.floats(0, 1), seed=SEEDS)
@settings(deadline=None)
def test_a_replacement_changes_its_share_of_the_patches(size, side, share, seed):
    image = some_image(*size)
    after = PatchReplacement(side, share, seed)(image)
    before, found = patches(image, side), patches(after, side)
    assert set(found) <= set(before)
    changed = sum(a != b for a, b in zip(before, found, strict=True))
    wanted = round(share * len(before)) if len(before) > 1 else 0
    # random patches of more than a few pixels are all different
    assert changed == wanted if side > 1 else changed <= wanted
    np.testing.assert_array_equal(border(after, side), border(image, side))


def test_every_order_is_as_likely():
    image = np.zeros((8, 24, 3), np.uint8)
    image[:, 8:16], image[:, 16:] = 1, 2
    counts: dict[bytes, int] = {}
    for seed in range(1200):
        order = PatchShuffle(8, (seed, 1))(image)[0, ::8, 0].tobytes()
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(140 < count < 260 for count in counts.values())


@pytest.mark.parametrize("operation", [PatchShuffle(8, (1, 2)), PatchReplacement(8, 0.5, (1, 2))])
def test_one_of_three_equal_channels_will_do(operation):
    image = np.repeat(some_image(40, 50)[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(operation(image[:, :, 0].copy()), operation(image)[:, :, 1])
