"""What a start asks for, and what a run is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aigenbench.cli.parser import asked_for, resolve
from aigenbench.config import layer
from aigenbench.engine.assembly.request import recorded
from aigenbench.engine.assembly.weights import device_arguments
from aigenbench.errors import InputError

CONFIGS = [
    "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    "--model.model_name=small_cnn_tune",
    "--model.model_args.pretrained=false",
]
METRICS = """
from torchmetrics.classification import BinaryAUROC

def wrong(labels, probabilities):
    return float(((probabilities > 0.5) != labels).mean())

class Broken:
    def __init__(self):
        raise RuntimeError("no")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "metrics_of_mine.py").write_text(METRICS)
    return tmp_path


def test_each_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = layer.read_yaml

    def counted(text: str, where: str) -> object:
        read.append(where)
        return original(text, where)

    monkeypatch.setattr(layer, "read_yaml", counted)
    asked_for(CONFIGS, "fit").run_with_weights("fit")
    assert read == ["benchmark_pipelines/base_benchmark_sliding_windows.yaml"]


def test_metrics_are_named_in_a_config(here: Path) -> None:
    typed = ["--import=metrics_of_mine.py", "--metrics.wrong=metrics_of_mine.wrong"]
    typed += ["--metrics.area=torchmetrics.classification.BinaryAUROC"]
    run = resolve([*CONFIGS, *typed], "fit")
    detector = run.instantiate_model()
    assert {name: type(metric).__name__ for name, metric in detector.configured_metrics.items()} == {
        "wrong": "function",
        "area": "BinaryAUROC",
    }
    assert run.instantiate_model().configured_metrics["area"] is not detector.configured_metrics["area"]
    assert resolve(CONFIGS, "fit").instantiate_model().configured_metrics == {}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("wrong=metrics_of_mine.wrnog", "metrics_of_mine has no 'wrnog'"),
        ("wrong=wrong", r"metrics\.wrong: expected a function or class"),
        ("wrong=metrics_of_mine.Broken", r"metrics\.wrong: metrics_of_mine\.Broken cannot be made: RuntimeError: no"),
        ("auroc=metrics_of_mine.wrong", "'?auroc'?"),
    ],
)
def test_metrics_that_are_none_are_told_before_data(here: Path, typed: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        resolve([*CONFIGS, "--import=metrics_of_mine.py", f"--metrics.{typed}"], "fit")


def test_an_experiment_without_a_configuration_is_none(here: Path) -> None:
    with pytest.raises(InputError, match="expected an experiment's folder, as fit makes it"):
        recorded(here)


@pytest.mark.parametrize("name", ["cpu:1", "gpuu", "cuda:x", "tpu"])
def test_a_device_that_is_none_is_told(name: str) -> None:
    with pytest.raises(InputError, match=f"--device: expected auto, cpu, cuda or cuda:N, found '{name}'"):
        device_arguments(name)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("__main__.Detector", "it was defined in a notebook or script: go on from there, or move it into a file"),
        (
            "aigenbench.engine.assembly.given.Own__of_mine_make",
            "Own of mine_make was given from Python, where no path led",
        ),
    ],
)
def test_what_only_another_process_had_is_told(path: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        resolve([*CONFIGS, f"--model.class_path={path}"], "fit")
