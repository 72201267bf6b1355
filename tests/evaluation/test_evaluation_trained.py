"""Periods that follow from what the weights were trained on, read back from predictions files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_made_up import WINDOWS, made_up, write_experiment

from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import score_table
from aigenbench.evaluation.metrics.over_time import over_time
from aigenbench.evaluation.metrics.periods import ALL_PERIODS, WindowGroups, evaluate
from aigenbench.evaluation.metrics.score import score_experiment
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions
from aigenbench.evaluation.report.results import load_run
from aigenbench.evaluation.statistics.compare import check_comparable
from aigenbench.evaluation.statistics.uncertainty import Effort


def trained_on(p: Predictions, *windows: tuple[str, ...], coming: tuple[str, ...], earlier: tuple[str, ...] = ()):
    return replace(p, trained_windows=windows, next_generators=coming, earlier_generators=earlier)


def test_of_a_run_on_its_own_data_nothing_changes(tmp_path: Path) -> None:
    for k in range(3):
        p = made_up(window=k)
        coming = WINDOWS[k + 1] if k < 2 else ()
        told = trained_on(p, *WINDOWS[: k + 1], coming=coming)
        assert evaluate(told, k) == evaluate(p, k)
        save_predictions(tmp_path / f"told/window_{k}/predictions_validate_all.npz", told)
    silent = score_experiment(write_experiment(tmp_path / "silent"))
    told_scores = score_experiment(tmp_path / "told")
    assert told_scores | {"experiment": "silent"} == silent
    assert load_experiment(tmp_path / "told").ordinary


def test_the_keys_are_written_and_read_back(tmp_path: Path) -> None:
    p = trained_on(made_up(), ("X",), ("A", "B"), coming=("C",), earlier=("D",))
    save_predictions(tmp_path / "p.npz", p)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        assert arrays["trained_windows"].tolist() == [["X", ""], ["A", "B"]]
        assert arrays["next_generators"].tolist() == ["C"]
    read = load_predictions(tmp_path / "p.npz")
    assert read.equals(p)
    assert read.trained_windows == (("X",), ("A", "B"))
    nothing = trained_on(made_up(), ("X",), coming=())
    save_predictions(tmp_path / "n.npz", nothing)
    assert load_predictions(tmp_path / "n.npz").next_generators == ()


def test_weights_that_never_saw_the_data_have_no_past() -> None:
    p = trained_on(made_up(window=0), ("X", "Y"), coming=("A", "B"), earlier=("C", "D", "E"))
    scores = evaluate(p, 0)
    assert scores["growing"]["auroc"] is None
    assert scores["immediate_future"]["n_fake"] == 40
    groups = WindowGroups(p)
    assert scores["growing_whole"] == scores["immediate_future"]
    assert groups.period("past", 0).n == 0
    assert {name for name in ALL_PERIODS if scores[name]["n_fake"]} == {"immediate_future", "growing_whole", "all"}


def test_an_experiment_on_foreign_data_is_scored_and_reported(tmp_path: Path) -> None:
    path = "predictions_validate_all.npz"
    first = trained_on(made_up(window=3), ("X",), ("Y",), ("Z",), ("A",), coming=("B",), earlier=("E",))
    second = trained_on(made_up(window=4, seed=1), *first.trained_windows, ("B",), coming=("C", "D"), earlier=("E",))
    save_predictions(tmp_path / "window_3" / path, first)
    save_predictions(tmp_path / "window_4" / path, second)
    experiment = load_experiment(tmp_path)
    assert not experiment.ordinary
    assert experiment.timeline == ((), (), (), ("A",), ("B",), ("C", "D", "E"))
    scores = score_experiment(tmp_path)
    assert [v is not None for v in scores["periods"]["immediate_future"]["auroc"]] == [False] * 3 + [True, True, False]
    assert scores["headline"]["windows"] == 2
    table = score_table(scores)
    assert "unseen though released earlier, so in no period of window 3, 4: E" in table
    assert over_time(scores)["generators"]["C"]["entered"] == 5
    run = load_run(tmp_path, effort=Effort(20, 20))
    low, high = run.bounds["periods"]["immediate_future"]["auroc"][4]
    assert low <= scores["periods"]["immediate_future"]["auroc"][4] <= high


def test_runs_whose_periods_differ_are_not_compared(tmp_path: Path) -> None:
    a, b = (load_experiment(write_experiment(tmp_path / name, seed=i)) for i, name in enumerate("ab"))
    check_comparable((a, b))
    told = {k: trained_on(p, *WINDOWS[: k + 1], coming=(*WINDOWS, ())[k + 1]) for k, p in b.windows.items()}
    check_comparable((a, replace(b, windows=told)))
    told[1] = trained_on(told[1], ("A", "B"), coming=("C", "D"))
    with pytest.raises(InputError, match="a and b were trained on different generators: at window 1 their Next"):
        check_comparable((a, replace(b, windows=told)))


def test_a_generator_cannot_be_seen_and_unseen(tmp_path: Path) -> None:
    p = trained_on(made_up(), ("A", "B"), coming=("B", "C"))
    with pytest.raises(InputError, match="'B' stands both in trained_windows and in next_generators"):
        save_predictions(tmp_path / "p.npz", p)


def test_a_score_that_is_no_number_is_told_with_its_image(tmp_path: Path) -> None:
    p = made_up()
    logits = p.fused_logits.copy()
    logits[7] = np.nan
    with pytest.raises(InputError, match=f"such as nan in row 7, image id {p.fused_identifiers[7]}"):
        save_predictions(tmp_path / "p.npz", replace(p, fused_logits=logits))
