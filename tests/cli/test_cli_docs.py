from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from aigenbench.cli.parser import resolve
from aigenbench.config.experiment import experiment_info
from aigenbench.config.layer import SECTIONS
from aigenbench.engine.assembly.objects import NAMED
from aigenbench.engine.assembly.signatures import parameters

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


def table(title):
    text = PAGE.partition(f"{title}\n")[2].partition("\n#")[0]
    rows = re.findall(r"(?m)^\| (.*?) \|", text)[1:]
    return {key for row in rows for key in re.findall(r"`([\w.]+)`", row)}


def test_the_tables_name_every_key():
    assert table("## Sections") == set(SECTIONS)
    assert table("### `model.init_args`") | {"n_classes"} == set(parameters(NAMED["model"]).defaults)
    assert table("### `data.init_args`") | {"dataset_loader"} == set(parameters(NAMED["data"]).defaults)
    info = experiment_info({"sliding_windows_definition": {}})
    windows = {f"sliding_windows_definition.{key}" for key in vars(info.sliding_windows_definition)}
    assert table("### `experiment_info`") == (set(vars(info)) - {"sliding_windows_definition"}) | windows
