"""Config files of the original framework, rebuilt key by key from what is documented of them."""

from __future__ import annotations

import itertools
from typing import Any

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
