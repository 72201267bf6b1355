from __future__ import annotations

from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.evaluation.predictions.fusion import fuse_logits, log_sigmoid, sigmoid


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
