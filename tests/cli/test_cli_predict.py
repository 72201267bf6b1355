from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aigenbench.cli import main
from aigenbench.cli.main import dispatch
from aigenbench.cli.predict import _names_a_key
from aigenbench.config.imports import import_file
from aigenbench.errors import InputError

COLUMNS = ["image", "logit", "score", "error", "data", "weights", "weights_sha256", "date"]
FACTORY = """
from torch import nn
from aigenbench.models import ModelFactoryRegistry
def make(model_name, pretrained=True, **kwargs):
    if model_name != "lone_tune":
        return None
    assert not pretrained, "the checkpoint holds every weight"
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
ModelFactoryRegistry().register_model_factory("lone", make)
"""


@pytest.fixture
def lone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint, the Python it needs, and pictures; nothing of a data set or configuration."""
    from aigenbench.training import BaseDeepfakeDetectionModel
    from aigenbench.training.detector.records import detector_record
    from aigenbench.training.resume.checkpoints import save

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine.py").write_text(FACTORY)
    import_file(Path("mine.py"))
    torch.manual_seed(0)
    detector = BaseDeepfakeDetectionModel(
        "lone_tune",
        model_input_size=24,
        model_args={"pretrained": False},
        preprocessing={"mean": [0.5, 0.5, 0.5]},
        evaluation_cropping_strategy="crop",
    )
    arguments = {"model_name": "lone_tune", "model_input_size": 24, "evaluation_cropping_strategy": "crop"}
    detector.description = {
        "model": {"class_path": "aigenbench.training.BaseDeepfakeDetectionModel", "init_args": arguments},
        "data": {},
        "trainer": {"precision": "16-mixed"},
        "imports": ["mine.py"],
    }
    save(Path("w.ckpt"), detector_record(detector))
    Path("pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(f"pictures/{i}.png")
    return tmp_path


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as lines:
        reader = csv.DictReader(lines)
        found = list(reader)
        assert reader.fieldnames == COLUMNS
    return found


def predict(*argv: str) -> int:
    return main(["predict", *argv, "--device", "cpu", "--num-workers", "0"])


def test_a_checkpoint_and_pictures_are_enough(lone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("w.ckpt", "pictures", "pictures/1.png", "--import", "mine.py") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "predictions_predict.csv"
    found = rows("predictions_predict.csv")
    assert [row["image"] for row in found] == ["0.png", "1.png", "2.png", "pictures/1.png"]
    assert [row["data"] for row in found] == ["pictures"] * 3 + ["."]
    assert found[1]["logit"] == found[3]["logit"]
    for row in found:
        assert float(row["score"]) == pytest.approx(1 / (1 + np.exp(-float(row["logit"]))), abs=1e-6)
        assert row["weights"] == "w.ckpt"
        assert not row["error"]
    # by hand: the stored preprocessing and crop, no step of the benchmark's
    record = torch.load("w.ckpt", weights_only=True)
    weights = {k.removeprefix("model."): v for k, v in record["state_dict"].items()}
    with Image.open("pictures/0.png") as picture:
        image = np.array(picture)[3:27, 8:32]
    x = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / torch.tensor(
        record["preprocessing"]["std"]
    ).view(1, 3, 1, 1)
    features = torch.nn.functional.conv2d(x, weights["0.weight"], weights["0.bias"], stride=2).mean((2, 3))
    logit = features @ weights["3.weight"].T + weights["3.bias"]
    assert float(found[0]["logit"]) == pytest.approx(float(logit), abs=1e-4)


def test_a_broken_picture_is_a_row_with_its_reason(lone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pictures/1.png").write_bytes(b"no picture")
    for more in ([], ["--batch-size", "1"]):
        assert predict("w.ckpt", "pictures", "--import", "mine.py", *more) == 1
        assert "1 of 3 pictures could not be read" in capsys.readouterr().err
    found = rows("predictions_predict.csv")
    assert [bool(row["error"]) for row in found] == [False, True, False]
    assert (found[1]["logit"], found[1]["score"]) == ("", "")
    assert "not an image" in found[1]["error"]
    assert not Path("predictions_predict_2.csv").exists(), "another batch size gives the same scores"


def test_tables_are_never_written_over(lone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("pictures", "others")
    Image.new("RGB", (30, 30)).save("others/0.png")
    written = []
    for folder in ("pictures", "others", "pictures"):
        assert predict("w.ckpt", folder, "--import", "mine.py") == 0
        written.append(capsys.readouterr().out.splitlines()[-1])
    assert written == ["predictions_predict.csv", "predictions_predict_2.csv", "predictions_predict.csv"]
    record = torch.load("w.ckpt", weights_only=True)
    torch.save({**record, "state_dict": {k: 2 * v for k, v in record["state_dict"].items()}}, "w.ckpt")
    assert predict("w.ckpt", "pictures", "--import", "mine.py", "--output", "mine.csv") == 0
    assert rows("mine.csv")[0]["weights_sha256"] != rows("predictions_predict.csv")[0]["weights_sha256"]
    capsys.readouterr()
    assert predict("w.ckpt", "pictures", "--import", "mine.py", "--output", "mine.csv") == 2
    assert "mine.csv is there already" in capsys.readouterr().err


def test_somebodys_code_runs_only_where_it_is_named(lone: Path) -> None:
    # another process: in this one the file has been imported
    command = [sys.executable, "-m", "aigenbench", "predict", "w.ckpt", "pictures", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no model 'lone_tune'" in done.stderr
    assert "that you may have to name: --import mine.py" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path().glob("*.csv"))
    done = subprocess.run([*command, "--trust-imports"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_that_does_not_say_what_it_is_of(lone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = torch.load("w.ckpt", weights_only=True)
    description = record.pop("description")
    torch.save(record, "w.ckpt")
    assert predict("w.ckpt", "pictures", "--import", "mine.py") == 2
    assert "does not say which detector it is of, and no config.yaml lies beside it" in capsys.readouterr().err
    arguments = ", ".join(f"{k}: {v}" for k, v in description["model"]["init_args"].items())
    Path("config.yaml").write_text(
        f"model: {{class_path: {description['model']['class_path']}, init_args: {{{arguments}}}}}"
    )
    assert predict("w.ckpt", "pictures", "--import", "mine.py") == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("nothing.ckpt pictures", "no experiment or checkpoint at nothing.ckpt"),
        ("w.ckpt nothing", "nothing at nothing"),
        ("w.ckpt pictures --window 1", "--window picks a window of an experiment"),
        ("w.ckpt pictures --window x", "--window must be a whole number"),
        ("w.ckpt pictures --batch-size 0", "--batch-size must be a whole number of at least 1"),
        ("pictures pictures", "pictures has no finished window"),
        ("w.ckpt pictures --wndow 1", "unknown argument '--wndow'"),
    ],
)
def test_bad_input_is_one_line(lone: Path, capsys: pytest.CaptureFixture[str], argv: str, said: str) -> None:
    assert predict(*argv.split()) == 2
    told = capsys.readouterr().err.splitlines()
    assert said in told[-1]
    assert not any("Traceback" in line for line in told)
    assert not list(Path().glob("*.csv"))


@pytest.mark.parametrize("device", ["cuda:x", "tpu", "cpu:1"])
def test_an_unknown_device(lone: Path, device: str) -> None:
    with pytest.raises(InputError, match="--device: expected auto, cpu, cuda or cuda:N"):
        dispatch(["predict", "w.ckpt", "pictures", "--device", device], _commands())


def _commands():
    from aigenbench.cli.main import COMMANDS

    return COMMANDS


def test_help_shows_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--help"])
    assert stopped.value.code == 0
    told = capsys.readouterr().out
    assert "aigenbench predict experiments_data/experiment_NAME holiday/ scan.png" in told
    assert "--data.predict_path FOLDER" in told


@pytest.mark.parametrize(
    ("argv", "older"),
    [
        ("a.ckpt p", False),
        ("--import m.py a.ckpt p --window 2", False),
        ("--help", False),
        ("--config c.yaml", True),
        ("-c c.yaml", True),
        ("--config=c.yaml --data.predict_path p", True),
        ("--model.help", True),
        ("--ckpt_path=a.ckpt", True),
        ("--print_config", True),
    ],
)
def test_the_form_is_told_by_its_options(argv: str, older: bool) -> None:
    assert _names_a_key(argv.split()) == older
