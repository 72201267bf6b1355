from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from evaluation_honest import COLUMNS, write_csv

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.score import score_experiment
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.external import import_csv
from aigenbench.evaluation.report.results import make_run
from aigenbench.evaluation.statistics.uncertainty import Effort


def test_a_csv_file_is_enough_for_everything(tmp_path: Path) -> None:
    assert import_csv(write_csv(tmp_path / "s.csv"), COLUMNS, tmp_path / "e") == list(range(9))
    scores = score_experiment(tmp_path / "e")
    assert scores["headline"]["windows"] == 8
    p = load_experiment(tmp_path / "e").windows[4]
    lines = (tmp_path / "s.csv").read_text().splitlines()[1:]
    by_id = {int(i): float(x) for i, k, _, x in (line.split(",") for line in lines) if k == "4"}
    np.testing.assert_allclose(p.fused_logits, [by_id[i] for i in p.fused_identifiers.tolist()], rtol=1e-6)
    assert [COLUMNS[i] for i in p.fused_identifiers] == [p.generator_id_to_name[g] for g in p.fused_generator_ids]
    assert make_run(load_experiment(tmp_path / "e"), {}, "", Effort(20, 5)).bounds["headline"]["images"]


def test_scores_alone_and_surplus_reals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = [*COLUMNS, "", "", "Unknown"]
    lines = [f"{i},2,{0.25 + 0.5 * bool(name)}" for i, name in enumerate(columns)]
    (tmp_path / "s.csv").write_text("\n".join(["image_id,window,score", *lines]))
    with caplog.at_level(logging.INFO):
        assert import_csv(tmp_path / "s.csv", columns, tmp_path / "e") == [2]
    assert "3 images outside the balanced evaluation set are ignored" in caplog.text
    assert load_experiment(tmp_path / "e").windows[2].fused_logits is None
    assert score_experiment(tmp_path / "e")["periods"]["growing"]["auroc"][2] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.replace("score", "scores", 1), "no column 'score'; found .*did you mean 'scores'"),
        (lambda s: s.replace("\n5,0,", "\n999999,0,", 1), "no image 999999; the evaluation split has rows 0..215"),
        (lambda s: s.replace("\n5,0,", "\n4,0,", 1), "image 4 stands twice in window 0"),
        (lambda s: s.replace("\n5,0,", "\n5,9,", 1), "no window 9; there are 0..8"),
        (lambda s: s.replace("\n5,0,0.", "\n5,0,1.", 1), "score must be in 0..1"),
        (lambda s: re.sub(r"\n5,0,[^,]*,", "\n5,0,nan,", s, count=1), "score must be in 0..1, found nan"),
        (lambda s: s[: s.rindex(",") + 1] + "inf\n", "logit must be finite, found inf"),
        (lambda s: s.replace("\n5,0,0.", "\nx,0,0.", 1), "line 7: not numbers"),
        (lambda s: s[: s.rindex("\n", 0, -1) + 1], "window 8: 1 images of the evaluation set have no score"),
        (lambda s: s.split("\n")[0], "no predictions"),
        (lambda s: "\n".join(["image_id,window,score,logit", "0,0,0.5,", "1,0,0.5,0"]), "some lines have a logit"),
        (lambda s: "\xff\xfe\x00", "is not a text file"),
        (lambda s: s.replace("\n5,0,", "\n5,0,0,0,0,", 1), "line 7: 7 values for 4 columns"),
        (lambda s: s.replace("\n5,0,", "\n5\n5,0,", 1), "line 7: 1 values for 4 columns"),
    ],
)
def test_bad_files(change: object, message: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "s.csv")
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        import_csv(path, COLUMNS, tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_missing_files_and_unknown_generators(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        import_csv(tmp_path / "none.csv", COLUMNS, tmp_path / "e")
    with pytest.raises(InputError, match="none of the data set's generators"):
        import_csv(write_csv(tmp_path / "s.csv"), ["", "Unknown"], tmp_path / "e")
