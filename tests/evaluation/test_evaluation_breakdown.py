from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_made_up import made_up
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score

from aigenbench.evaluation.metrics.multiclass import judged, multiclass
from aigenbench.evaluation.predictions.experiment import assemble
from aigenbench.evaluation.report.derived_tables import breakdowns
from aigenbench.evaluation.statistics.breakdown import class_groups, class_scores
from aigenbench.evaluation.statistics.derived import class_intervals
from aigenbench.evaluation.statistics.intervals import interval_text, wilson


def test_rates_by_origin_and_size() -> None:
    p = made_up()
    e = assemble("e", "validate", {0: p}, "e")
    n = int(p.fused_identifiers.max()) + 1
    rng = np.random.default_rng(0)
    columns = {
        "origin_dataset": rng.choice(["COCO", "RAISE", ""], n),
        "width": rng.choice([200, 500, 1000, 4000], n),
        "height": np.full(n, 500),
    }
    classes = class_groups(e, columns)
    origins, sizes = breakdowns(classes, 0)
    assert [row[0].text for row in origins.rows] == ["not given", "COCO", "RAISE"]
    held = (columns["origin_dataset"][p.fused_identifiers] == "RAISE") & (p.fused_labels == 0)
    false = int((p.fused_scores[held] > 0.5).sum())
    assert origins.rows[2][1].value == held.sum()
    assert origins.rows[2][2].value == pytest.approx(false / held.sum())
    assert origins.rows[2][2].note == interval_text(wilson(false, int(held.sum())))
    assert [row[0].text for row in sizes.rows] == ["below 0.1 MP", "0.1 to 0.5 MP", "0.5 to 2 MP", "2 MP and more"]
    assert sizes.rows[0][1].text == "0"
    assert sizes.rows[0][2].text == "-"
    rows = columns["width"][p.fused_identifiers] == 1000
    held = rows & (p.fused_labels == 1)
    assert sizes.rows[2][4].value == pytest.approx(np.mean(p.fused_scores[held] > 0.5))
    large = sizes.rows[2][5]
    assert large.value == pytest.approx(roc_auc_score(p.fused_labels[rows], p.fused_logits[rows]))
    assert large.note.startswith("[")
    scores = class_scores(classes)
    assert scores["origins"]["RAISE"]["false_positive_rate"] == [origins.rows[2][2].value, None, None]
    assert scores["sizes"]["0.5 to 2 MP"]["auroc"] == [large.value, None, None]
    assert scores["sizes"]["below 0.1 MP"]["auroc"] == [None] * 3
    assert class_groups(e, {"width": columns["width"]}) == {}


@pytest.mark.parametrize("window", [0, 2])
def test_classes_equal_scikit_learn(window: int) -> None:
    p = made_up(window=window)
    rng = np.random.default_rng(window)
    given = rng.random((len(p), 6)) + np.eye(6)[p.fused_generator_ids] * 0.4
    p = replace(p, fused_multiclass_predictions=given.astype(np.float32))
    ids = [1, 2] if window == 0 else [1, 2, 3, 4, 5]
    rows = np.isin(p.fused_generator_ids, ids) | np.isin(p.pairing, ids)
    truth, scores = p.fused_generator_ids[rows], given.astype(np.float32)[rows]
    called = scores.argmax(axis=1)
    found = multiclass(p, window)
    assert found["class_accuracy"] == pytest.approx(accuracy_score(truth, called))
    recalls = [np.mean(called[truth == c] == c) for c in np.unique(truth)]
    assert found["class_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    if window == 2:
        assert found["class_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, called))
    assert found["class_macro_f1"] == pytest.approx(f1_score(truth, called, average="macro"))
    assert found["top3_accuracy"] == pytest.approx(top_k_accuracy_score(truth, scores, k=3, labels=range(6)))
    only = replace(p, fused_multiclass_predictions=given.argmax(axis=1).astype(np.float32))
    assert multiclass(only, window) == {**found, "top3_accuracy": None}


def test_class_metrics_of_drawn_images_are_those_of_the_images_repeated() -> None:
    rng = np.random.default_rng(3)
    windows = {}
    for k in range(3):
        p = made_up(window=k)
        given = rng.random((len(p), 6)) + np.eye(6)[p.fused_generator_ids] * 0.6
        windows[k] = replace(p, fused_multiclass_predictions=given.astype(np.float32))
    found = judged(windows[1], 1)
    counts = rng.poisson(1, len(found.rows))
    rows = np.repeat(np.arange(len(found.rows)), counts)
    weighted = found.measured(counts)
    assert weighted["class_accuracy"] == pytest.approx(accuracy_score(found.truth[rows], found.called[rows]))
    assert weighted["class_macro_f1"] == pytest.approx(f1_score(found.truth[rows], found.called[rows], average="macro"))
    assert weighted["top3_accuracy"] == pytest.approx(np.mean(found.among_three[rows]))
    e = assemble("e", "validate", windows, "e")
    intervals = class_intervals(e, 60)
    for k, p in windows.items():
        for name, value in multiclass(p, k).items():
            low, high = intervals[name][k]
            assert low < value < high
    assert class_intervals(assemble("b", "validate", {0: made_up()}, "b"), 5) is None


def test_binary_detectors_and_empty_periods_have_no_classes() -> None:
    assert set(multiclass(made_up(), 0).values()) == {None}
    p = made_up(window=2)
    p = replace(p, fused_multiclass_predictions=np.zeros((len(p), 6), np.float32))
    assert set(multiclass(p, 2, "immediate_future").values()) == {None}
