"""Somebody else's code does not run unless that is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.config.folder import CONFIG_FILE
from aigenbench.config.trust import remember
from aigenbench.engine.assembly.request import recorded
from aigenbench.yaml_text import read_yaml, write_yaml

MARK = "from pathlib import Path\nPath('ran').write_text('')\n"
CONFIG: dict[str, Any] = {
    "dataset_path": "nowhere",
    "model": {"init_args": {"model_name": "small_cnn_tune", "model_args": {"pretrained": False}}},
    "trainer": {"accelerator": "cpu", "callbacks": [{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(tmp_path))])
    return tmp_path


def experiment(**sections: Any) -> Path:
    folder = Path("experiment_x")
    folder.mkdir()
    (folder / CONFIG_FILE).write_text(write_yaml({**CONFIG, **sections}))
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"imports": ["mark_imported.py"]}, "imports mark_imported.py"),
        ({"imports": ["mark_imported"]}, "imports mark_imported"),
        ({"metrics": {"mine": "mark_imported.f"}}, "metrics.mine mark_imported.f"),
        ({"model": {"class_path": "mark_imported.Detector"}}, "model mark_imported.Detector"),
    ],
)
def test_robustness_of_a_strangers_folder(
    sections: dict[str, Any], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = experiment(**sections)
    for place in (Path("mark_imported.py"), folder / "mark_imported.py"):
        place.write_text(MARK)
    assert main(["robustness", str(folder)]) == 2
    assert f"names code to run: {named}; read that code" in told(capsys)
    with pytest.raises(ab.InputError, match="--trust-imports"):
        ab.robustness(folder)
    assert not Path("ran").exists()
    # whatever comes of it, the code has run
    assert main(["robustness", str(folder), "--trust-imports"]) == 2
    assert Path("ran").exists()
    sys.modules.pop("mark_imported", None)


def test_robustness_of_an_own_folder_runs_what_its_run_did(capsys: pytest.CaptureFixture[str]) -> None:
    folder = experiment(imports=["mark_own.py"])
    Path("mark_own.py").write_text(MARK)
    text = (folder / CONFIG_FILE).read_text()
    remember(text, read_yaml(text, ""))
    assert main(["robustness", str(folder)]) == 2
    assert "nowhere" in told(capsys)
    assert Path("ran").exists()


@pytest.mark.parametrize(
    "text", ["model: 3", "model: {init_args: 3}", "metrics: {a: 3}", "trainer: 3", "3", "imports: {a: 1}"]
)
def test_a_damaged_configuration_is_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = experiment()
    (folder / CONFIG_FILE).write_text(text)
    assert main(["robustness", str(folder)]) == 2
    assert told(capsys).startswith("aigenbench: error: ")


def test_a_strangers_callbacks_and_loggers_are_left_out() -> None:
    folder = experiment()
    assert recorded(folder).run("validate").trainer_arguments()["callbacks"] == []
    assert len(recorded(folder, trust_imports=True).run("validate").trainer_arguments()["callbacks"]) == 1


@pytest.mark.parametrize("class_path", ["os.system", "subprocess.Popen", "subprocess.getoutput"])
def test_what_is_no_detector_is_not_called(class_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = experiment(model={"class_path": class_path, "init_args": {"cmd": "touch ran", "command": "touch ran"}})
    assert main(["robustness", str(folder)]) == 2
    assert "Traceback" not in told(capsys)
    assert not Path("ran").exists()


@pytest.mark.parametrize("command", [["-m", "aigenbench"], [str(Path(__file__).parents[2] / "lightning_main.py")]])
def test_modules_in_the_current_folder_take_no_others_place(command: list[str]) -> None:
    for name in ("yaml", "difflib", "logging", "numpy", "torch"):
        Path(f"{name}.py").write_text(MARK)
    folder = experiment()
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    done = subprocess.run(
        [sys.executable, *command, "score", str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("aigenbench: error: ")
    assert not Path("ran").exists()


def test_a_class_of_a_file_in_the_current_folder_is_found_where_ones_own_config_names_it() -> None:
    Path("own_detector.py").write_text(
        "import aigenbench\nclass Mine(aigenbench.BaseDeepfakeDetectionModel):\n    pass\n"
    )
    values = {**CONFIG, "model": {**CONFIG["model"], "class_path": "own_detector.Mine"}}
    with pytest.raises(ab.InputError, match="nowhere"):
        ab.fit(values)
    assert "own_detector" in sys.modules
