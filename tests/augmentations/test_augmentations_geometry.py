from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.augmentations.geometry import (
    Box,
    Orientation,
    apply_orientation,
    at_most,
    centred,
    cut,
    draw_orientation,
    placed,
)

SIDES = st.integers(1, 40)
ALL = [Orientation(turns, mirrored) for turns, mirrored in itertools.product(range(4), (False, True))]


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose pixels are all different and not black."""
    values = np.arange(1, height * width + 1)
    return (
        np.stack([values % 256, values // 256 % 256, np.full_like(values, 9)], -1)
        .reshape(height, width, 3)
        .astype(np.uint8)
    )


@given(
    inside=st.tuples(SIDES, SIDES), top=st.integers(-50, 50), left=st.integers(-50, 50), size=st.tuples(SIDES, SIDES)
)
def test_cut_reads_zeros_outside(inside, top, left, size):
    image = numbered(*inside)
    result = cut(image, Box(top, left, *size))
    wide = np.pad(image, ((100, 100), (100, 100), (0, 0)))
    np.testing.assert_array_equal(result, wide[100 + top :, 100 + left :][: size[0], : size[1]])
    assert result.flags.c_contiguous


@given(inside=st.tuples(SIDES, SIDES), size=st.tuples(SIDES, SIDES))
def test_centred_leaves_equal_margins(inside, size):
    box = centred(inside, size)
    for offset, a, b in ((box.top, inside[0], size[0]), (box.left, inside[1], size[1])):
        assert abs(offset - (a - b - offset)) <= 1


def test_centred_is_torchvisions():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    torch = pytest.importorskip("torch")
    for inside, size in itertools.product(((10, 10), (11, 8), (7, 13)), ((4, 5), (8, 8), (12, 15), (7, 7))):
        image = numbered(*inside)
        theirs = functional.center_crop(torch.from_numpy(image).permute(2, 0, 1), list(size)).permute(1, 2, 0)
        np.testing.assert_array_equal(cut(image, centred(inside, size)), theirs.numpy())


@given(
    inside=st.tuples(SIDES, SIDES),
    size=st.tuples(SIDES, SIDES),
    at=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_placed_covers_as_much_as_fits(inside, size, at):
    box = placed(inside, size, *at)
    assert (box.height, box.width) == size
    covered = cut(np.full((*inside, 3), 255, np.uint8), box)
    assert (covered[..., 0] > 0).sum() == min(inside[0], size[0]) * min(inside[1], size[1])


def test_placed_reaches_every_place_equally():
    places = [placed((10, 3), (8, 5), u, 0.999) for u in np.linspace(0, 0.9999, 300)]
    assert [sum(box.top == top for box in places) for top in range(3)] == pytest.approx([100] * 3, abs=1)
    assert {box.left for box in places} == {-2}


def test_at_most():
    assert at_most((2000, 30), 1080) == (1080, 30)


@pytest.mark.parametrize("orientation", ALL)
def test_orientation_is_rotation_then_flip(orientation):
    image = numbered(4, 7)
    expected = np.rot90(image, orientation.quarter_turns)
    if orientation.mirrored:
        expected = expected[:, ::-1]
    result = apply_orientation(image, orientation)
    np.testing.assert_array_equal(result, expected)
    assert result.flags.c_contiguous
    assert orientation.swaps_sides == (result.shape[:2] == (7, 4))


def test_orientations_are_drawn_equally_often():
    rng = np.random.Generator(np.random.Philox(1))
    drawn = [draw_orientation(rng) for _ in range(4000)]
    for orientation in ALL:
        assert drawn.count(orientation) == pytest.approx(500, abs=5 * np.sqrt(500 * 7 / 8))


def test_an_orientation_takes_two_uniforms():
    one, other = (np.random.Generator(np.random.Philox(2)) for _ in range(2))
    draw_orientation(one)
    other.random(2)
    assert one.random() == other.random()
