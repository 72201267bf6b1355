from __future__ import annotations

import json
from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import Fusion, fit_logistic, fuse_logits, log_sigmoid, sigmoid


@given(st.lists(st.lists(st.floats(-30, 30), min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_fused_logit_is_that_of_the_mean_probability(images: list[list[float]]) -> None:
    index = np.repeat(np.arange(len(images)), [len(crops) for crops in images])
    fused = fuse_logits(np.concatenate(images), index)
    for crops, ours in zip(images, fused, strict=True):
        # exact rationals of the exponentials: no cancellation in 1 - p
        odds = [Fraction(exp(-x)) for x in crops]
        p = sum(1 / (1 + o) for o in odds) / len(crops)
        q = sum(o / (1 + o) for o in odds) / len(crops)
        assert ours == pytest.approx(log(p / q), abs=1e-9)


def test_extreme_logits_do_not_saturate() -> None:
    fused = fuse_logits([100.0, 90.0, -2000.0, -2000.0, 800.0], [0, 0, 1, 1, 2])
    np.testing.assert_allclose(fused, [90 + np.log(2) - np.log1p(np.exp(-10)), -2000, 800], rtol=1e-12)


def test_one_crop_keeps_its_logit_to_the_bit() -> None:
    logits = np.random.default_rng(0).normal(0, 5, 100).astype(np.float32)
    np.testing.assert_array_equal(fuse_logits(logits, np.arange(100)), logits.astype(np.float64))


def test_no_crops_and_crops_apart() -> None:
    assert len(fuse_logits([], [])) == 0
    with pytest.raises(AssertionError):
        fuse_logits([1.0, 2.0, 3.0], [0, 1, 0])


def test_sigmoid_at_the_ends() -> None:
    np.testing.assert_array_equal(sigmoid([-1e4, 0.0, 1e4]), [0.0, 0.5, 1.0])
    assert log_sigmoid([-1e4])[0] == -1e4


INDEX = np.array([0, 0, 0, 1, 2, 2])
LOGITS = np.array([1.0, -2.0, 0.5, 3.0, -1.0, -4.0])


def test_the_largest_of_an_image() -> None:
    assert Fusion.of("max")(LOGITS, INDEX).tolist() == [1.0, 3.0, -1.0]
    np.testing.assert_array_equal(Fusion()(LOGITS, INDEX), fuse_logits(LOGITS, INDEX))


def test_a_learned_rule_by_hand() -> None:
    rule = Fusion("learned", ("mean", "max", "thumbnail"), (0.5, 2.0, -1.0), 0.25)
    mean = fuse_logits(LOGITS, INDEX)
    expected = 0.5 * mean + 2 * np.array([1.0, 3.0, -1.0]) - np.array([0.5, 3.0, -4.0]) + 0.25
    np.testing.assert_allclose(rule(LOGITS, INDEX), expected, rtol=1e-12)
    assert Fusion.from_record(json.loads(json.dumps(rule.to_record()))) == rule
    for ready in (Fusion(), Fusion("max")):
        assert Fusion.from_record(ready.to_record()) == ready
        assert ready.fitted(LOGITS, INDEX, np.ones(3, bool), np.ones(3, bool)) is ready


def test_a_learned_rule_minimises_its_loss() -> None:
    rng = np.random.default_rng(0)
    index, labels = np.repeat(np.arange(200), 4), rng.random(200) < 0.5
    logits = rng.standard_normal(800) + 0.8 * np.repeat(labels, 4)
    chosen = np.arange(200) < 150
    rule = Fusion.of({"learned": {"inputs": ["max", "mean"]}}).fitted(logits, index, labels, chosen)
    x = np.column_stack([logits.reshape(200, 4).max(1), fuse_logits(logits, index), np.ones(200)])[chosen]

    def loss(w: np.ndarray) -> float:
        z = x @ w
        return np.logaddexp(0, np.where(labels[chosen], -z, z)).mean() + 0.01 * ((w - [1, 0, 0]) ** 2).sum()

    found = np.array([*rule.weights, rule.offset])
    for i in range(3):
        step = 1e-4 * np.eye(3)[i]
        assert abs(loss(found + step) - loss(found - step)) / 2e-4 < 1e-6
    assert loss(found) < loss(np.array([1.0, 0, 0]))
    apart = fit_logistic(np.array([[-1.0], [1.0]]), np.array([False, True]), np.ones(1), 1e-2)
    assert 1 < apart[0] < 10


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("lerned", "unknown 'lerned'; known: mean, max, learned; did you mean 'learned'"),
        ({"max": {}, "mean": {}}, "unknown"),
        ({"mean": {"inputs": ["max"]}}, "mean takes no arguments"),
        ({"learned": {"input": ["max"]}}, "learned takes inputs, found"),
        ({"learned": {"inputs": []}}, "expected some of mean, max, thumbnail"),
        ({"learned": {"inputs": "max"}}, "expected some of mean, max, thumbnail"),
    ],
)
def test_unknown_rules_are_told(value: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Fusion.of(value)


@pytest.mark.parametrize(
    "record",
    [
        "median",
        None,
        {"kind": "max"},
        {"kind": "learned", "inputs": ["mean"], "weights": [1, 2], "offset": 0},
        {"kind": "learned", "inputs": ["least"], "weights": [1], "offset": 0},
        {"kind": "learned", "inputs": ["mean"], "weights": [float("inf")], "offset": 0},
        {"kind": "learned", "inputs": ["mean"], "weights": [1]},
        {"kind": "learned", "inputs": [{}], "weights": [1], "offset": 0},
    ],
)
def test_records_that_are_no_rules_are_told(record: object) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        Fusion.from_record(record)
