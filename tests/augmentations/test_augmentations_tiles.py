from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.augmentations import EvaluationCrops
from aigenbench.augmentations.resampling import resize_for_model
from aigenbench.augmentations.tiles import Tiles, texture

SIDES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def some_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(1, 256, (height, width, 3), dtype=np.uint8)


def corners(tiles: Tiles, image: np.ndarray, size: tuple[int, int]) -> list[tuple[int, int]]:
    return [(box.top, box.left) for box in tiles.boxes(image, size)]


@given(
    inside=SIDES,
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    n=st.integers(1, 12),
    choose=st.sampled_from(["grid", "texture"]),
)
@settings(deadline=None, max_examples=100)
def test_tiles_do_not_overlap_and_lie_inside(inside, size, n, choose):
    boxes = Tiles(n, choose).boxes(some_image(*inside), size)
    room = max(1, inside[0] // size[0]) * max(1, inside[1] // size[1])
    assert 1 <= len(boxes) <= min(n, room)
    if choose == "texture":
        assert len(boxes) == min(n, room)
    covered = np.zeros(inside, int)
    for box in boxes:
        assert (box.height, box.width) == size
        for start, side, whole in ((box.top, size[0], inside[0]), (box.left, size[1], inside[1])):
            assert (0 <= start <= whole - side) if whole >= side else (start <= 0 and start + side >= whole)
        covered[max(box.top, 0) : box.top + box.height, max(box.left, 0) : box.left + box.width] += 1
    assert covered.max() == 1


def test_a_grid_spreads_from_edge_to_edge():
    assert corners(Tiles(4), some_image(100, 120), (10, 20)) == [(0, 0), (0, 100), (90, 0), (90, 100)]
    assert corners(Tiles(6), some_image(40, 61), (10, 20)) == [(0, 0), (0, 20), (0, 41), (30, 0), (30, 20), (30, 41)]
    assert corners(Tiles(1), some_image(100, 120), (10, 20)) == [(45, 50)]


def test_a_grid_has_the_shape_of_the_image():
    shapes = {}
    for inside in ((100, 100), (30, 300), (300, 30)):
        places = corners(Tiles(4), some_image(*inside), (10, 10))
        shapes[inside] = len({top for top, _ in places}), len({left for _, left in places})
    assert shapes == {(100, 100): (2, 2), (30, 300): (1, 4), (300, 30): (4, 1)}
    # of five there is no even grid: four have room beside each other
    assert len(corners(Tiles(5), some_image(25, 25), (10, 10))) == 4


@pytest.mark.parametrize("choose", ["grid", "texture"])
def test_small_images_have_fewer_tiles_or_padding(choose):
    assert corners(Tiles(4, choose), some_image(15, 45), (10, 20)) == [(2, 0), (2, 25)]
    (tile, thumbnail) = EvaluationCrops({"tiles": {"choose": choose}}, (10, 10))(some_image(4, 8))
    assert (tile[3:7, 1:9] > 0).all()
    assert tile.astype(int).sum() == some_image(4, 8).astype(int).sum()
    np.testing.assert_array_equal(thumbnail, resize_for_model(some_image(4, 8), (10, 10)))


def test_texture_is_the_sum_of_differences():
    image = some_image(30, 40)
    grey = (image.astype(float) @ [0.299, 0.587, 0.114]).round().astype(int)
    for box in Tiles(4).boxes(image, (10, 12)):
        part = grey[box.top : box.top + 10, box.left : box.left + 12]
        expected = np.abs(np.diff(part, axis=0)).sum() + np.abs(np.diff(part, axis=1)).sum()
        # OpenCV's grey levels may be one off
        assert abs(texture(image, [box])[0] - expected) <= 2 * 2 * 120 * 0.05


def test_the_most_textured_tiles_are_looked_at_in_row_order():
    image = np.full((40, 60, 3), 128, np.uint8)
    busy = [(0, 40), (20, 0), (30, 30)]
    for i, (top, left) in enumerate(busy):
        image[top : top + 10, left : left + 10] = np.random.default_rng(i).integers(0, 256, (10, 10, 3))
    assert corners(Tiles(3, "texture"), image, (10, 10)) == busy
    image[busy[1][0] :, :10] //= 32
    assert corners(Tiles(2, "texture"), image, (10, 10)) == [busy[0], busy[2]]
    # of equal ones, the first in row order
    assert corners(Tiles(2, "texture"), np.zeros((40, 60, 3), np.uint8), (10, 10)) == [(0, 0), (0, 10)]


def test_without_a_thumbnail():
    image = some_image(40, 40)
    crops = EvaluationCrops({"tiles": {"thumbnail": False}}, (10, 10))(image)
    for crop, part in zip(crops, [image[:10, :10], image[:10, -10:], image[-10:, :10], image[-10:, -10:]], strict=True):
        np.testing.assert_array_equal(crop, part)
