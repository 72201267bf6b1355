"""Operating points: what is promised on Past, what is met on Next, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from evaluation_made_up import made_up
from scipy.stats import binom

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics.operating import CROSSED, MISSED, OperatingPoint, Rates, operating_points
from aigenbench.evaluation.statistics.thresholds import carried_forward
from aigenbench.json_text import parse_json

WINDOWS = (("A", "B", "C", "D"), ("E", "F", "G", "H"))


def experiment(p: Predictions, window: int = 0) -> ExperimentPredictions:
    return assemble("e", "validate", {window: p}, "e")


def with_logits(p: Predictions, logits: np.ndarray) -> Predictions:
    logits = logits.astype(np.float32)
    return replace(p, fused_logits=logits, crop_logits=logits)


def test_thresholds_keep_what_they_promise_on_past_and_are_measured_on_next() -> None:
    p = made_up(60, WINDOWS)
    _, points = operating_points(experiment(p), 0)
    groups = WindowGroups(p)
    past, coming = groups.period("growing", 0), groups.period("immediate_future", 0)
    for point in points:
        assert point.fitted.false_positives.value <= point.fpr
        assert point.fitted.fakes_called_real.value <= MISSED
        assert point.low <= point.threshold <= point.high
        ranks = coming.rows.ranks
        assert point.period == "Next"
        assert point.measured.reals_called_generated.count == int((ranks[~coming.fakes] > point.high).sum())
        assert point.measured.fakes_called_real.count == int((ranks[coming.fakes] < point.low).sum())
        for rates, group in ((point.fitted, past), (point.measured, coming)):
            assert rates.recall.of == rates.fakes_unsure.of == group.n_fakes
            assert rates.false_positives.of == rates.reals_unsure.of == group.n_reals
    (carried,) = carried_forward(experiment(p))
    assert points[1].threshold == carried["threshold"]
    assert points[1].measured.recall.value == carried["next"]["recall"]
    assert list(points[1].measured.false_positives.interval) == carried["next_intervals"]["false_positive_rate"]


def test_where_the_classes_lie_apart_the_band_is_what_lies_between_them() -> None:
    p = made_up(40, WINDOWS)
    rng = np.random.default_rng(3)
    _, points = operating_points(experiment(with_logits(p, 20 * p.fused_labels - 10 + rng.normal(size=len(p)))), 0)
    for point in points:
        assert point.threshold == point.low < 0 < point.high
        assert point.fitted.reals_called_generated.count == point.fitted.fakes_called_real.count == 0


def test_the_last_window_is_measured_on_past_by_cross_fitting() -> None:
    p = made_up(40, WINDOWS, window=1)
    _, points = operating_points(experiment(p, 1), 1)
    for point in points:
        assert point.period == CROSSED
        assert point.measured.recall.of == point.fitted.recall.of
        assert point.measured != point.fitted


def test_too_few_images_are_said() -> None:
    _, (strict, loose) = operating_points(experiment(made_up(10, WINDOWS)), 0)
    assert "fitted on 40 real images, of which 1 % is less than one" in strict.note
    assert not loose.note
    assert strict.measured.reals_called_generated.interval[1] > 0.08
    with pytest.raises(InputError, match="has 1 real and 1 generated images to fit thresholds on; at least two pairs"):
        operating_points(experiment(made_up(1, (("A",), ("B",)))), 0)


def test_a_point_is_read_as_it_was_written() -> None:
    import json

    _, points = operating_points(experiment(made_up(20, WINDOWS)), 0)
    for point in points:
        assert OperatingPoint.from_record(parse_json(json.dumps(point.to_record()), "x")) == point


COVERED = ("recall", "false_positives", "reals_called_generated", "fakes_called_real", "reals_unsure", "fakes_unsure")


def truths(point: OperatingPoint, distance: float) -> dict[str, float]:
    """The rates of a detector whose logits are unit normals, those of fakes ``distance`` higher."""
    reals, fakes = NormalDist(0, 1), NormalDist(distance, 1)
    return {
        "recall": 1 - fakes.cdf(point.threshold),
        "false_positives": 1 - reals.cdf(point.threshold),
        "reals_called_generated": 1 - reals.cdf(point.high),
        "fakes_called_real": fakes.cdf(point.low),
        "reals_unsure": reals.cdf(point.high) - reals.cdf(point.low),
        "fakes_unsure": fakes.cdf(point.high) - fakes.cdf(point.low),
    }


def covered(rates: Rates, true: dict[str, float]) -> dict[str, bool]:
    intervals = {name: getattr(rates, name).interval for name in COVERED}
    return {name: bool(low <= true[name] <= high) for name, (low, high) in intervals.items()}


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("detectors", [100, pytest.param(1000, marks=pytest.mark.campaign)])
def test_measured_rates_are_as_sure_as_they_say(
    detectors: int, window: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(11 + window)
    base = made_up(100, WINDOWS, window=window)
    counts: dict[tuple[float, str], int] = {}
    for distance in np.linspace(0.5, 3.5, detectors):
        logits = rng.normal(size=len(base)) + distance * base.fused_labels
        _, points = operating_points(experiment(with_logits(base, logits), window), window)
        for point in points:
            for name, is_covered in covered(point.measured, truths(point, distance)).items():
                counts[point.fpr, name] = counts.get((point.fpr, name), 0) + is_covered
    with capsys.disabled():
        print(f"\nwindow {window}, covered of {detectors}: {counts}")  # noqa: T201
    assert min(counts.values()) >= binom.ppf(0.001, detectors, 0.95), counts
    assert sum(counts.values()) >= 0.94 * detectors * len(counts)
