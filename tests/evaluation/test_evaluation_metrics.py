from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from aigenbench.evaluation.metrics.definitions import METRICS, compute
from aigenbench.evaluation.metrics.group import Group


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, few or none, constant ones, and labels of one class or both."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([1, 2, 5, 10**6]))
    scores = (
        rng.integers(0, levels + 1, n) / levels if levels > 1 else np.full(n, draw(st.sampled_from([0.0, 0.5, 1.0])))
    )
    labels = (rng.random(n) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))).astype(int)
    return scores, labels


def of(scores: np.ndarray, labels: np.ndarray, threshold: float = 0.5) -> dict[str, float | None]:
    return compute(Group.of(scores, labels, threshold=threshold))


def near(ours: float | None, theirs: float) -> None:
    assert (ours is None) == bool(np.isnan(theirs))
    if ours is not None:
        assert ours == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(scored(), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_every_metric_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    scores, labels = case
    ours = of(scores, labels, threshold)
    called = (scores > threshold).astype(int)
    both = 0 < labels.sum() < len(labels)
    nan = float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near(ours["auroc"], sk.roc_auc_score(labels, scores) if both else nan)
        near(ours["average_precision"], sk.average_precision_score(labels, scores) if both else nan)
        near(ours["accuracy"], sk.accuracy_score(labels, called))
        near(ours["balanced_accuracy"], sk.balanced_accuracy_score(labels, called) if both else nan)
        near(ours["precision"], sk.precision_score(labels, called, zero_division=nan))
        near(ours["recall"], sk.recall_score(labels, called, zero_division=nan))
        near(ours["specificity"], sk.recall_score(1 - labels, 1 - called, zero_division=nan))
        near(ours["f1"], sk.f1_score(labels, called, zero_division=nan))
        tn, fp, fn, tp = sk.confusion_matrix(labels, called, labels=[0, 1]).ravel()
    assert (ours["tn"], ours["fp"], ours["fn"], ours["tp"]) == (tn, fp, fn, tp)


@settings(max_examples=100, deadline=None)
@given(scored())
def test_the_curve_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    curve = Group.of(scores, labels).curve
    for threshold, tps, fps in zip(curve.thresholds, curve.tps, curve.fps, strict=True):
        assert tps == np.sum((scores >= threshold) & (labels == 1))
        assert fps == np.sum((scores >= threshold) & (labels == 0))
    assert len(curve.thresholds) == len(np.unique(scores))


def test_rankings_use_logits_where_scores_round_to_one() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.array([40.0, 41.0, 42.0, 43.0], np.float32)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert compute(Group.of(scores, labels))["auroc"] == 0.5
    assert compute(Group.of(scores, labels, logits))["auroc"] == 0.75


def test_a_score_at_the_threshold_is_real() -> None:
    assert of(np.array([0.5, np.nextafter(0.5, 1)]), np.array([1, 1]))["recall"] == 0.5


def test_the_threshold_does_not_move_rankings() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random(200), rng.integers(0, 2, 200)
    low, high = of(scores, labels, 0.1), of(scores, labels, 0.9)
    assert low["auroc"] == high["auroc"]
    assert low["average_precision"] == high["average_precision"]
    assert low["recall"] != high["recall"]


def test_an_empty_group_has_no_values() -> None:
    assert set(of(np.zeros(0), np.zeros(0)).values()) == {None}


def test_a_metric_of_ones_own_is_a_function_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "mean_score", lambda group: float(group.scores.mean()))
    assert of(np.array([0.25, 0.75]), np.array([0, 1]))["mean_score"] == 0.5


def test_counts_stay_exact_at_benchmark_size() -> None:
    n = 36_000
    fakes = np.arange(2 * n) < n
    group = Group.of(np.linspace(1, 0, 2 * n), fakes)
    assert compute(group)["auroc"] == 1.0


@settings(max_examples=100, deadline=None)
@given(scored())
def test_operating_points_equal_their_definitions(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    ours = of(scores, labels)
    if not 0 < labels.sum() < len(labels):
        assert ours["eer"] is None
        assert ours["tpr_at_fpr_5"] is None
        return
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    for limit in (1, 5, 10):
        assert ours[f"tpr_at_fpr_{limit}"] == pytest.approx(tpr[fpr <= limit / 100].max())
    eer = ours["eer"]
    assert eer is not None
    # the polyline through the ROC points passes through (eer, 1 - eer)
    distances = [
        abs((1 - eer - tpr[i]) * (fpr[i + 1] - fpr[i]) - (eer - fpr[i]) * (tpr[i + 1] - tpr[i]))
        for i in range(len(fpr) - 1)
        if fpr[i] - 1e-12 <= eer <= fpr[i + 1] + 1e-12 and tpr[i] - 1e-12 <= 1 - eer <= tpr[i + 1] + 1e-12
    ]
    assert min(distances) < 1e-12


@settings(max_examples=100, deadline=None)
@given(scored())
def test_best_f1_is_reached_at_its_threshold(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    ours = of(scores, labels)
    if not labels.any():
        assert ours["best_f1"] is None
        return
    everything = [sk.f1_score(labels, scores >= t) for t in np.unique(scores)]
    assert ours["best_f1"] == pytest.approx(max(everything))
    assert of(scores, labels, ours["best_f1_threshold"])["f1"] == ours["best_f1"]  # type: ignore[arg-type]


def test_the_best_threshold_works_on_scores_as_files_hold_them() -> None:
    # compared with a float32 score, a threshold is rounded to float32
    scores = np.array([0.3, 0.7, 0.1, 0.6], dtype=np.float32)
    labels = np.array([1, 1, 0, 0])
    ours = of(scores, labels)
    assert ours["best_f1"] == pytest.approx(0.8)
    assert of(scores, labels, ours["best_f1_threshold"])["f1"] == ours["best_f1"]  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(scored(), st.randoms(use_true_random=False))
def test_probability_metrics_equal_their_definitions(case: tuple[np.ndarray, np.ndarray], order: object) -> None:
    scores, labels = case
    ours = of(scores, labels)
    assert ours["brier"] == pytest.approx(np.mean((scores - labels) ** 2))
    eps = np.finfo(np.float64).eps
    assert ours["nll"] == pytest.approx(sk.log_loss(labels, np.clip(scores, eps, 1 - eps), labels=[0, 1]), abs=1e-9)
    n = len(scores)
    bins: dict[int, list[int]] = {}
    for i, score in enumerate(scores):
        above, ties = np.sum(scores > score), np.sum(scores == score)
        bins.setdefault(int((above + ties / 2) / n * 15), []).append(i)
    expected = sum(abs(sum(scores[rows] - labels[rows])) for rows in map(np.array, bins.values())) / n
    assert ours["ece"] == pytest.approx(expected, abs=1e-12)
    shuffled = np.arange(n)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(scores[shuffled], labels[shuffled])["ece"] == pytest.approx(expected, abs=1e-12)


def test_bins_follow_scores_where_logits_rank_otherwise() -> None:
    scores = np.array([0.9, 0.1, 0.5, 0.7])
    mixed = Group.of(scores, np.array([1, 0, 0, 1]), logits=np.array([0.0, 1.0, 2.0, 3.0]))
    plain = Group.of(scores, np.array([1, 0, 0, 1]))
    assert compute(mixed, ("ece",)) == compute(plain, ("ece",))


@settings(max_examples=100, deadline=None)
@given(scored(), st.integers(0, 2**32))
def test_weights_count_an_image_more_than_once(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    scores, labels = case
    logits = np.random.default_rng(seed).normal(size=len(scores)).round(1)
    weights = np.random.default_rng(seed).poisson(1, len(scores))
    group = Group.of(scores, labels, logits)
    order = np.argsort(-logits, kind="stable")
    repeated = Group.of(*(np.repeat(a, weights) for a in (scores, labels, logits)))
    assert compute(group.weighted(weights[order])) == pytest.approx(compute(repeated), abs=1e-12)
