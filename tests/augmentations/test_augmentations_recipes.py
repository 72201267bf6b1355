from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aigenbench.augmentations import (
    BaselineTraining,
    MandatoryEvaluation,
    MandatoryTraining,
    SoftTraining,
)
from aigenbench.errors import InputError

RECIPES = [
    MandatoryTraining(),
    MandatoryEvaluation(),
    MandatoryEvaluation(jpeg="uniform"),
    BaselineTraining(),
    SoftTraining(),
]
PLANS = 3000


def philox(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def names(recipe, size=(600, 700), count=PLANS) -> list[list[str]]:
    return [[type(operation).__name__ for operation in recipe.plan(size, philox(key))] for key in range(count)]


def within(count: int, probability: float, trials: int = PLANS) -> bool:
    low, high = stats.binom.interval(1 - 1e-6, trials, probability)
    return low <= count <= high


def is_in_order(found: list[str], order: list[str]) -> bool:
    rest = iter(order)
    return all(name in rest for name in found)


def test_baseline_steps_fire_as_the_protocol_says():
    order = ["ResizedCrop", "Jitter", "Grayscale", "Hole", "Noise", "Blur", "Jpeg"]
    plans = names(BaselineTraining())
    assert all(is_in_order(plan, order) for plan in plans)
    for name, probability in zip(order, (0.2, 0.8, 0.2, 0.2, 0.2, 0.5, 0.5), strict=True):
        assert within(sum(name in plan for plan in plans), probability), name


def test_evaluation_steps_fire_as_the_protocol_says():
    order = ["Crop", "Grayscale", "Jpeg", "Noise", "Jpeg", "ResizedCrop", "Jpeg"]
    plans = names(MandatoryEvaluation())
    assert all(is_in_order(plan, order) and plan[0] == "Crop" for plan in plans)
    for name, probability in (("Grayscale", 0.1), ("Noise", 0.3), ("ResizedCrop", 0.25)):
        assert within(sum(name in plan for plan in plans), probability), name
    assert within(sum(plan.count("Jpeg") == 3 for plan in plans), 0.5 * 0.2 * 0.1)
    assert within(sum(plan.count("Jpeg") == 0 for plan in plans), 0.5 * 0.8 * 0.9)
    before_noise = [plan[: plan.index("Noise")].count("Jpeg") for plan in plans if "Noise" in plan]
    assert within(sum(before_noise), 0.5, len(before_noise))
    last = [plan[plan.index("ResizedCrop") :].count("Jpeg") for plan in plans if "ResizedCrop" in plan]
    assert within(sum(last), 0.1, len(last))


def test_soft_training_is_evaluation_without_the_crop():
    soft, hard = SoftTraining().describe()["steps"], MandatoryEvaluation().describe()["steps"]
    assert soft == hard[1:]
    assert [step["step"] for step in hard] == [
        "CentreCrop", "Grayscale", "Jpeg", "Noise", "Jpeg", "RandomResizedCrop", "Jpeg",
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", [BaselineTraining(), MandatoryEvaluation()], ids=["baseline", "evaluation"])
def test_decisions_are_independent_of_each_other(recipe):
    # steps are told apart by their place in the row, so that the three JPEGs of an evaluation count separately
    gates = []
    for key in range(4000):
        uniforms = philox(key).random(recipe._uniforms).tolist()
        at = 0
        fired = []
        for step in recipe.steps:
            fired.append(step.decide(uniforms[at : at + 1 + step.parameters], (600, 700)) is not None)
            at += 1 + step.parameters
        gates.append([fire for fire, step in zip(fired, recipe.steps, strict=True) if step.probability < 1])
    correlation = np.corrcoef(np.array(gates).T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 5 / math.sqrt(4000)


def test_noise_and_cut_out_fire_independently():
    plans = names(BaselineTraining(), count=8000)
    table = np.zeros((2, 2))
    for plan in plans:
        table["Noise" in plan, "Hole" in plan] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-4
    assert within(int(table[1, 1]), 0.04, 8000)


def test_two_point_and_uniform_qualities():
    for jpeg, expected in (("two_point", {50, 100}), ("uniform", set(range(50, 101)))):
        found = set()
        for key in range(2000):
            plan = MandatoryEvaluation(jpeg=jpeg).plan((90, 90), philox(key))
            found |= {operation.quality for operation in plan if type(operation).__name__ == "Jpeg"}
        assert found == expected


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_draws_do_not_depend_on_size_or_on_what_fires(recipe):
    rngs = [philox(3) for _ in range(3)]
    recipe.plan((1, 1), rngs[0])
    recipe.plan((5000, 300), rngs[1])
    rngs[2].random(sum(1 + step.parameters for step in recipe.steps))
    assert len({rng.random() for rng in rngs}) == 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
@settings(deadline=None, max_examples=40)
@given(size=st.tuples(st.integers(1, 80), st.integers(1, 80)), key=st.integers(0, 2**64))
def test_same_key_same_bytes_for_any_size(recipe, size, key):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image.flags.writeable = False
    first, second = recipe(image, philox(key)), recipe(image, philox(key))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert first.flags.c_contiguous


@pytest.mark.parametrize("recipe", [RECIPES[0], RECIPES[1]], ids=["training", "evaluation"])
def test_large_images_are_cropped_first(recipe):
    image = np.zeros((3000, 2500, 3), np.uint8)
    for key in range(6):
        assert max(recipe(image, philox(key)).shape) <= 1080
    small = type(recipe)(maximum_processing_size=64)
    plan = small.plan((3000, 2500), philox(0))
    assert plan[0].size_after((3000, 2500)) == (64, 64)


def test_evaluation_crops_the_centre():
    image = np.zeros((41, 60, 3), np.uint8)
    image[10:30, 20:40] = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    recipe = MandatoryEvaluation(maximum_processing_size=20)
    keys = [key for key in range(200) if len(recipe.plan((41, 60), philox(key))) == 1]
    for key in keys[:5]:
        np.testing.assert_array_equal(recipe(image, philox(key)), image[10:30, 20:40])


def test_views_and_slices_are_taken():
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    for key in range(20):
        strided, copied = image[::2, ::-1], np.ascontiguousarray(image[::2, ::-1])
        np.testing.assert_array_equal(BaselineTraining()(strided, philox(key)), BaselineTraining()(copied, philox(key)))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_descriptions_are_plain_json(recipe):
    assert json.loads(json.dumps(recipe.describe(), allow_nan=False)) == recipe.describe()


def test_descriptions_tell_recipes_apart():
    told = [json.dumps(recipe.describe()) for recipe in (*RECIPES, MandatoryEvaluation(512), SoftTraining("uniform"))]
    assert len(set(told)) == len(told)
    assert MandatoryEvaluation().describe()["jpeg"] == "two_point"


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "x"])
def test_what_is_no_image_is_told(image):
    with pytest.raises(InputError, match="uint8"):
        BaselineTraining()(image, philox(0))


def test_bad_arguments_are_told():
    with pytest.raises(InputError, match="did you mean 'two_point'"):
        MandatoryEvaluation(jpeg="twopoint")
    for maximum in (0, -3, 10.5, "big", True):
        with pytest.raises(InputError, match="maximum_processing_size"):
            MandatoryTraining(maximum)
