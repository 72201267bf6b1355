from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from aigenbench.cli.parser import resolve

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCKS = [
    re.sub(r"(?m)^  ", "", b) if b.startswith("  ") else b for b in re.findall(r"```yaml\n(.*?)\n *```", PAGE, re.S)
]
PIPELINE = "training_configurations/benchmark_pipelines/base_benchmark_sliding_windows.yaml"
MODEL = "training_configurations/RN50_clip/RN50_clip_tune_resize.yaml"
MINE = """
from algorithms import BaseDeepfakeDetectionModel
class MyDetector(BaseDeepfakeDetectionModel):
    def __init__(self, my_argument: int = 1, **kwargs):
        super().__init__(**kwargs)
"""


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_resolves_over_the_first_one(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    Path("my_model.py").write_text(MINE)
    Path("block.yaml").write_text(block)
    assert resolve(["--config", PIPELINE, "--config", MODEL, "--config", "block.yaml"], "fit").config["model"]


def test_there_are_examples():
    assert len(BLOCKS) == 4
