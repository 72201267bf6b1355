from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_made_up import write_experiment

from aigenbench.config.folder import METRICS_FILE
from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import score_table
from aigenbench.evaluation.metrics.logged import logged_metrics, with_logged
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.changes import CHANGES_FILE, config_changes
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.results import load_run
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.statistics.uncertainty import Effort

LOG = """step,name,value
1,train/loss,0.9
2,validate/growing/auroc,0.7
2,validate/growing/mine/of two,0.25
2,validate/immediate_future/mine/of two,0.5
2,test/growing/mine/of two,0.9
4,validate/growing/mine/of two,0.375
4,validate/growing/mi"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_experiment(tmp_path / "experiment_x")
    (made / "window_1" / METRICS_FILE).write_text(LOG)
    return made


def test_metrics_that_a_run_logged_are_known(folder: Path) -> None:
    e = load_experiment(folder)
    logged = logged_metrics(folder, e)
    assert logged["growing"] == {"mine/of two": [None, 0.375, None]}
    assert logged["immediate_future"] == {"mine/of two": [None, 0.5, None]}
    assert logged["growing_whole"] == {"mine/of two": [None, None, None]}
    table = score_table(with_logged(score(e), logged), "mine/of two")
    assert "37.50" in table
    assert logged_metrics(folder, load_experiment(write_experiment(folder.parent / "y"))) != {}
    page = render([make_view(load_run(folder, effort=Effort(5, 0)))])
    assert "as the run logged it" in page
    assert "0.3750" in page


def test_an_experiment_without_a_log_has_none(tmp_path: Path) -> None:
    made = write_experiment(tmp_path / "experiment_x")
    assert logged_metrics(made, load_experiment(made)) == {}


def test_changes_of_the_configuration_are_told(folder: Path) -> None:
    assert config_changes(folder) == ()
    (folder / CHANGES_FILE).write_text(
        '[{"date": "2026-02-03T04:05:06+00:00", "changes": ["trainer.max_epochs: 1 -> 2", "a: b -> c"], "window": 2},'
        ' {"date": "2026-02-04", "changes": ["x: 1 -> 0"], "window": null}]'
    )
    told = config_changes(folder)
    assert told == (
        "went on with another configuration (2026-02-03, at window 2): trainer.max_epochs: 1 -> 2; a: b -> c",
        "went on with another configuration (2026-02-04): x: 1 -> 0",
    )
    page = render([make_view(load_run(folder, effort=Effort(5, 0)))])
    assert "trainer.max_epochs: 1 -&gt; 2" in page


@pytest.mark.parametrize("text", ["[", '{"a": 1}', '[{"date": "2026"}]', "[1]"])
def test_a_damaged_record_of_changes_is_one_line(folder: Path, text: str) -> None:
    (folder / CHANGES_FILE).write_text(text)
    with pytest.raises(InputError, match=r"config_changes.json is damaged"):
        config_changes(folder)
