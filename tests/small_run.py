"""What a run from Python needs to be over in a moment."""

from __future__ import annotations

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
}
