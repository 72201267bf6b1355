from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from aigenbench.augmentations import operations, steps
from aigenbench.augmentations.geometry import Box


def draws(step: steps.Step, count: int = 2000, size: tuple[int, int] = (300, 400)) -> list:
    rng = np.random.Generator(np.random.Philox(12))
    return [step.decide(rng.random(1 + step.parameters).tolist(), size) for _ in range(count)]


def is_uniform(values: list[float], low: float, high: float) -> bool:
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def is_even(values: list, choices: list) -> bool:
    counts = [values.count(choice) for choice in choices]
    return sum(counts) == len(values) and stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_steps_fire_as_often_as_they_say(probability):
    fired = sum(operation is not None for operation in draws(steps.Grayscale(probability)))
    low, high = stats.binom.interval(1 - 1e-5, 2000, probability) if 0 < probability < 1 else (2000 * probability,) * 2
    assert low <= fired <= high


def test_noise_is_uniform_in_its_standard_deviation():
    noises = draws(steps.Noise(1.0, std=(0.2, 0.44)))
    assert is_uniform([noise.std / 255 for noise in noises], 0.2, 0.44)
    assert len({noise.seed for noise in noises}) == len(noises)
    for part in range(2):
        assert is_uniform([noise.seed[part] / 2**53 for noise in noises], 0, 1)


def test_blur_is_uniform_in_sigma():
    assert is_uniform([blur.sigma for blur in draws(steps.Blur(1.0, sigma=(0.0, 3.0)))], 0, 3)


@pytest.mark.parametrize("qualities", [(50, 100), range(50, 101), range(30, 101)])
def test_jpeg_draws_quality_and_codec(qualities):
    jpegs = draws(steps.Jpeg(1.0, qualities), 5000)
    assert is_even([jpeg.quality for jpeg in jpegs], list(qualities))
    assert is_even([jpeg.codec for jpeg in jpegs], ["opencv", "pillow"])
    table = np.array([[jpeg.quality > 75, jpeg.codec == "pillow"] for jpeg in jpegs])
    assert abs(np.corrcoef(table.T)[0, 1]) < 5 / np.sqrt(5000)


def test_jitter_draws_four_amounts_and_an_order():
    step = steps.ColourJitter(1.0, (0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1))
    jitters = draws(step, 6000)
    for name in ("brightness", "contrast", "saturation"):
        assert is_uniform([getattr(jitter, name) for jitter in jitters], 0.6, 1.4)
    assert is_uniform([jitter.hue for jitter in jitters], -0.1, 0.1)
    orders = [jitter.order for jitter in jitters]
    assert len(set(orders)) == 24
    assert is_even(orders, sorted(set(orders)))


def test_holes_lie_inside_and_take_every_size():
    holes = [hole.box for hole in draws(steps.Hole(1.0, sides=(1, 48), level=128), 6000)]
    assert is_even([box.height for box in holes], list(range(1, 49)))
    assert is_even([box.width for box in holes], list(range(1, 49)))
    assert all(0 <= box.top <= 300 - box.height and 0 <= box.left <= 400 - box.width for box in holes)
    centres = [(box.top + 0.5) / (300 - box.height + 1) for box in holes]
    assert is_uniform(centres, 0, 1)


def test_holes_fit_into_small_images():
    for size in ((1, 1), (5, 60)):
        for hole in draws(steps.Hole(1.0, sides=(1, 48), level=128), 100, size):
            assert 1 <= hole.box.height <= size[0]
            assert 0 <= hole.box.top <= size[0] - hole.box.height


EVALUATION = steps.RandomResizedCrop(
    1.0, (256, 512), scale=(0.5, 1.0), ratio=(0.9, 1 / 0.9), interpolations=("bilinear", "bicubic", "lanczos")
)


def test_resized_crops_of_a_square():
    crops = draws(EVALUATION, 4000, (2000, 2000))
    assert is_even([crop.side for crop in crops], list(range(256, 513)))
    assert is_even([crop.interpolation for crop in crops], ["bilinear", "bicubic", "lanczos"])
    boxes = [crop.box for crop in crops]
    assert all(0 <= box.top <= 2000 - box.height and 0 <= box.left <= 2000 - box.width for box in boxes)
    # where every try fits (areas up to 0.9), nothing is rejected and both ranges are uniform
    areas = np.array([box.height * box.width / 4e6 for box in boxes])
    aspects = np.log([box.width / box.height for box in boxes])
    free = areas < 0.89
    assert is_uniform(areas[free & (areas > 0.5)].tolist(), 0.5, 0.89)
    assert is_uniform(aspects[free].tolist(), np.log(0.9), -np.log(0.9))
    assert areas.min() > 0.498


def test_resized_crops_are_found_as_torchvision_finds_them():
    transforms = pytest.importorskip("torchvision.transforms.v2")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    size = (90, 300)
    step = steps.RandomResizedCrop(1.0, (256, 256), (0.08, 1.0), (3 / 4, 4 / 3), ("bilinear",))
    theirs = transforms.RandomResizedCrop(256, (0.08, 1.0), (3 / 4, 4 / 3))
    image = torch.zeros(3, *size)
    found = [theirs.make_params([image]) for _ in range(1500)]
    ours = [crop.box for crop in draws(step, 1500, size)]
    for name in ("height", "width", "top", "left"):
        two_samples = stats.ks_2samp([getattr(box, name) for box in ours], [params[name] for params in found])
        assert two_samples.pvalue > 1e-4, name


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((1, 1000), Box(0, 500, 1, 1)),
        ((1000, 1), Box(500, 0, 1, 1)),
        ((1, 1), Box(0, 0, 1, 1)),
        ((10, 1000), Box(0, 494, 10, 11)),
    ],
)
def test_a_crop_that_never_fits_is_the_middle(size, box):
    last = EVALUATION._fallback(size)
    assert (last.height, last.width) == (box.height, box.width)
    assert abs(last.top - box.top) <= 1
    assert abs(last.left - box.left) <= 1
    for crop in draws(EVALUATION, 50, size):
        assert 0 <= crop.box.top <= size[0] - crop.box.height
        assert 0 <= crop.box.left <= size[1] - crop.box.width


def test_crops_keep_within_the_maximum():
    for step in (steps.CentreCrop(1.0, 100), steps.RandomCrop(1.0, 100)):
        for size in ((300, 400), (300, 40), (20, 30)):
            for crop in draws(step, 20, size):
                assert crop.size_after(size) == (min(size[0], 100), min(size[1], 100))
                assert 0 <= crop.box.top <= size[0] - crop.box.height
                assert 0 <= crop.box.left <= size[1] - crop.box.width


def test_random_crops_reach_every_place():
    crops = [crop.box for crop in draws(steps.RandomCrop(1.0, 100), 4000, (104, 107))]
    assert is_even([(box.top, box.left) for box in crops], [(top, left) for top in range(5) for left in range(8)])


def test_descriptions_are_plain_json():
    step = steps.Jpeg(0.5, range(30, 101))
    assert json.loads(json.dumps(step.describe())) == {
        "step": "Jpeg",
        "probability": 0.5,
        "qualities": {"from": 30, "to": 100},
        "codecs": ["opencv", "pillow"],
    }
    assert steps.Jpeg(0.5, (50, 100)).describe()["qualities"] == [50, 100]


def test_a_step_that_does_not_fire_gives_none():
    assert steps.Blur(0.3, (0.0, 3.0)).decide([0.3, 0.5], (5, 5)) is None
    assert steps.Blur(0.3, (0.0, 3.0)).decide([0.2999, 0.5], (5, 5)) == operations.Blur(1.5)
