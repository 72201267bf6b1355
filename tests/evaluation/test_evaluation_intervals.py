from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.statistics.intervals import (
    Placements,
    delong,
    delong_shift,
    delong_variance,
    holm,
    outward,
    p_value,
    percentiles,
    two_sided_p,
    wilson,
)


@given(st.integers(0, 50), st.integers(1, 50), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(successes: int, more: int, level: float) -> None:
    trials = successes + more - 1 or 1
    expected = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert wilson(successes, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_trials() -> None:
    assert np.isnan(wilson(0, 0)).all()


def direct_delong(scores: np.ndarray, labels: np.ndarray) -> float:
    fakes, reals = scores[labels == 1], scores[labels == 0]
    kernel = np.array([[(f > r) + (f == r) / 2 for r in reals] for f in fakes])
    area, m, n = kernel.mean(), len(fakes), len(reals)
    of_fakes = sum((kernel[i].mean() - area) ** 2 for i in range(m)) / (m - 1)
    of_reals = sum((kernel[:, j].mean() - area) ** 2 for j in range(n)) / (n - 1)
    return of_fakes / m + of_reals / n


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 40), st.integers(0, 2**32), st.sampled_from([0, 1, 6]))
def test_delong_equals_the_direct_double_sum(n: int, seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 0, 1, 1], rng.integers(0, 2, n - 4))
    scores = (rng.random(n) / 2 + 0.3 * labels).round(digits)
    group = Group.of(scores, labels)
    assert delong_variance(group) == pytest.approx(direct_delong(scores, labels), abs=1e-12)
    assert Placements.of(group).fakes.mean() == pytest.approx(Placements.of(group).reals.mean())


def test_delong_stays_inside_the_unit_interval_and_is_never_empty() -> None:
    labels = np.repeat([0, 1], 30)
    low, high = delong(Group.of(np.linspace(0, 1, 60), labels))
    assert 0.8 < low < high == 1.0
    low, high = delong(Group.of(np.append(np.linspace(0, 1, 59), 0.4), labels))
    assert 0 < low < high < 1
    assert np.isnan(delong(Group.of(np.linspace(0, 1, 3), np.array([0, 0, 1])))).all()


def test_percentiles_leave_out_what_is_undefined() -> None:
    assert percentiles(np.append(np.arange(101.0), np.nan), 0.9) == pytest.approx((5.0, 95.0))
    assert np.isnan(percentiles(np.full(3, np.nan))).all()


def test_p_has_no_floor_where_zero_is_far_away() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(1, 0.4, 2000), rng.normal(38, 2, 2000)
    p, source = p_value(near)
    assert source == "bootstrap"
    assert p == two_sided_p(near) > 0.005
    p, source = p_value(far)
    assert source == "normal tail"
    assert max(holm([p] * 55)) < 1e-10
    # a little beyond the last draw, the tail goes on from where the draws end
    edge = rng.normal(3.6, 1, 2000)
    edge = edge[edge > 0]
    assert 2e-4 < p_value(edge)[0] <= 2 / (len(edge) + 1)


@given(st.floats(-1, 1), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(0, 3))
def test_printed_bounds_hold_what_the_interval_holds(value: float, below: float, above: float, digits: int) -> None:
    text = outward([100 * (value - below), 100 * (value + above)], digits)
    low, high = (float(bound) for bound in text.strip("[]").split(", "))
    assert low - 1e-9 <= 100 * value <= high + 1e-9
    assert float(f"{100 * value:.{digits}f}") >= low
    assert float(f"{100 * value:.{digits}f}") <= high


def test_printed_bounds_that_are_round_stay() -> None:
    assert outward([75.1, 81.2], 1) == "[75.1, 81.2]"
    assert outward([-0.3, 0.7], 1, "+") == "[-0.3, +0.7]"
    assert outward([-0.0, 100.0], 0) == "[0, 100]"


def test_two_sided_p() -> None:
    assert two_sided_p(np.ones(999)) == 2 / 1000
    assert two_sided_p(np.append(np.ones(98), [-1.0])) == 0.04
    assert two_sided_p(np.zeros(9)) == 1.0
    assert np.isnan(two_sided_p(np.full(2, np.nan)))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    adjusted = holm([float("nan"), 0.02])
    assert np.isnan(adjusted[0])
    assert adjusted[1] == 0.02
    assert holm([]) == []


def test_a_shift_of_auroc_that_every_image_takes_part_in() -> None:
    rng = np.random.default_rng(5)
    fakes = np.arange(400) % 2 == 1
    before = rng.normal(fakes * 1.0)
    after = before + rng.normal(0, 0.3, 400)
    shift, (low, high) = delong_shift(before, after, fakes)
    areas = [
        stats.mannwhitneyu(x[fakes], x[~fakes]).statistic / (fakes.sum() * (~fakes).sum()) for x in (before, after)
    ]
    assert shift == pytest.approx(areas[1] - areas[0])
    # resampled images, each with both scores
    drawn = [rng.integers(0, 400, 400) for _ in range(2000)]
    moved = [
        delong_shift(before[rows], after[rows], fakes[rows])[0] for rows in drawn if 0 < fakes[rows].sum() < len(rows)
    ]
    assert np.std(moved) == pytest.approx((high - low) / 2 / 1.96, rel=0.1)
    assert delong_shift(before, before, fakes) == (0.0, (0.0, 0.0))
    assert np.isnan(delong_shift(before[fakes], after[fakes], fakes[fakes])[0])


def test_intervals_of_shifts_hold_the_truth() -> None:
    rng, held = np.random.default_rng(6), 0
    fakes = np.arange(200) % 2 == 1
    truth = stats.norm.cdf(1.2 / np.sqrt(2)) - stats.norm.cdf(1.0 / np.sqrt(2))
    for _ in range(400):
        noise = rng.normal(size=200)
        before = noise + fakes * 1.0
        after = 0.6 * noise + 0.8 * rng.normal(size=200) + fakes * 1.2
        _, (low, high) = delong_shift(before, after, fakes)
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98
