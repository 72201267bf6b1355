"""The page on hooks: its examples run, and its tables name every hook."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from training_harness import arguments, run

from aigenbench.config.names import ORIGINAL_MODULES
from aigenbench.data import AIGenBenchPipeline
from aigenbench.training import BaseDeepfakeDetectionModel

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
CLASSES = [block for block in BLOCKS if "class Example" in block]


def test_there_are_examples() -> None:
    assert (len(CLASSES), len(BLOCKS)) == (4, 5)


@pytest.mark.parametrize("number", range(len(CLASSES)))
def test_an_example_runs(made, tmp_path: Path, number: int) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    (tmp_path / "example.py").write_text(CLASSES[number])
    argv = arguments(
        dataset,
        tmp_path,
        f"--import={tmp_path / 'example.py'}",
        "--model.class_path=example.Example",
        "--experiment_info.sliding_windows_definition.current_window=0",
    )
    code, _ = run(tmp_path, argv)
    assert code == 0, (tmp_path / "log.txt").read_text()[-3000:]


@pytest.mark.slow
def test_the_example_of_a_trainer_runs(made, tmp_path: Path) -> None:
    made.default(tmp_path / "demo_data", generators=2, fakes_each=8)
    (program,) = set(BLOCKS) - set(CLASSES)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(tmp_path / "demo_data")


def test_the_page_names_every_hook() -> None:
    named = set(re.findall(r"`(?:self\.)?(\w+)", PAGE))
    own = {name for cls in (BaseDeepfakeDetectionModel, AIGenBenchPipeline) for name in _hooks(cls)}
    assert own - named == set()
    modules = {module for module in ORIGINAL_MODULES if ORIGINAL_MODULES[module] or module == "training_utils"}
    assert {m for m in modules if m.rpartition(".")[2] not in PAGE} == set()


def _hooks(cls: type) -> set[str]:
    """What a subclass is meant to override; what the pipeline asks a detector for is made of these."""
    not_hooks = {"use_preprocessing", "evaluation_crops", "evaluation_augmentation"}
    steps = r".*_(step|augmentation|preprocessing|crops|fusion|prediction|optimizers|metrics)"
    return {
        name
        for name, _ in inspect.getmembers(cls, inspect.isfunction)
        if re.fullmatch(steps, name) and name in vars(cls) and name not in not_hooks and not name.startswith("_")
    }
