from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from aigenbench.cli import main
from aigenbench.evaluation.predictions.record import Predictions, save_predictions


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two windows of one generator each, perfectly separated."""
    labels = np.tile([0, 1], 20)
    generators = labels * (1 + np.arange(40) // 2 % 2)
    reals = np.flatnonzero(labels == 0).tolist()
    random.Random(1341).shuffle(reals)
    pairing = np.full(40, -1)
    pairing[reals] = generators[labels == 1]
    values = {"scores": 0.1 + 0.8 * labels, "labels": labels, "generator_ids": generators, "identifiers": np.arange(40)}
    values["losses"] = np.zeros(40)
    for k in range(2):
        save_predictions(
            tmp_path / f"experiment_x/window_{k}/predictions_validate_all.npz",
            Predictions(
                **{f"{prefix}_{name}": value for name, value in values.items() for prefix in ("fused", "crop")},
                crop_to_image_index=np.arange(40),
                identifier=np.arange(40),
                pairing=pairing,
                generator_id_to_name=("", "A", "B"),
                windows_timeline=(("A",), ("B",)),
            ),
        )
    return tmp_path / "experiment_x"


def test_the_table(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(experiment)]) == 0
    assert "Next-period AUROC, mean over 1 window: 100.00 %" in capsys.readouterr().out


def test_json_is_one_object(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(experiment), "--json", "--pairing", "false", "--threshold", "0.95"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["pairing"] is False
    assert scores["periods"]["growing"]["recall"] == [0.0, 0.0]
    assert scores["periods"]["growing"]["n_real"] == [20, 20]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_plot_is_the_same_file_each_time(experiment: Path, suffix: str, tmp_path: Path) -> None:
    plots = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for plot in plots:
        assert main(["score", str(experiment), "--plot", str(plot)]) == 0
    assert plots[0].read_bytes() == plots[1].read_bytes()
    assert plots[0].stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairing", "maybe"], "--pairing must be true or false, found 'maybe'"),
        (["--threshold", "2"], "--threshold must be a number in 0..1"),
        (["--metric", "auc"], "unknown metric 'auc'"),
        (["--plot", "x.bmp"], "cannot plot to 'bmp'"),
        (["--stage", "tset"], "did you mean 'test'"),
    ],
)
def test_wrong_options(experiment: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(experiment), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
