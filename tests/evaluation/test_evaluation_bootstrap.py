from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from evaluation_made_up import WINDOWS, made_up
from sklearn.metrics import roc_auc_score

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics import draws
from aigenbench.evaluation.statistics import generators as other_generators
from aigenbench.evaluation.statistics.bootstrap import (
    bootstrap_auroc,
    bootstrap_generators,
    bootstrap_metrics,
    row_means,
)
from aigenbench.evaluation.statistics.draws import Draws, pair_up
from aigenbench.evaluation.statistics.generators import _draws, resample_generators
from aigenbench.evaluation.statistics.intervals import wilson
from aigenbench.evaluation.statistics.ranked import Ranked
from aigenbench.evaluation.statistics.uncertainty import Effort, uncertainty


def experiment(n: int = 20, windows: int = 3, **kwargs: float) -> ExperimentPredictions:
    return assemble("e", "validate", {k: made_up(n, window=k, **kwargs) for k in range(windows)}, "e")  # type: ignore[arg-type]


def test_pairs_are_the_protocols() -> None:
    p = made_up()
    fakes, reals = np.flatnonzero(p.fused_labels == 1), np.flatnonzero(p.fused_labels == 0).tolist()
    random.Random(1341).shuffle(reals)
    pairs = pair_up(p)
    for fake, real in zip(fakes, reals, strict=True):
        assert pairs.of_image[fake] == pairs.of_image[real]
        assert pairs.strata[pairs.of_image[fake]] == p.fused_generator_ids[fake]
    assert (np.diff(pairs.strata) >= 0).all()


def test_another_pairing_is_paired_within_generators() -> None:
    p = made_up()
    reals = np.flatnonzero(p.pairing != -1)
    other = p.pairing.copy()
    other[reals] = other[reals[::-1]]
    pairs = pair_up(replace(p, pairing=other))
    for image in range(len(p)):
        generator = p.fused_generator_ids[image] if other[image] == -1 else other[image]
        assert pairs.strata[pairs.of_image[image]] == generator
    assert np.bincount(pairs.of_image).tolist() == [2] * len(pairs)


def test_unequal_numbers_are_refused() -> None:
    p = made_up()
    other = p.pairing.copy()
    other[np.flatnonzero(other == 1)[0]] = 2
    with pytest.raises(InputError, match="generator 'A' has 20 fakes and 19 paired reals"):
        pair_up(replace(p, pairing=other))


def test_a_draw_keeps_each_generators_number_and_depends_on_its_name_alone() -> None:
    pairs = pair_up(made_up())
    weights = Draws(pairs).weights(3)
    assert np.bincount(pairs.strata, weights).tolist() == [0, 20, 20, 20, 20, 20]
    np.testing.assert_array_equal(Draws(pairs).weights(3), weights)
    assert (Draws(pairs).weights(4) != weights).any()
    assert (Draws(pairs, seed=1).weights(3) != weights).any()


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_weighted_auroc_equals_scikit_learn(digits: int) -> None:
    rng = np.random.default_rng(digits)
    labels, scores = rng.integers(0, 2, 60), rng.random(60).round(digits)
    order = np.argsort(-scores, kind="stable")
    weights = rng.poisson(1, 60).astype(np.int32)
    whole, half = Group.of(scores, labels), order % 2 == 0
    expected = roc_auc_score(labels, scores, sample_weight=weights)
    assert Ranked.of([(whole, order)]).auroc(weights) == pytest.approx([expected])
    several = Ranked.of([(whole, order), (whole.take(half), order[half]), (whole, order)])
    rows = np.arange(60) % 2 == 0
    of_half = roc_auc_score(labels[rows], scores[rows], sample_weight=weights[rows])
    assert several.auroc(weights) == pytest.approx([expected, of_half, expected])
    assert np.isnan(several.auroc(np.zeros(60, np.int32))).all()


@pytest.mark.parametrize("pairing", [True, False])
def test_replicates_equal_scoring_the_drawn_images(pairing: bool) -> None:
    e = experiment(8)
    replicates = bootstrap_auroc(e, 3, pairing=pairing)
    generic = bootstrap_metrics(e, ("auroc", "f1"), ("growing", "immediate_future"), 3, pairing=pairing)
    for r in range(3):
        pairs = pair_up(e.first)
        for k, p in e.windows.items():
            weights = Draws(pairs).weights(r)[pairs.of_image]
            for period, names in (("growing", WINDOWS[: k + 1]), ("immediate_future", WINDOWS[k + 1 : k + 2])):
                ids = [p.generator_id_to_name.index(name) for names_ in names for name in names_]
                rows = np.isin(p.fused_generator_ids, ids)
                rows |= np.isin(p.pairing, ids) if pairing else (p.fused_labels == 0) & bool(ids)
                value = replicates.periods[period][r, k]
                assert generic[period]["auroc"][r, k] == pytest.approx(value, nan_ok=True)
                if ids:
                    expected = roc_auc_score(p.fused_labels[rows], p.fused_logits[rows], sample_weight=weights[rows])
                    assert value == pytest.approx(expected)
                else:
                    assert np.isnan(value)


def test_generators_are_replicated_from_the_same_draws() -> None:
    e = experiment(8)
    replicates = bootstrap_generators(e, 3)
    pairs, p = pair_up(e.first), e.windows[1]
    for r in range(3):
        weights = Draws(pairs).weights(r)[pairs.of_image]
        for name in "ABCDE":
            of = p.generator_id_to_name.index(name)
            rows = (p.fused_generator_ids == of) | (p.pairing == of)
            expected = roc_auc_score(p.fused_labels[rows], p.fused_logits[rows], sample_weight=weights[rows])
            assert replicates[name][r, 1] == pytest.approx(expected)


def test_a_metric_of_ones_own_gets_the_drawn_images_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "mean_fake_score", lambda group: float(group.scores[group.fakes].mean()))
    e = experiment(8)
    found = bootstrap_metrics(e, ("mean_fake_score", "recall"), ("growing",), 3)["growing"]
    pairs, p = pair_up(e.first), e.windows[2]
    for r in range(3):
        weights = Draws(pairs).weights(r)[pairs.of_image] * (p.fused_labels == 1)
        assert found["mean_fake_score"][r, 2] == pytest.approx(np.average(p.fused_scores, weights=weights))
        assert found["recall"][r, 2] == pytest.approx(np.average(p.fused_scores > 0.5, weights=weights))
    assert "mean_fake_score" in uncertainty(e, effort=Effort(5, 5))["periods"]["growing"]


def test_a_metric_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "odd", lambda group: group.nothing)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"the metric 'odd' failed: AttributeError: .*nothing"):
        score(experiment(8))
    monkeypatch.setitem(METRICS, "odd", lambda group: "high")
    with pytest.raises(InputError, match="the metric 'odd' must give a number, found 'high'"):
        score(experiment(8))


def test_rows_in_another_order_give_the_same_replicates() -> None:
    e = experiment()
    order = np.random.default_rng(0).permutation(len(e.first))
    names = [
        f"{a}_{b}" for a in ("fused", "crop") for b in ("scores", "labels", "generator_ids", "identifiers", "logits")
    ]
    shuffled = {k: replace(p, **{name: getattr(p, name)[order] for name in names}) for k, p in e.windows.items()}
    np.testing.assert_array_equal(
        bootstrap_auroc(replace(e, windows=shuffled), 5).headline, bootstrap_auroc(e, 5).headline
    )


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    two = bootstrap_auroc(experiment(), 20).headline
    monkeypatch.setattr(draws, "THREADS", 1)
    np.testing.assert_array_equal(bootstrap_auroc(experiment(), 20).headline, two)


def test_the_spread_is_that_of_new_images() -> None:
    """The bootstrap's standard deviation against that over detectors scored on fresh noise."""

    def headline(seed: int) -> float:
        rng = np.random.default_rng(seed)
        windows = {}
        for k in range(3):
            p = made_up(40, window=k)
            logits = (p.fused_labels + rng.normal(size=len(p))).astype(np.float32)
            windows[k] = replace(p, fused_logits=logits, crop_logits=logits)
        e = assemble("e", "validate", windows, "e")
        spreads.append(float(bootstrap_auroc(e, 60).headline.std()))
        return float(score(e)["headline"]["mean"])

    spreads: list[float] = []
    values = [headline(seed) for seed in range(40)]
    assert np.mean(spreads) == pytest.approx(np.std(values), rel=0.3)


def test_row_means() -> None:
    np.testing.assert_array_equal(row_means(np.array([[1, np.nan, 3], [np.nan] * 3])), [2, np.nan])


def test_missing_windows_have_no_replicates() -> None:
    e = experiment()
    partial = replace(e, windows={1: e.windows[1]})
    replicates = bootstrap_auroc(partial, 4)
    assert np.isnan(replicates.periods["growing"][:, [0, 2]]).all()
    np.testing.assert_array_equal(replicates.headline, replicates.periods["immediate_future"][:, 1])


def test_generator_draws_leave_one_out() -> None:
    drawn = _draws([2, 1, 4], 50, 0)
    assert drawn.shape == (50, 7)
    np.testing.assert_array_equal(drawn[:, :2].sum(axis=1), 1)
    np.testing.assert_array_equal(drawn[:, 2], 1)
    np.testing.assert_array_equal(drawn[:, 3:].sum(axis=1), 3)


@pytest.mark.parametrize("pairing", [True, False])
def test_generator_replicates_equal_scoring_the_drawn_generators(
    pairing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_generators, "FEWEST_GENERATORS", 1)
    e = experiment(6)
    replicates = resample_generators(e, 4, seed=1, pairing=pairing)
    drawn = _draws([2, 2, 1], 4, 1)
    p = e.windows[0]
    for r in range(4):
        of_fakes = {p.generator_id_to_name.index(name): drawn[r, i] for i, name in enumerate("ABCDE")}
        counted = np.array(
            [
                of_fakes.get(g if g else (q if pairing else 0), 1.0)
                for g, q in zip(p.fused_generator_ids, p.pairing, strict=True)
            ]
        )
        rows = counted > 0
        expected = roc_auc_score(p.fused_labels[rows], p.fused_logits[rows], sample_weight=counted[rows])
        assert replicates.periods["all"][r, 0] == pytest.approx(expected)


@pytest.mark.parametrize("pairing", [True, False])
def test_every_value_lies_in_its_interval(pairing: bool) -> None:
    e = experiment(50)
    scores = score(e, pairing)
    found = uncertainty(e, pairing, effort=Effort(200, 100))
    low, high = found["headline"]["images"]
    assert low < scores["headline"]["mean"] < high
    for period, columns in found["periods"].items():
        names = (
            "auroc",
            "auroc_delong",
            "accuracy",
            "recall",
            "average_precision",
            "f1",
            "brier",
            "nll",
            "ece",
            "best_f1",
        )
        for name in names:
            values = scores["periods"][period][name.removesuffix("_delong")]
            for value, interval in zip(values, columns[name], strict=True):
                assert (value is None) == (interval is None)
                if interval:
                    assert interval[0] <= value <= interval[1]
    assert found["generators"]["E"][0][0] < scores["generators"]["E"]["auroc"][0] < found["generators"]["E"][0][1]


def test_perfect_rankings_are_no_certainty() -> None:
    windows = {}
    for k in range(3):
        p = made_up(10, window=k)
        logits = (4.0 * p.fused_labels - 2).astype(np.float32)
        windows[k] = replace(p, fused_logits=logits, crop_logits=logits)
    found = uncertainty(assemble("e", "validate", windows, "e"), effort=Effort(20, 0))
    columns = [found["periods"]["immediate_future"]["auroc"][k] for k in (0, 1)]
    assert columns == [list(wilson(20, 20)), list(wilson(10, 10))]
    low, high = found["headline"]["images"]
    assert low == pytest.approx((columns[0][0] + columns[1][0]) / 2)
    assert high == 1
    assert found["means"]["immediate_future"] == found["headline"]["images"]


FOURS = (("A", "B", "C", "D"), ("E", "F", "G", "H"), ("I", "J"))


def with_offsets(k: int, size: float) -> Predictions:
    """Every generator's fakes and their reals are moved together: drawn twice, a generator meets its own reals more."""
    p = made_up(12, FOURS, k, separation=1.0)
    moved = np.where(p.fused_labels == 1, p.fused_generator_ids, p.pairing)
    logits = (p.fused_logits + size * moved).astype(np.float32)  # type: ignore[operator]
    scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    return replace(p, fused_logits=logits, crop_logits=logits, fused_scores=scores, crop_scores=scores)


@pytest.mark.parametrize("size", [0.0, 3.0])
def test_intervals_over_generators_hold_their_value_or_are_not_given(size: float) -> None:
    e = assemble("e", "validate", {k: with_offsets(k, size) for k in range(3)}, "e")
    scores, found = score(e), uncertainty(e, effort=Effort(300, 0))
    for period, columns in found["periods"].items():
        for value, interval in zip(scores["periods"][period]["auroc"], columns["auroc_generators"], strict=True):
            assert interval is None or interval[0] <= value <= interval[1]
    coming, past = (found["periods"][p]["auroc_generators"] for p in ("immediate_future", "growing"))
    assert coming[0]
    # the next window holds two generators: too few to draw among
    assert coming[1] is None
    assert past[1]
    assert past[2] is None
    assert found["headline"]["generators"] is None


def test_the_headline_over_generators_is_of_the_windows_with_a_value() -> None:
    fours = {k: made_up(6, FOURS[:2], k) for k in range(2)}
    e = assemble("e", "validate", fours, "e")
    found = uncertainty(e, effort=Effort(100, 0))
    assert found["headline"]["generators"] == found["periods"]["immediate_future"]["auroc_generators"][0]
    low, high = found["headline"]["generators"]
    assert 0 <= low < score(e)["headline"]["mean"] < high <= 1
