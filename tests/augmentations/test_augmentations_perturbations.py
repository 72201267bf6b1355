from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as PillowImage

from aigenbench.augmentations.perturbations import (
    FAMILIES,
    GRID,
    LONGEST_WEBP_SIDE,
    AtMost,
    Perturbation,
    Sharpen,
    Webp,
    perturbations,
)
from aigenbench.errors import InputError

BY_NAME = {cell.name: cell for cell in GRID}


def philox(key: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def picture(height: int = 61, width: int = 90, seed: int = 3) -> np.ndarray:
    coarse = philox(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return np.asarray(PillowImage.fromarray(coarse).resize((width, height), PillowImage.Resampling.BICUBIC)).copy()


@pytest.mark.parametrize("cell", GRID, ids=lambda cell: cell.name)
@pytest.mark.parametrize("size", [(61, 90), (1, 1)])
def test_each_is_deterministic_and_gives_an_image(cell: Perturbation, size: tuple[int, int]) -> None:
    image = picture(*size)
    before = image.copy()
    first, again = cell(image, philox()), cell(image, philox())
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert first.flags.c_contiguous
    assert np.array_equal(first, again)
    assert np.array_equal(image, before)
    if size != (1, 1):
        assert first.shape != image.shape or not np.array_equal(first, image)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("jpeg_30", (61, 90)),
        ("webp_30", (61, 90)),
        ("resize_0.25", (15, 22)),
        ("resize_2", (122, 180)),
        ("blur_3", (61, 90)),
        ("noise_20", (61, 90)),
        ("crop_0.5", (30, 45)),
        ("double_jpeg_90_70", (61, 90)),
        ("social_network_plain", (61, 90)),
    ],
)
def test_sizes(name: str, shape: tuple[int, int]) -> None:
    assert BY_NAME[name](picture(), philox()).shape[:2] == shape


def test_only_the_noise_draws() -> None:
    for cell in GRID:
        same = np.array_equal(cell(picture(), philox(1)), cell(picture(), philox(2)))
        assert same == (cell.family != "noise"), cell.name


def test_noise_is_one_pattern_of_the_strength_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    patterns = {std: BY_NAME[f"noise_{std}"](grey, philox()).astype(float) - 128 for std in (2, 5, 10, 20)}
    for std, pattern in patterns.items():
        assert pattern.std() == pytest.approx(std, rel=0.03)
    assert np.corrcoef(patterns[10].ravel(), patterns[20].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("family", ["jpeg", "webp", "blur", "noise"])
def test_levels_rise_in_strength(family: str) -> None:
    image = picture(160, 200)
    image[::2, ::2] //= 2
    errors = [np.abs(cell(image, philox()).astype(int) - image).mean() for cell in GRID if cell.family == family]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_a_centre_crop_keeps_the_middle() -> None:
    image = picture(100, 80)
    assert np.array_equal(BY_NAME["crop_0.5"](image, philox()), image[25:75, 20:60])


def test_double_jpeg_is_one_after_the_other() -> None:
    once = BY_NAME["jpeg_90"](picture(), philox())
    assert np.array_equal(BY_NAME["double_jpeg_90_70"](picture(), philox()), BY_NAME["jpeg_70"](once, philox()))


def test_the_chain_shrinks_what_is_large_only() -> None:
    assert AtMost(1080)(np.zeros((2160, 500, 3), np.uint8), philox()).shape == (1080, 250, 3)
    image = picture()
    assert AtMost(1080)(image, philox()) is image


def test_sharpening_leaves_flat_areas_and_steepens_edges() -> None:
    image = np.full((20, 20, 3), 80, np.uint8)
    image[:, 10:] = 160
    sharpened = Sharpen(1.0, 0.5)(image, philox())
    assert np.array_equal(sharpened[:, :5], image[:, :5])
    assert sharpened[0, 9, 0] < 80
    assert sharpened[0, 10, 0] > 160


def test_the_grid_is_described_in_json_without_two_alike() -> None:
    texts = [json.dumps(cell.describe(), sort_keys=True) for cell in GRID]
    assert len(set(texts)) == len({cell.name for cell in GRID}) == len(GRID) == 35
    assert {cell.family for cell in GRID} == set(FAMILIES)


def test_families_are_chosen_by_name() -> None:
    assert perturbations() == GRID
    assert [cell.name for cell in perturbations(["crop", "double_jpeg"])][:1] == ["crop_0.9"]
    assert {cell.family for cell in perturbations(["crop"])} == {"crop"}
    with pytest.raises(InputError, match=r"no perturbation family 'jepg': .*did you mean 'jpeg'"):
        perturbations(["jepg"])


def test_what_webp_cannot_store_is_told() -> None:
    with pytest.raises(InputError, match="at most 16383"):
        Webp(90)(np.zeros((LONGEST_WEBP_SIDE + 1, 2, 3), np.uint8), philox())


def test_no_image_is_told() -> None:
    with pytest.raises(InputError, match="got float32"):
        GRID[0](np.zeros((4, 4, 3), np.float32), philox())
