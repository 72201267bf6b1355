from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_made_up import made_up

from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble
from aigenbench.evaluation.statistics.bootstrap import Replicates
from aigenbench.evaluation.statistics.compare import Model, compare, compare_models, comparison_table


def detector(name: str, seed: int = 0, separation: float = 1.5) -> ExperimentPredictions:
    windows = {k: made_up(40, window=k, seed=seed, separation=separation) for k in range(3)}
    return assemble(name, "validate", windows, name)


def test_a_better_detector_is_told_from_a_worse_one() -> None:
    a, b, same = detector("a", separation=3.0), detector("b"), detector("same", seed=1)
    result = compare([a, b, same], 300)
    by_pair = {(d["a"], d["b"]): d for d in result["differences"]}
    better = by_pair["a", "b"]["headline"]
    expected = score(a)["headline"]["mean"] - score(b)["headline"]["mean"]
    assert better["difference"] == pytest.approx(expected)
    assert better["interval"][0] > 0
    assert better["p"] < better["p_holm"] < 0.05
    assert by_pair["b", "same"]["headline"]["p_holm"] > 0.05
    assert "a - b: +" in comparison_table(result)


def test_pairing_makes_the_interval_narrower_than_independent_ones() -> None:
    result = compare([detector("a"), detector("b", seed=1)], 300)
    low, high = result["differences"][0]["headline"]["interval"]
    widths = [v["interval"][1] - v["interval"][0] for v in result["results"].values()]
    assert high - low < 0.9 * float(np.hypot(*widths))


def test_a_detector_equals_itself() -> None:
    result = compare([detector("a"), detector("b")], 50)
    headline = result["differences"][0]["headline"]
    assert headline["difference"] == 0
    assert headline["interval"] == [0, 0]
    assert headline["p"] == headline["p_holm"] == 1.0


def test_only_shared_windows_enter() -> None:
    a, b = detector("a", separation=3.0), detector("b")
    partial = replace(a, windows={1: a.windows[1]})
    headline = compare([partial, b], 20)["differences"][0]["headline"]
    one = score(a)["periods"]["immediate_future"]["auroc"][1] - score(b)["periods"]["immediate_future"]["auroc"][1]
    assert headline["difference"] == pytest.approx(one)


def test_runs_without_a_common_window() -> None:
    a, b = detector("a"), detector("b")
    result = compare([replace(a, windows={0: a.windows[0]}), replace(b, windows={1: b.windows[1]})], 5)
    assert result["differences"][0]["headline"]["p_holm"] is None
    assert "undefined" in comparison_table(result)


def test_what_cannot_be_compared() -> None:
    a = detector("a")
    with pytest.raises(InputError, match="at least two"):
        compare([a])
    with pytest.raises(InputError, match="different names"):
        compare([a, a])
    fewer = assemble("b", "validate", {0: made_up(20)}, "b")
    with pytest.raises(InputError, match="a and b disagree on the generator"):
        compare([a, fewer])
    other = replace(a, name="b", windows={k: replace(p, protocol_fingerprint="f" * 16) for k, p in a.windows.items()})
    with pytest.raises(InputError, match="protocol fingerprints"):
        compare([a, other])


def test_many_comparisons_can_be_significant() -> None:
    runs = [detector(f"r{i}", seed=i, separation=3.0 if i == 0 else 1.2) for i in range(11)]
    result = compare(runs, 60)
    holms = [d["headline"]["p_holm"] for d in result["differences"]]
    # Holm's factor is 55 here: at the floor of 2 / 61 none could be
    assert max(holms[:10]) < 0.05
    assert {d["headline"]["p_from"] for d in result["differences"][:10]} == {"normal tail"}
    assert "*: no draw of 60 reached zero; p is the tail of a normal distribution." in comparison_table(result)


def test_models_are_compared_over_their_seeds() -> None:
    runs = [
        detector(f"{name}{i}", seed=9 * i + shift, separation=s)
        for name, s, shift in (("a", 2.2, 0), ("b", 1.2, 4))
        for i in (0, 1)
    ]
    result = compare(runs, 200, models=[Model("a", (0, 1)), Model("b", (2, 3))])
    (entry,) = result["model_differences"]
    headlines = [score(run)["headline"]["mean"] for run in runs]
    assert entry["difference"] == pytest.approx(np.mean(headlines[:2]) - np.mean(headlines[2:]))
    assert result["models"]["a"]["periods"]["immediate_future"]["mean"] == pytest.approx(np.mean(headlines[:2]))
    images, both = entry["interval"], entry["both"]["interval"]
    assert both[0] < images[0] < entry["difference"] < images[1] < both[1]
    assert entry["p_holm"] == entry["both"]["p"]
    text = comparison_table(result)
    assert "Paired differences of models, over other images and other seeds" in text
    assert "a - b: +" in text


def test_a_model_trained_once_is_compared_over_images_alone() -> None:
    runs = [detector("a0"), detector("a1", seed=3), detector("b", seed=5)]
    result = compare(runs, 50, models=[Model("a", (0, 1)), Model("b", (2,))])
    (entry,) = result["model_differences"]
    assert entry["both"] is None
    assert entry["p_holm"] == entry["p"]
    assert "over images alone: a model was trained once" in comparison_table(result)


def test_missing_windows_are_told() -> None:
    a, b = detector("a"), detector("b", seed=1)
    partial = assemble("partial", "validate", {1: a.windows[1]}, "partial")
    result = compare([partial, b], 20)
    assert "note: partial: no validate predictions for window 0, 2 of 0..2" in comparison_table(result)
    last = assemble("last", "validate", {2: a.windows[2]}, "last")
    assert "undefined" in comparison_table(compare([last, b], 20))


@pytest.mark.parametrize("trainings", [2, 4])
@pytest.mark.parametrize(("of_images", "of_seeds"), [(0.02, 0.002), (0.01, 0.01), (0.002, 0.02)])
def test_the_interval_over_images_and_seeds_covers_the_true_difference(
    trainings: int, of_images: float, of_seeds: float
) -> None:
    rng = np.random.default_rng(0)
    models = [Model("a", tuple(range(trainings))), Model("b", tuple(range(trainings, 2 * trainings)))]
    covered, n = 0, 400
    for _ in range(n):
        luck, points, replicated = rng.normal(0, of_images, 2), [], []
        drawn = rng.normal(0, of_images, (2, 100))
        for side in (0, 1):
            for _run in range(trainings):
                value = 0.7 + luck[side] + rng.normal(0, of_seeds)
                points.append(Replicates({p: np.array([[value, np.nan]]) for p in SHOWN_PERIODS}))
                columns = np.stack([value + drawn[side], np.full(100, np.nan)], axis=1)
                replicated.append(Replicates(dict.fromkeys(SHOWN_PERIODS, columns)))
        (entry,) = compare_models(models, points, replicated)["model_differences"]
        low, high = entry["both"]["interval"]
        covered += low <= 0 <= high
    assert covered >= 0.93 * n
