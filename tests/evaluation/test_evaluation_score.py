from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_made_up import WINDOWS, made_up, without_additions, write_experiment

from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import score_table
from aigenbench.evaluation.metrics.definitions import METRICS, compute
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import ALL_PERIODS, evaluate
from aigenbench.evaluation.metrics.score import score, score_experiment
from aigenbench.evaluation.predictions.experiment import assemble, load_experiment
from aigenbench.evaluation.predictions.record import save_predictions

GOLDEN_NAMES = {"auroc": "roc_auc", "specificity": "tnr", "n_real": "n_real_images", "n_fake": "n_fake_images"}
GOLDEN_FIELDS = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "tp",
    "fp",
    "tn",
    "fn",
)


@pytest.mark.parametrize("pairing", [True, False])
def test_golden_scores(golden_files: Path, pairing: bool) -> None:
    golden = json.loads((golden_files / "metrics.json").read_text())
    scores = score_experiment(golden_files / "exp_binary", pairing=pairing)
    for period in ALL_PERIODS:
        expected = golden[f"binary|task=binary|{period}|pairing={pairing}"]
        for name in (*GOLDEN_NAMES, *GOLDEN_FIELDS):
            values = scores["periods"][period][name]
            empty = {"immediate_future": [8], "past": [0]}.get(period, [])
            for k in range(9):
                if k in empty:
                    assert values[k] is None
                else:
                    assert values[k] == pytest.approx(expected[k][GOLDEN_NAMES.get(name, name)], abs=1e-9)
    next_auroc = [golden[f"binary|task=binary|immediate_future|pairing={pairing}"][k]["roc_auc"] for k in range(8)]
    assert scores["headline"] == {
        "metric": "auroc",
        "period": "immediate_future",
        "mean": pytest.approx(np.mean(next_auroc), abs=1e-12),
        "windows": 8,
    }
    json.dumps(scores, allow_nan=False)


def test_a_generator_is_its_fakes_and_their_reals() -> None:
    p = made_up(window=1)
    of_c = p.generator_id_to_name.index("C")
    rows = (p.fused_generator_ids == of_c) | (p.pairing == of_c)
    expected = compute(Group.of(p.fused_scores[rows], p.fused_labels[rows], p.fused_logits[rows]))["auroc"]
    assert evaluate(p, 1)["generators"]["C"] == expected
    rows = (p.fused_generator_ids == of_c) | (p.fused_labels == 0)
    expected = compute(Group.of(p.fused_scores[rows], p.fused_labels[rows], p.fused_logits[rows]))["auroc"]
    assert evaluate(p, 1, pairing=False)["generators"]["C"] == expected


@pytest.mark.parametrize("pairing", [True, False])
def test_periods_by_hand(pairing: bool) -> None:
    p = made_up(window=1)
    held = {"immediate_future": "E", "growing": "ABCD", "growing_whole": "ABCDE", "past": "AB", "all": "ABCDE"}
    scores = evaluate(p, 1, pairing)
    for period, names in held.items():
        ids = [p.generator_id_to_name.index(name) for name in names]
        reals = np.isin(p.pairing, ids) if pairing else p.fused_labels == 0
        rows = np.isin(p.fused_generator_ids, ids) | reals
        expected = compute(Group.of(p.fused_scores[rows], p.fused_labels[rows], p.fused_logits[rows]))
        assert scores[period] == expected


def test_empty_periods_and_the_last_window() -> None:
    assert set(evaluate(made_up(window=2), 2)["immediate_future"].values()) == {None}
    assert set(evaluate(made_up(window=0), 0)["past"].values()) == {None}
    assert evaluate(made_up(window=2), 2)["growing_whole"] == evaluate(made_up(window=2), 2)["growing"]


def test_pairing_and_generators_of_rows_in_another_order() -> None:
    p = made_up(window=1)
    order = np.random.default_rng(3).permutation(len(p))
    shuffled = replace(p, identifier=p.identifier[order], pairing=p.pairing[order])
    assert evaluate(shuffled, 1) == evaluate(p, 1)


def test_missing_windows_are_none_with_a_note(tmp_path: Path) -> None:
    write_experiment(tmp_path / "experiment_x")
    whole = score_experiment(tmp_path / "experiment_x")
    (tmp_path / "experiment_x/window_0/predictions_validate_all.npz").unlink()
    scores = score_experiment(tmp_path / "experiment_x")
    assert scores["experiment"] == "x"
    assert scores["periods"]["growing"]["auroc"] == [None, *whole["periods"]["growing"]["auroc"][1:]]
    assert scores["generators"]["E"]["auroc"][0] is None
    assert scores["headline"]["windows"] == 1
    assert scores["notes"] == ["no validate predictions for window 0 of 0..2"]
    assert "note: no validate" in score_table(scores)


def test_windows_are_read_in_numeric_order(tmp_path: Path) -> None:
    windows = tuple((f"g{k}",) for k in range(11))
    for k in range(11):
        p = made_up(4, windows, k)
        save_predictions(tmp_path / f"e/window_{k}/predictions_validate_all.npz", p)
    assert list(load_experiment(tmp_path / "e").windows) == list(range(11))


def _spoiled(folder: Path, **changes: Any) -> None:
    p = replace(made_up(window=1), **changes)
    save_predictions(folder / "window_1/predictions_validate_all.npz", p)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol_fingerprint": "0" * 16}, "window_1 and window_0 differ in protocol_fingerprint"),
        ({"window": 2}, "window_1 holds the predictions of window 2"),
        ({"benchmark_type": "none"}, "differ in benchmark_type"),
    ],
)
def test_windows_that_do_not_belong_together(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e")
    _spoiled(folder, **changes)
    with pytest.raises(InputError, match=message):
        score_experiment(folder)


def test_a_window_beyond_the_timeline(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e")
    save_predictions(folder / "window_3/predictions_validate_all.npz", made_up(window=None))
    with pytest.raises(InputError, match="window_3 exists, but the timeline has 3 windows"):
        score_experiment(folder)


def test_wrong_folders_and_stages(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment_quick")
    with pytest.raises(InputError, match=r"did you mean .*experiment_quick"):
        score_experiment(tmp_path / "quick")
    with pytest.raises(InputError, match="did you mean 'validate'"):
        score_experiment(folder, stage="validat")
    with pytest.raises(InputError, match=r"no window_<k>/predictions_test_all.npz"):
        score_experiment(folder, stage="test")
    with pytest.raises(InputError, match=r"give the experiment's folder, .*experiment_quick$"):
        score_experiment(folder / "window_0")


def test_files_without_logits_rank_by_scores() -> None:
    p = without_additions(made_up(window=1))
    rows = p.pairing != 99
    expected = compute(Group.of(p.fused_scores[rows], p.fused_labels[rows]))
    assert evaluate(p, 1)["all"] == expected


def test_one_window_has_no_headline(tmp_path: Path) -> None:
    save_predictions(tmp_path / "window_0/predictions_validate_all.npz", made_up(windows=(("A", "B"),)))
    scores = score_experiment(tmp_path)
    assert scores["headline"]["mean"] is None
    assert scores["periods"]["growing"]["auroc"][0] is not None
    assert "No headline" in score_table(scores)


def test_the_table_shows_every_window(tmp_path: Path) -> None:
    table = score_table(score_experiment(write_experiment(tmp_path / "e")))
    for names in WINDOWS:
        assert ", ".join(names) in table
    assert "Past" in table
    assert "Next-period AUROC, mean over 2 windows" in table


def test_every_metric_has_a_column(tmp_path: Path) -> None:
    scores = score_experiment(write_experiment(tmp_path / "e"))
    assert set(scores["periods"]) == set(ALL_PERIODS)
    for columns in scores["periods"].values():
        assert set(columns) == set(METRICS)
        assert {len(values) for values in columns.values()} == {3}


def test_constant_scores_and_one_class_only_are_told() -> None:
    p = made_up()
    flat = replace(p, fused_logits=None, crop_logits=None, fused_scores=np.full(len(p), 0.5, np.float32))
    notes = score(assemble("e", "validate", {0: p, 1: replace(flat, window=1)}, "e"))["notes"]
    assert notes[-1] == "every image has the same score in window 1: AUROC is one half"
    pairing = np.where(p.pairing == p.generator_id_to_name.index("E"), 1, p.pairing)
    lonely = {1: replace(p, window=1, pairing=pairing)}
    notes = score(assemble("e", "validate", lonely, "e"))["notes"]
    assert "one class only in the Next period of window 1: AUROC is undefined" in notes
    assert not any("one class" in note for note in score(assemble("e", "validate", {0: p}, "e"))["notes"])
