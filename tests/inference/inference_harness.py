"""Small experiments, and detectors exported of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aigenbench as ab
from aigenbench.data.pipeline import AIGenBenchPipeline

PIPELINE = "benchmark_pipelines/base_benchmark_sliding_windows.yaml"
FEW = {
    "model.model_name": "small_cnn_tune",
    "model.model_args": {"pretrained": False},
    "model.model_input_size": 32,
    "data.num_workers": 0,
    "data.train_batch_size": 4,
    "data.eval_batch_size": 8,
    "data.augmentation_factor": 1,
    "trainer.accelerator": "cpu",
    "trainer.logger": False,
    "experiment_info.experiment_id": "x",
    "experiment_info.sliding_windows_definition.n_generators_per_window": 2,
    "experiment_info.sliding_windows_definition.current_window": 0,
}


class AsTheyAre(AIGenBenchPipeline):
    """Evaluates pictures as they are, without the protocol's mandatory steps."""

    def mandatory_val_preprocessing(self) -> Any:
        return None


Trained = Callable[..., ab.Experiment]
"""Trains the first window of an experiment, with what is to be different from `FEW`."""
