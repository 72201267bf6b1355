from __future__ import annotations

import numpy as np
import pytest
from evaluation_made_up import made_up
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from aigenbench.evaluation.calibration import calibration, fit_scaling, reliability, scaled_groups
from aigenbench.evaluation.experiment import assemble
from aigenbench.evaluation.group import Group


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0.1, 1.0, 30.0]))
def test_fits_equal_a_general_minimiser(seed: int, offset: bool, scale: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(300) < 0.4
    logits = scale * (rng.normal(size=300) + labels - 0.2)
    found = fit_scaling(logits, labels, offset)

    def loss(theta: np.ndarray) -> float:
        z = scale_of(theta)[0] * logits + scale_of(theta)[1]
        return float(np.mean(np.logaddexp(0, np.where(labels, -z, z))))

    def scale_of(theta: np.ndarray) -> tuple[float, float]:
        return theta[0] / scale, theta[1] if offset else 0.0

    expected = minimize(
        loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000}
    )
    assert loss(np.array([found.slope * scale, found.offset])) <= expected.fun + 1e-5


def test_separated_labels_give_a_finite_scale() -> None:
    found = fit_scaling(np.array([-1.0, -2.0, 1.0, 3.0]), np.array([False, False, True, True]), True)
    assert 1 < found.slope < 1e4
    assert np.isfinite(found.offset)


def test_a_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-truth))
    assert 1 / fit_scaling(3 * truth, labels, False).slope == pytest.approx(3, rel=0.05)


def test_next_is_reported_with_the_fit_of_past() -> None:
    e = assemble("e", "validate", {k: made_up(100, window=k, separation=4.0) for k in range(3)}, "e")
    found = calibration(e)
    assert [entry["window"] for entry in found] == [0, 1, 2]
    assert found[2]["next"]["before"]["ece"] is None
    for entry in found:
        assert entry["past"]["temperature"]["nll"] <= entry["past"]["before"]["nll"] + 0.01
    p = e.windows[0]
    rows = np.isin(p.fused_generator_ids, [1, 2]) | np.isin(p.pairing, [1, 2])
    fit = fit_scaling(p.fused_logits[rows].astype(float), p.fused_labels[rows] == 1, False)
    assert found[0]["temperature"] == pytest.approx(1 / fit.slope)
    coming = np.isin(p.fused_generator_ids, [3, 4]) | np.isin(p.pairing, [3, 4])
    z = fit.slope * p.fused_logits[coming].astype(float)
    expected = np.mean(np.logaddexp(0, np.where(p.fused_labels[coming] == 1, -z, z)))
    assert found[0]["next"]["temperature"]["nll"] == pytest.approx(expected)
    assert set(scaled_groups(e, 0)) == {"before", "temperature"}
    assert scaled_groups(e, 2) == {}


def test_reliability_bins_hold_every_image() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.random(1000), rng.integers(0, 2, 1000)
    expected, observed, counts = reliability(Group.of(scores, labels))
    assert counts.sum() == 1000
    assert len(counts) == 15
    assert np.dot(expected, counts) == pytest.approx(scores.sum())
    assert np.dot(observed, counts) == labels.sum()
