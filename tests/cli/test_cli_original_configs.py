"""Config files of the original framework, rebuilt key by key, resolve as they are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

from aigenbench.cli.parser import resolve
from aigenbench.engine.assembly.loggers import without_missing_loggers
from aigenbench.training.lightning.trainers import check_trainer_arguments
from original_configs import MODELS, PIPELINES, model, pipeline


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, windows in PIPELINES.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(pipeline(windows)))
    for name in MODELS:
        Path(f"{name}.yaml").write_text(yaml.safe_dump(model(name)))


def test_there_are_fourteen() -> None:
    assert len(PIPELINES) + len(MODELS) == 14


@pytest.mark.parametrize(
    ("first", "second"), [*(("sliding_windows", name) for name in MODELS), ("full_training", MODELS[0])]
)
def test_they_resolve_as_they_are(first: str, second: str, caplog: pytest.LogCaptureFixture) -> None:
    config = resolve(["--config", f"{first}.yaml", "--config", f"{second}.yaml"], "fit").config
    trainer, data = config["trainer"], config["data"]["init_args"]
    check_trainer_arguments(trainer)
    assert (trainer["min_epochs"], trainer["max_epochs"], trainer["accumulate_grad_batches"]) == (1, 1, 8)
    assert trainer["strategy"] == "ddp_find_unused_parameters_true"
    assert trainer["logger"][0]["init_args"]["save_dir"] == f"logs/{second}"
    assert trainer["logger"][1]["init_args"]["name"] == second
    assert (data["train_batch_size"], data["augmentation_factor"]) == (64, 4)
    assert (data["train_subset_size"], data["validation_subset_size"]) == (0, 0)
    assert data["maximum_processing_size"] is None
    assert config["model"]["init_args"]["model_name"] == model(second)["model"]["init_args"]["model_name"]
    assert config["dataset_path"] == "/data/ai_gen_bench"
    windows = config.experiment_info.sliding_windows_definition
    assert windows is not None
    assert (windows.n_generators_per_window, windows.benchmark_type) == (
        PIPELINES[first]["n_generators_per_window"],
        PIPELINES[first]["benchmark_type"],
    )
    assert data["move_data_to_local_storage"] is False
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_zero_and_null_are_no_subset_and_no_limit() -> None:
    made = resolve(["--config", "sliding_windows.yaml", "--config", f"{MODELS[0]}.yaml"], "fit").instantiate_data()
    assert made.train_subset_size is None
    assert made.validation_subset_size is None
    for step in (made.mandatory_train_preprocessing(), made.mandatory_val_preprocessing()):
        assert step.describe()["steps"][0]["maximum"] is None  # type: ignore[attr-defined]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_they_run_on_without_weights_and_biases() -> None:
    config = resolve(["--config", "full_training.yaml", "--config", f"{MODELS[0]}.yaml"], "fit").config
    trainer, missing = without_missing_loggers(config.to_dict()["trainer"])
    assert [node["class_path"].rpartition(".")[2] for node in trainer["logger"]] == ["TensorBoardLogger"]
    assert missing == [("lightning.pytorch.loggers.WandbLogger", "wandb")]
