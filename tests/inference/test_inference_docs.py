"""The page on exported detectors: its example and its script run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from inference_harness import FEW

import aigenbench as ab

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "detector.md").read_text(encoding="utf-8")


def test_the_example_runs(
    experiment: ab.Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    shutil.copytree(experiment.folder, tmp_path / "experiments_data" / "experiment_NAME")
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 40), "red").save(name)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(example, "detector.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["a.jpg", "b.png"]
    assert all("Verdict(word=" in line for line in said)


def test_the_table_is_what_its_script_prints(experiment: ab.Experiment) -> None:
    script = DOCS / "examples" / "promised_rates.py"
    done = subprocess.run([sys.executable, script, experiment.folder], capture_output=True, text=True, check=True)
    head, _, *rows = done.stdout.splitlines()
    assert head in PAGE
    assert [row.split("|")[1:3] for row in rows] == [[" 0 ", " 1 % "], [" 0 ", " 5 % "]]
    assert FEW["experiment_info.sliding_windows_definition.current_window"] == 0
