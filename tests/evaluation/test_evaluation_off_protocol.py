"""Results off protocol say so, with the reason, wherever they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from evaluation_honest import PER_GENERATOR, write_honest

from aigenbench.evaluation.drawing.table import score_table
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions import standing
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment
from aigenbench.evaluation.predictions.record import load_predictions, save_predictions
from aigenbench.evaluation.predictions.standing import standing_of
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.results import make_run
from aigenbench.evaluation.report.seeds import common_name
from aigenbench.evaluation.report.together import models_table, put_together
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.robustness.values import robustness_values
from aigenbench.evaluation.statistics.compare import compare, comparison_table
from aigenbench.evaluation.statistics.uncertainty import Effort
from aigenbench.protocol.off_protocol import gathered, marked, told
from aigenbench.protocol.trained import Trained

REASON = "more <data>"


@pytest.fixture
def honest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentPredictions:
    monkeypatch.setattr(standing, "PER_GENERATOR", PER_GENERATOR)
    return load_experiment(write_honest(tmp_path / "experiment_honest"))


@pytest.fixture
def off(honest: ExperimentPredictions) -> ExperimentPredictions:
    """One of its windows is off protocol."""
    windows = {k: replace(p, off_protocol=(REASON,) if k == 3 else None) for k, p in honest.windows.items()}
    return replace(honest, name="off", windows=windows)


def test_words() -> None:
    assert gathered(("a", "b"), None, ("b", "c")) == ("a", "b", "c")
    assert told(("a", "b")) == "off protocol: a; b"
    assert told(()) == ""
    assert marked("x", ("a",)) == "x (off protocol)"
    assert marked("x", ()) == "x"


def test_the_reasons_are_in_the_predictions_file(honest: ExperimentPredictions, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_predictions(path, honest.first)
    plain = path.read_bytes()
    save_predictions(path, replace(honest.first, off_protocol=(REASON, "another")))
    assert load_predictions(path).off_protocol == (REASON, "another")
    save_predictions(path, honest.first)
    assert path.read_bytes() == plain
    assert load_predictions(path).off_protocol is None


def test_they_go_with_weights_into_every_later_training() -> None:
    early = Trained((("a",),), (), {"a": date(2020, 1, 1)}, ("", "a", "b"), off_protocol=("one",))
    late = Trained((("a",), ("b",)), (), {"b": date(2021, 1, 1)}, ("", "a", "b"), off_protocol=("two", "one"))
    assert late.after(early).off_protocol == ("one", "two")
    assert replace(late, off_protocol=()).after(early).off_protocol == ("one",)
    assert Trained.from_record(early.to_record(), "x") == early
    assert "off_protocol" not in replace(early, off_protocol=()).to_record()


def test_no_published_result_stands_beside_it(honest: ExperimentPredictions, off: ExperimentPredictions) -> None:
    assert standing_of(honest).is_benchmark
    found = standing_of(off)
    assert not found.is_benchmark
    assert found.text == "benchmark; off protocol"
    assert found.meaning.endswith(f" No result of the benchmark, off protocol: {REASON}.")


def test_scores(honest: ExperimentPredictions, off: ExperimentPredictions) -> None:
    values = score(off)
    assert values["off_protocol"] == [REASON]
    assert f"off protocol: {REASON}" in values["notes"]
    assert values["experiment"] == "off"
    text = score_table(values)
    assert text.startswith("off (off protocol) · validate · auroc")
    assert f"note: off protocol: {REASON}" in text
    assert "off_protocol" not in score(honest)
    assert "off protocol" not in score_table(score(honest))
    assert robustness_values("off", (), off.off_protocol)["off_protocol"] == [REASON]
    assert "off_protocol" not in robustness_values("off", ())


def test_pages_and_tables(honest: ExperimentPredictions, off: ExperimentPredictions) -> None:
    views = [make_view(make_run(one, {}, "", Effort(10, 5)), i) for i, one in enumerate((off, honest))]
    alone = render(views[:1])
    assert '<span class="badge benchmark">benchmark; off protocol</span>' in alone
    assert "off protocol: more &lt;data&gt;" in alone
    assert "DINOv2 ViT-L/14" not in alone
    together = put_together(views, by_row=True)
    names = [row[0].text for row in models_table(together.models).rows]
    assert names == ["off (off protocol)", "honest"], "and no published result"
    assert "off (off protocol) - honest" in render(views, together)


def test_comparisons(honest: ExperimentPredictions, off: ExperimentPredictions) -> None:
    result = compare([replace(off, name=off.title), honest], 10, by_row=True)
    assert result["results"]["off (off protocol)"]["off_protocol"] == [REASON]
    assert "off_protocol" not in result["results"]["honest"]
    text = comparison_table(result)
    assert "off (off protocol) - honest:" in text
    assert f"note: off (off protocol): off protocol: {REASON}" in text


def test_the_name_of_several_trainings_keeps_the_mark() -> None:
    assert common_name(["clip_seed1 (off protocol)", "clip_seed2 (off protocol)"]) == "clip (off protocol)"
    assert common_name(["clip_seed1", "clip_seed2 (off protocol)"]) == "clip (off protocol)"
    assert common_name(["clip_seed1", "clip_seed2"]) == "clip"
