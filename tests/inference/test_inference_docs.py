"""The page on exported detectors: its example and its script run."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_harness import FEW
from made_detector import scene
from PIL import Image

import aigenbench as ab
from aigenbench.cli.export import register
from aigenbench.cli.main import main
from aigenbench.inference.detector import Detector

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "detector.md").read_text(encoding="utf-8")


@pytest.fixture
def here(experiment: ab.Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the page's commands and examples name."""
    shutil.copytree(experiment.folder, tmp_path / "experiments_data" / "experiment_NAME")
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 40), "red").save(name)
    for number in range(8):
        path = Path("my_pictures", "real" if number % 2 else "fake", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(number)).save(path)


def commands(heading: str) -> list[list[str]]:
    """Those of ours in a section's first block."""
    block = PAGE.split(f"## {heading}\n")[1].split("```console\n")[1].split("```")[0]
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("aigenbench ")]


EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_example_runs(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], "detector.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["a.jpg", "b.png"]
    assert all("Verdict(word=" in line for line in said)


def test_other_forms_are_written_run_and_compared(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands("Other forms of the network"):
        assert main(command) == 0
    assert {"model.onnx", "model.pt2"} < {path.name for path in Path("my_forms").iterdir()}
    (regress,) = commands("Another release")
    assert main(regress) in (0, 1)
    said = capsys.readouterr().out
    assert "int8 weights: AUROC moved by" in said
    assert "8 pictures, " in said
    names: dict[str, Any] = {}
    exec(compile(EXAMPLES[1], "detector.md", "exec"), names)
    pictures = ["a.jpg", "b.png"]
    expected = Detector.load("my_forms", "cpu").predict(pictures)
    np.testing.assert_allclose(names["detector"].predict(pictures), expected, atol=1e-5)


def test_commands_of_the_hub_are_understood() -> None:
    (command,) = commands("On the hub")
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    assert parser.parse_args(command).push_to_hub == "me/my_detector"


def test_the_table_is_what_its_script_prints(experiment: ab.Experiment) -> None:
    script = DOCS / "examples" / "promised_rates.py"
    done = subprocess.run([sys.executable, script, experiment.folder], capture_output=True, text=True, check=True)
    head, _, *rows = done.stdout.splitlines()
    assert head in PAGE
    assert [row.split("|")[1:3] for row in rows] == [[" 0 ", " 1 % "], [" 0 ", " 5 % "]]
    assert FEW["experiment_info.sliding_windows_definition.current_window"] == 0
