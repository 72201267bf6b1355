from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from aigenbench.evaluation.metrics import METRICS, Curve, Group, compute


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


@settings(max_examples=300, deadline=None)
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
    assert Curve.of_sorted(np.zeros(2 * n), fakes).tps.tolist() == [n]
