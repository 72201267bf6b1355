"""Config files of the original framework, rebuilt key by key, resolve as they are."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigenbench.cli.loggers import without_missing_loggers
from aigenbench.cli.parser import resolve
from aigenbench.training.trainers import check_trainer_arguments

PIPELINES: dict[str, dict[str, Any]] = {
    "sliding_windows": {"n_generators_per_window": 4, "current_window": None, "benchmark_type": "cumulative"},
    "full_training": {"n_generators_per_window": 0, "current_window": None, "benchmark_type": "none"},
}
BACKBONES = {"RN50_clip": "RN50", "ViTL14_openclip": "clipL14commonpool", "dinov2": "dinov2_vitl14"}
VIEWS = {"resize": ("resize", "resize"), "crop": ("random_crop", "multicrop")}
MODELS = [f"{name}_{kind}_{view}" for name, kind, view in itertools.product(BACKBONES, ("probe", "tune"), VIEWS)]


def pipeline(windows: dict[str, Any]) -> dict[str, Any]:
    manager = "MetricsManager" if windows["benchmark_type"] == "none" else "MetricsManagerSlidingWindow"
    return {
        "seed_everything": 1234,
        "trainer": {
            "accelerator": "auto",
            "strategy": "ddp_find_unused_parameters_true",
            "devices": 1,
            "num_nodes": 1,
            "precision": "bf16-mixed",
            "min_epochs": 1,
            "max_epochs": 1,
            "gradient_clip_val": 1.0,
            "log_every_n_steps": 10,
            "check_val_every_n_epoch": 1,
            "num_sanity_val_steps": 0,
            "logger": [
                {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": "logs"}},
                {
                    "class_path": "lightning.pytorch.loggers.WandbLogger",
                    "init_args": {"project": "AI-GenBench", "save_dir": "logs"},
                },
            ],
            "callbacks": [
                {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"},
                {"class_path": "training_metrics.DeepFakePredictionsDump"},
                {"class_path": f"training_metrics.{manager}", "init_args": {"compute_mechanism": "tm"}},
            ],
        },
        "checkpoint_callback": {"filename": "{epoch}-{step}", "save_top_k": -1, "save_last": True},
        "data": {
            "class_path": "lightning_data_modules.AIGenBenchPipeline",
            "init_args": {
                "num_workers": 8,
                "train_subset_size": 0,
                "validation_subset_size": 0,
                "deterministic_augmentations": True,
                "augmentation_factor": 4,
                "augmentations_base_seed": 4321,
                "maximum_processing_size": None,
                "move_data_to_local_storage": False,
                "dataset_loader": {
                    "class_path": "lightning_data_modules.datasets.AIGenBenchDatasetLoader",
                    "init_args": {"dataset_path": "/data/ai_gen_bench"},
                },
            },
        },
        "model": {
            "class_path": "algorithms.BaseDeepfakeDetectionModel",
            "init_args": {
                "optimizer": {
                    "class_path": "torch.optim.SGD",
                    "init_args": {"lr": 0.001, "momentum": 0.9, "weight_decay": 0.0001},
                },
                "scheduler": "OneCycleLR",
                "model_input_size": 224,
                "classification_threshold": 0.5,
                "training_task": "binary",
                "evaluation_type": "binary",
            },
        },
        "experiment_info": {
            "experiment_name_prefix": "experiment_",
            "window_name_prefix": "window_",
            "experiments_data_folder": "experiments_data",
            "logging_initial_step": 0,
            "sliding_windows_definition": windows,
        },
    }


def model(name: str) -> dict[str, Any]:
    backbone, kind, view = name.rsplit("_", 2)
    training, evaluation = VIEWS[view]
    return {
        "trainer": {
            "min_epochs": 1,
            "max_epochs": 1,
            "accumulate_grad_batches": 8,
            # patches of the pipeline's loggers
            "logger": [{"init_args": {"save_dir": f"logs/{name}"}}, {"init_args": {"name": name}}],
        },
        "data": {
            "init_args": {
                "train_batch_size": 64,
                "eval_batch_size": 64,
                "train_subset_size": 0,
                "validation_subset_size": 0,
                "maximum_processing_size": None,
            }
        },
        "model": {
            "class_path": "algorithms.BaseDeepfakeDetectionModel",
            "init_args": {
                "model_name": f"{BACKBONES[backbone]}_{kind}",
                "training_cropping_strategy": training,
                "evaluation_cropping_strategy": evaluation,
                "base_weights": None,
            },
        },
    }


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
    assert "move_data_to_local_storage" in caplog.text
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
