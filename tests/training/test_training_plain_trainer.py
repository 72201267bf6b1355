"""A Lightning Trainer of one's own trains a window as the windows loop does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_harness import arguments, run

PLAIN = """
import sys
from functools import partial

import lightning
import torch

import tiny_model  # registers the network
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.detector.seeding import seed_everything

torch.set_num_threads(1)
seed_everything((42, "initial weights"))
detector = BaseDeepfakeDetectionModel(
    "tiny_tune",
    optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-4),
    model_input_size=24,
)
pipeline = AIGenBenchPipeline(
    AIGenBenchDatasetLoader(sys.argv[1]), train_batch_size=4, eval_batch_size=8, num_workers=0, augmentation_factor=2
)
if len(sys.argv) > 2:
    pipeline.use_window(0, n_generators_per_window=int(sys.argv[2]))
trainer = lightning.Trainer(
    max_epochs=2, accelerator="cpu", accumulate_grad_batches=2, gradient_clip_val=1.0, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, num_sanity_val_steps=1,
)
trainer.fit(detector, datamodule=pipeline)
torch.save(detector.state_dict(), "plain.pt")
trainer.save_checkpoint("plain.ckpt")
print(trainer.global_step, pipeline.trainer is trainer)
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_generators", ["1", "4"])
def test_the_weights_are_the_windows_loops(made, tmp_path: Path, n_generators: str) -> None:
    dataset = made.default(tmp_path / "data", generators=5, fakes_each=4)
    argv = arguments(
        dataset,
        tmp_path,
        "--trainer.max_epochs=2",
        "--trainer.gradient_clip_val=1.0",
        "--experiment_info.sliding_windows_definition.current_window=0",
        f"--experiment_info.sliding_windows_definition.n_generators_per_window={n_generators}",
    )
    assert run(tmp_path, argv)[0] == 0, (tmp_path / "log.txt").read_text()[-3000:]
    # what the file imports comes under the original framework's name
    (tmp_path / "tiny_model.py").write_text(
        (tmp_path / "tiny_model.py").read_text().replace("algorithms.model_factory_registry", "aigenbench.models")
    )
    (tmp_path / "plain.py").write_text(PLAIN)
    chosen = [] if n_generators == "4" else [n_generators]
    done = subprocess.run(
        [sys.executable, "plain.py", str(dataset), *chosen], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == "True"
    # Lightning's own checkpoint says as much of its weights as ours
    kept = torch.load(tmp_path / "plain.ckpt", weights_only=True)
    final = torch.load(tmp_path / "experiments_data/experiment_x/window_0/final.ckpt", weights_only=True)
    keys = ("model_name", "preprocessing", "window", "trained", "trained_generators")
    assert {key: kept[key] for key in keys} == {key: final[key] for key in keys}
    ours = final["state_dict"]
    plain = torch.load(tmp_path / "plain.pt", weights_only=True)
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in ours)
