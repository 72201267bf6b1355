from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.augmentations import (
    EVALUATION_CROPPING_STRATEGIES,
    TRAINING_CROPPING_STRATEGIES,
    EvaluationCrops,
    Orientation,
    StochasticTraining,
    apply_orientation,
    draw_orientation,
)
from aigenbench.augmentations.resampling import resize_for_model
from aigenbench.errors import InputError

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))


def philox(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def some_image(height: int, width: int) -> np.ndarray:
    """Random pixels, none of them black."""
    return np.random.default_rng(height * 1000 + width).integers(1, 256, (height, width, 3), dtype=np.uint8)


@given(inside=SIZES, size=SIZES, strategy=st.sampled_from(TRAINING_CROPPING_STRATEGIES), key=st.integers(0, 1000))
@settings(deadline=None)
def test_training_gives_the_size_asked_for(inside, size, strategy, key):
    image = some_image(*inside)
    recipe = StochasticTraining(strategy, size)
    result = recipe(image, philox(key))
    expected = inside[:: -1 if draw_orientation(philox(key)).swaps_sides else 1] if strategy == "as_is" else size
    assert result.shape == (*expected, 3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(recipe.finish(recipe.storable(image), philox(key)), result)


@pytest.mark.parametrize("key", range(12))
def test_resize_to_a_square_then_orientation(key):
    image = some_image(90, 120)
    recipe = StochasticTraining("resize", (32, 32))
    assert recipe.is_storable
    stored = recipe.storable(image)
    np.testing.assert_array_equal(stored, resize_for_model(image, (32, 32)))
    expected = apply_orientation(stored, draw_orientation(philox(key)))
    np.testing.assert_array_equal(recipe(image, philox(key)), expected)


@pytest.mark.parametrize("key", range(12))
@pytest.mark.parametrize("size", [(32, 32), (20, 50)])
def test_resizing_first_is_the_same_picture(key, size):
    image = some_image(90, 120)
    turned_first = resize_for_model(apply_orientation(image, draw_orientation(philox(key))), size)
    result = StochasticTraining("resize", size)(image, philox(key))
    assert np.abs(result.astype(int) - turned_first).max() <= 1


@pytest.mark.parametrize(("strategy", "size"), [("resize", (20, 50)), ("random_crop", (20, 20)), ("as_is", (20, 20))])
def test_what_cannot_be_stored_says_so(strategy, size):
    image = some_image(30, 40)
    recipe = StochasticTraining(strategy, size)
    assert not recipe.is_storable
    assert recipe.storable(image) is image


def test_given_orientations():
    image = some_image(30, 40)
    recipe = StochasticTraining("resize", (16, 16))
    stored = recipe.storable(image)
    turned = recipe.orient(stored, Orientation(1, True), philox(0))
    np.testing.assert_array_equal(turned, np.rot90(stored)[:, ::-1])


def test_random_crops_are_parts_of_the_turned_image():
    image = some_image(23, 31)
    places = set()
    for key in range(300):
        turned = apply_orientation(image, draw_orientation(philox(key)))
        windows = np.lib.stride_tricks.sliding_window_view(turned, (20, 21, 3))[:, :, 0]
        result = StochasticTraining("random_crop", (20, 21))(image, philox(key))
        found = np.argwhere((windows == result).all(axis=(2, 3, 4)))
        assert len(found) == 1
        places.add((turned.shape[0], *found[0].tolist()))
    assert len(places) > 70  # of 4 x 11 and 12 x 3, in either shape


@pytest.mark.parametrize("strategy", ["random_crop", "center_crop"])
def test_small_images_are_padded_with_zeros(strategy):
    for key in range(10):
        result = StochasticTraining(strategy, (20, 20))(some_image(5, 30), philox(key))
        assert (result.max(-1) > 0).sum() == 5 * 20


def test_center_crop_takes_the_middle():
    image = some_image(30, 40)
    for key in range(8):
        turned = apply_orientation(image, draw_orientation(philox(key)))
        top, left = (turned.shape[0] - 10) // 2, (turned.shape[1] - 12) // 2
        result = StochasticTraining("center_crop", (10, 12))(image, philox(key))
        np.testing.assert_array_equal(result, turned[top : top + 10, left : left + 12])


@given(inside=SIZES, size=SIZES, strategy=st.sampled_from(EVALUATION_CROPPING_STRATEGIES))
@settings(deadline=None)
def test_evaluation_gives_the_size_asked_for(inside, size, strategy):
    crops = EvaluationCrops(strategy, size)(some_image(*inside))
    larger = inside[0] > size[0] and inside[1] > size[1]
    if strategy != "tiles":
        assert len(crops) == {"multicrop": 5 if larger else 1, "mixed": 6 if larger else 2}.get(strategy, 1)
    assert len(crops) <= EvaluationCrops(strategy, size).most
    for crop in crops:
        assert crop.shape == (*(inside if strategy == "as_is" else size), 3)
        assert crop.dtype == np.uint8
        assert crop.flags.c_contiguous


def test_multicrop_is_corners_then_centre():
    image = some_image(30, 41)
    crops = EvaluationCrops("multicrop", (10, 11))(image)
    expected = [image[:10, :11], image[:10, -11:], image[-10:, :11], image[-10:, -11:], image[10:20, 15:26]]
    for crop, part in zip(crops, expected, strict=True):
        np.testing.assert_array_equal(crop, part)


@pytest.mark.parametrize("inside", [(10, 40), (40, 11), (9, 40), (5, 5)])
def test_multicrop_of_a_small_image_is_its_centre(inside):
    image = some_image(*inside)
    (only,) = EvaluationCrops("multicrop", (10, 11))(image)
    np.testing.assert_array_equal(only, EvaluationCrops("crop", (10, 11))(image)[0])


@pytest.mark.parametrize("inside", [(30, 41), (9, 40)])
def test_mixed_is_multicrop_and_the_resized_image(inside):
    image = some_image(*inside)
    crops = EvaluationCrops("mixed", (10, 11))(image)
    expected = [*EvaluationCrops("multicrop", (10, 11))(image), resize_for_model(image, (10, 11))]
    for crop, part in zip(crops, expected, strict=True):
        np.testing.assert_array_equal(crop, part)


def test_crop_pads_with_zeros():
    (crop,) = EvaluationCrops("crop", (10, 10))(some_image(4, 6))
    assert (crop[3:7, 2:8] > 0).all()
    assert crop.astype(int).sum() == some_image(4, 6).astype(int).sum()


def test_resize_and_as_is():
    image = some_image(33, 21)
    np.testing.assert_array_equal(EvaluationCrops("resize", (16, 24))(image)[0], resize_for_model(image, (16, 24)))
    np.testing.assert_array_equal(EvaluationCrops("as_is", (16, 24))(image)[0], image)


@pytest.mark.parametrize(
    ("make", "name", "hint"),
    [
        (StochasticTraining, "centre_crop", "center_crop"),
        (EvaluationCrops, "multi_crop", "multicrop"),
        (EvaluationCrops, "Resize", "resize"),
    ],
)
def test_unknown_strategies_are_told_with_the_nearest(make, name, hint):
    with pytest.raises(InputError, match=f"{name}.*did you mean.*'{hint}'"):
        make(name, (224, 224))


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ({"tiles": {"chose": "grid"}}, "tiles takes n, choose, thumbnail; unknown 'chose'; did you mean 'choose'"),
        ({"tiles": {"n": 0}}, "tiles n: expected a whole number from 1 to 64, found 0"),
        ({"tiles": {"n": True}}, "tiles n: expected a whole number"),
        ({"tiles": {"choose": "textures"}}, "choose: expected grid or texture, .*; did you mean 'texture'"),
        ({"tiles": {"thumbnail": 1}}, "thumbnail: expected true or false, found 1"),
        ({"tiles": 4}, "tiles takes n, choose, thumbnail; 4"),
        ({"multicrop": {"n": 4}}, "multicrop takes no arguments"),
        ({"tiles": None, "crop": None}, "unknown evaluation cropping strategy"),
    ],
)
def test_bad_arguments_are_told(strategy, told):
    with pytest.raises(InputError, match=told):
        EvaluationCrops(strategy, (8, 8))


@pytest.mark.parametrize("size", [224, (224,), (0, 5), (2.5, 3), ("a", "b"), None])
def test_bad_sizes_are_told(size):
    with pytest.raises(InputError, match="height, width"):
        EvaluationCrops("resize", size)


def test_descriptions_are_plain_json():
    recipe = StochasticTraining("resize", (224, 200))
    assert json.loads(json.dumps(recipe.describe())) == {
        "recipe": "StochasticTraining",
        "strategy": "resize",
        "size": [224, 200],
    }
    assert EvaluationCrops("crop", (5, 6)).describe() == {"strategy": "crop", "size": [5, 6]}
    crops = EvaluationCrops({"tiles": {"n": 3}}, (5, 6)).of_size((7, 7))
    tiles = {"n": 3, "choose": "grid", "thumbnail": True}
    assert crops.describe() == {"strategy": "tiles", "tiles": tiles, "size": [7, 7]}
