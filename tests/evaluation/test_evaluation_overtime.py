from __future__ import annotations

import numpy as np
import pytest
from evaluation_made_up import made_up

from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.over_time import TRANSFERS, generator_matrix, over_time, transfers
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble
from aigenbench.evaluation.statistics.bootstrap import bootstrap_auroc, bootstrap_generators
from aigenbench.evaluation.statistics.derived import over_time_intervals
from aigenbench.evaluation.statistics.intervals import wilson
from aigenbench.evaluation.statistics.thresholds import carried_forward, threshold_at_fpr


def scores_of(matrix: list[list[float | None]], coming: list[float | None]) -> dict[str, object]:
    return {
        "windows": [["A"], ["B"], ["C"]],
        "generators": {name: {"auroc": row} for name, row in zip("ABC", matrix, strict=True)},
        "periods": {"growing": {"auroc": [0.9, 0.8, 0.7]}, "immediate_future": {"auroc": coming}},
    }


def test_transfer_and_forgetting_by_hand() -> None:
    found = over_time(scores_of([[0.9, 0.95, 0.7], [0.6, 0.9, 0.8], [0.5, 0.7, 0.9]], [0.6, 0.7, None]))
    a, b, c = (found["generators"][name] for name in "ABC")
    assert a == {
        "entered": 0,
        "forgetting": pytest.approx(0.25),
        "backward_transfer": pytest.approx(-0.2),
        "forward_transfer": None,
    }
    assert b["forgetting"] == pytest.approx(0.1)
    assert b["forward_transfer"] == pytest.approx(0.1)
    assert c["forgetting"] is None
    assert c["backward_transfer"] is None
    assert c["forward_transfer"] == pytest.approx(0.2)
    assert found["mean"]["forward_transfer"] == pytest.approx(0.15)
    assert found["drop"] == [pytest.approx(0.3), pytest.approx(0.1), None]
    assert found["area"] == pytest.approx(0.65)


def test_missing_windows_leave_what_can_be_told() -> None:
    found = over_time(scores_of([[None, 0.95, 0.7], [None, None, 0.8], [None] * 3], [None, 0.7, None]))
    assert found["generators"]["A"]["forgetting"] == pytest.approx(0.25)
    assert found["generators"]["A"]["backward_transfer"] is None
    assert found["generators"]["C"]["forward_transfer"] is None
    assert found["area"] == 0.7


def experiment() -> ExperimentPredictions:
    return assemble("e", "validate", {k: made_up(50, window=k) for k in range(3)}, "e")


def test_the_matrix_is_in_timeline_order() -> None:
    names, entered, matrix = generator_matrix(score(experiment()))
    assert names == list("ABCDE")
    assert entered == [0, 0, 1, 1, 2]
    assert matrix.shape == (5, 3)
    assert not np.isnan(matrix).any()


@pytest.mark.parametrize("fpr", [0.0, 0.05, 0.2, 1.0])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(fpr: float) -> None:
    reals = np.random.default_rng(0).random(40).round(1)
    threshold = threshold_at_fpr(Group.of(np.append(reals, 0.9), np.append(np.zeros(40), 1)), fpr)
    assert np.mean(reals > threshold) <= fpr
    lower = reals[reals < threshold]
    if len(lower):
        assert np.mean(reals > lower.max()) > fpr


def test_a_threshold_is_carried_to_the_next_period() -> None:
    e = experiment()
    points = carried_forward(e, 0.1)
    p = e.windows[0]
    reals = np.isin(p.pairing, [1, 2])
    threshold = np.sort(p.fused_logits[reals])[::-1][10]
    assert points[0]["threshold"] == threshold
    assert points[0]["past"]["false_positive_rate"] <= 0.1
    fakes, later = np.isin(p.fused_generator_ids, [3, 4]), np.isin(p.pairing, [3, 4])
    assert points[0]["next"]["recall"] == np.mean(p.fused_logits[fakes] > threshold)
    assert points[0]["next"]["false_positive_rate"] == np.mean(p.fused_logits[later] > threshold)
    assert points[2]["next"]["recall"] is None
    assert points[2]["next_intervals"]["recall"] is None
    assert points[0]["next_intervals"]["recall"] == list(wilson(int((p.fused_logits[fakes] > threshold).sum()), 100))
    for side in ("past", "next"):
        for name, value in points[0][side].items():
            low, high = points[0][f"{side}_intervals"][name]
            assert low <= value <= high


def test_intervals_over_time_come_from_shared_draws() -> None:
    e = experiment()
    scores = score(e)
    images, generators = bootstrap_auroc(e, 80), bootstrap_generators(e, 80)
    found, points = over_time_intervals(scores, images, generators), over_time(scores)
    drops = images.periods["growing"] - images.periods["immediate_future"]
    assert found["drop"][1] == pytest.approx(np.quantile(drops[:, 1], [0.025, 0.975]).tolist())
    assert found["drop"][2] is None
    backward = generators["A"][:, 2] - generators["A"][:, 0]
    assert found["generators"]["A"]["backward_transfer"] == pytest.approx(
        np.quantile(backward, [0.025, 0.975]).tolist()
    )
    assert found["generators"]["A"]["forward_transfer"] is None
    lost = generators["B"][:, :2].max(axis=1) - generators["B"][:, 2]
    low, high = np.quantile(lost - lost.mean(), [0.025, 0.975])
    forgetting = points["generators"]["B"]["forgetting"]
    assert found["generators"]["B"]["forgetting"] == pytest.approx([forgetting + low, forgetting + high])
    for name, (low, high) in {m: found["mean"][m] for m in TRANSFERS}.items():
        assert low < points["mean"][name] < high
    for name in ("mean_drop", "area"):
        assert found[name][0] < points[name] < found[name][1]


def test_transfers_of_many_rows_at_once() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((5, 4))
    rows[1, 2] = np.nan
    rows[2, 1:3] = np.nan
    for entered in range(4):
        at_once = transfers(rows, entered)
        for i, row in enumerate(rows):
            for name, value in transfers(row, entered).items():
                np.testing.assert_equal(at_once[name][i], value)
    assert transfers(rows, 1)["forgetting"][0] == rows[0, 1:3].max() - rows[0, 3]
    assert transfers(rows, 1)["forgetting"][1] == rows[1, 1] - rows[1, 3]
    assert np.isnan(transfers(rows, 1)["forgetting"][2])
