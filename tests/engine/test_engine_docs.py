"""The page on the Python API and its examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aigenbench as ab

DOCS = Path(__file__).parents[2] / "docs"
FIRST = DOCS / "examples" / "first_run.py"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")


def ran(program: list[str], folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_first_run_is_short_and_runs(tmp_path: Path) -> None:
    assert len(FIRST.read_text(encoding="utf-8").splitlines()) <= 30
    said = ran([str(FIRST)], tmp_path)
    assert re.search(r"Next-period AUROC 0\.\d+, 95 % \[0\.\d+, \d\.\d+\]", said)
    assert (tmp_path / "curves.png").is_file()
    assert len(re.findall(r"0\.\d+", said.partition("being fake:")[2])) == 5


@pytest.mark.slow
def test_the_pages_own_model_metric_loss_augmentation_and_scheduler_run(made, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(import torch.*?)```", PAGE, re.S)
    made.default(tmp_path / "demo_data", generators=5, fakes_each=8)
    said = ran(["-c", example], tmp_path)
    assert re.fullmatch(r"\(0\.\d+, None\)", said.strip().splitlines()[-1])


def test_the_page_names_all_that_is_offered() -> None:
    offered = set(ab.__all__) - {"Interval", "Intervals", "Scores"}
    assert {name for name in offered if f"ab.{name}" not in PAGE} == set()
    assert all(hasattr(ab, name) for name in ab.__all__)


@pytest.mark.slow
def test_a_timeline_of_ones_own_as_the_page_on_the_protocol_has_it(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "protocol.md").read_text(encoding="utf-8"), re.S)
    ran(["-c", example], tmp_path)
