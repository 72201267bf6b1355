"""The result does not depend on how many processes share the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import arguments

pytestmark = pytest.mark.slow

# no BatchNorm, no dropout: nothing that sees a device's share of the batch alone
PLAIN = """
from torch import nn
from aigenbench.models import ModelFactoryRegistry


def make_plain(model_name, pretrained=True, **kwargs):
    if model_name != "plain_tune":
        return None
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(36, kwargs["num_classes"]),
    )


ModelFactoryRegistry().register_model_factory("plain", make_plain)
"""


def fit(folder: Path, dataset: Path, devices: int, accumulate: int, command: str = "fit", *more: str) -> Path:
    factory = folder / "plain_model.py"
    folder.mkdir(exist_ok=True)
    factory.write_text(PLAIN)
    argv = arguments(
        dataset,
        folder,
        f"--import={factory}",
        "--model.model_name=plain_tune",
        "--data.train_batch_size=2",
        f"--trainer.devices={devices}",
        f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
        f"--trainer.accumulate_grad_batches={accumulate}",
        "--trainer.precision=64-true",
        "--trainer.max_epochs=2",
        *more,
    )
    done = subprocess.run(
        [sys.executable, "-m", "aigenbench", command, *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "experiments_data" / "experiment_x"


def weights(window: Path) -> dict[str, torch.Tensor]:
    return torch.load(window / "final.ckpt", weights_only=True)["state_dict"]


def test_one_two_and_three_processes(made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=6)
    # an overall batch of 12, however it is shared out
    alone = fit(tmp_path / "alone", dataset, 1, 6)
    spread = {devices: fit(tmp_path / f"spread{devices}", dataset, devices, 6 // devices) for devices in (2, 3)}
    for experiment in spread.values():
        for k in range(2):
            a, b = weights(alone / f"window_{k}"), weights(experiment / f"window_{k}")
            assert all((a[name] - b[name]).abs().max() < 1e-9 for name in a)
            rows, others = (np.load(e / f"window_{k}" / "predictions_validate_all.npz") for e in (alone, experiment))
            assert np.array_equal(rows["fused_identifiers"], others["fused_identifiers"])
            assert len(set(rows["fused_identifiers"].tolist())) == len(rows["fused_identifiers"])
            assert np.abs(rows["fused_logits"] - others["fused_logits"]).max() < 1e-6
            assert rows["pairing"].tolist() == others["pairing"].tolist()
