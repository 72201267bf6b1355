from __future__ import annotations

import numpy as np
import pytest
from evaluation_made_up import made_up
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.predictions.experiment import assemble
from aigenbench.evaluation.statistics.calibration import calibrate, fit_scaling, reliability
from aigenbench.evaluation.statistics.derived import calibration_intervals
from aigenbench.evaluation.statistics.draws import pair_up


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
    made = calibrate(e)
    found = [entry.measured() for entry in made]
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
    assert set(made[0].coming) == set(made[0].past) == {"before", "temperature", "platt"}
    assert made[2].coming["temperature"][0].n == 0
    assert [entry["past"]["platt"].keys() for entry in found] == [{"ece", "brier", "nll"}] * 3


def test_past_is_scaled_by_the_fit_of_the_other_half() -> None:
    e = assemble("e", "validate", {k: made_up(60, window=k, separation=4.0) for k in range(3)}, "e")
    p, pairs = e.windows[1], pair_up(e.first)
    group, of_rows = calibrate(e)[1].past["platt"]
    half = pairs.of_image % 2 == 1
    inside = p.fused_generator_ids + np.maximum(p.pairing, 0) <= 4
    for mine in (half, ~half):
        fit = fit_scaling(p.fused_logits[inside & ~mine].astype(float), p.fused_labels[inside & ~mine] == 1, True)
        expected = np.sort(fit.slope * p.fused_logits[inside & mine].astype(float) + fit.offset)
        rows = np.isin(of_rows, pairs.of_image[mine])
        np.testing.assert_allclose(np.sort(group.rows.logits[rows]), expected, rtol=1e-6)
    assert (np.diff(group.rows.ranks) <= 0).all()


def test_intervals_of_calibration_errors_hold_their_values() -> None:
    e = assemble("e", "validate", {k: made_up(100, window=k, separation=4.0) for k in range(2)}, "e")
    made = calibrate(e)
    bounds = calibration_intervals(e, made, 60)
    for entry, interval in zip([one.measured() for one in made], bounds, strict=True):
        for side in ("past", "next"):
            for method, values in entry[side].items():
                for name, value in values.items():
                    low, high = interval[side][method][name]
                    assert 0 <= low <= value <= high
                    assert low < high


def test_reliability_bins_hold_every_image() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.random(1000), rng.integers(0, 2, 1000)
    expected, observed, counts = reliability(Group.of(scores, labels))
    assert counts.sum() == 1000
    assert len(counts) == 15
    assert np.dot(expected, counts) == pytest.approx(scores.sum())
    assert np.dot(observed, counts) == labels.sum()
