"""Callbacks and detectors that do what people's do, over restarts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from training_harness import Events, arguments, outcome, run

USERS = """
import threading

import numpy as np
import torch
import torchmetrics
from lightning.pytorch import Callback

from aigenbench.training import BaseDeepfakeDetectionModel


class Habits(BaseDeepfakeDetectionModel):
    # unfreezes after an epoch, changes weights when training starts, keeps metrics, passes over steps

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.accuracy = torchmetrics.Accuracy(task="binary")
        self.mean = torchmetrics.MeanMetric()
        self.model[0].requires_grad_(False)

    def on_train_start(self):
        with torch.no_grad():
            self.model[-1].weight.mul_(0.9)

    def on_train_epoch_start(self):
        self.model[0].requires_grad_(self.current_epoch > 0)
        self.model[1].train(self.current_epoch != 1)

    def training_step(self, batch, batch_idx):
        outputs = self(batch.images)
        loss = self.task.losses(outputs, batch.labels, batch.generator_ids).mean()
        scores = outputs.sigmoid().squeeze(1)
        self.log("train/loss", loss, batch_size=len(scores))
        if batch_idx % 2:
            self.log("odd", loss, on_step=True, batch_size=len(scores))
        self.accuracy(scores, batch.labels)
        self.mean.update(loss.detach())
        self.log("accuracy", self.accuracy, on_step=True, on_epoch=True, batch_size=len(scores))
        return None if batch_idx == 3 else {"loss": loss}

    def on_train_epoch_end(self):
        self.log("own_mean", self.mean.compute())
        self.mean.reset()

    def validation_step(self, batch, batch_idx):
        output = super().validation_step(batch, batch_idx)
        self.log("own/loss", output.losses.mean(), batch_size=len(output.losses))
        return output

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedules = torch.optim.lr_scheduler
        warm, then = schedules.LinearLR(optimizer, total_iters=3), schedules.MultiStepLR(optimizer, [3, 5])
        falling = schedules.SequentialLR(optimizer, [warm, then], [8])
        plateau = {"scheduler": schedules.ReduceLROnPlateau(optimizer, patience=0), "monitor": "own/loss"}
        return [optimizer], [{"scheduler": falling, "interval": "step"}, plateau]


class ByHand(BaseDeepfakeDetectionModel):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.task.losses(self(batch.images), batch.labels, batch.generator_ids).mean())
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(self.model[0].parameters(), lr=0.1), torch.optim.Adam(self.model[-1].parameters())], []


class Average(Callback):
    # of the weights, which take its place when training ends

    def __init__(self):
        self.weights, self.updates = None, np.zeros(1)

    def on_train_batch_end(self, trainer, module, *_):
        own = [p.detach() for p in module.parameters()]
        self.weights = [p.clone() for p in own] if self.weights is None else self.weights
        for mine, theirs in zip(self.weights, own):
            mine.lerp_(theirs, 0.2)
        self.updates = self.updates.astype(float) + 1

    def on_train_end(self, trainer, module):
        for mine, theirs in zip(self.weights, module.parameters()):
            theirs.data.copy_(mine)

    def on_train_epoch_end(self, trainer, module):
        self.log("updates", float(self.updates[0]))

    def state_dict(self):
        return {"weights": self.weights, "updates": self.updates}

    def load_state_dict(self, state):
        self.weights, self.updates = state["weights"], state["updates"]


class Enough(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.should_stop or (trainer.current_epoch == 1 and batch_idx == 7)


class Lock(Callback):
    def state_dict(self):
        return {"lock": threading.Lock()}
"""
ONE = "--experiment_info.sliding_windows_definition.current_window=0"
SAVING = "{class_path: ModelCheckpoint, init_args: {%s}}"
CASES = {
    "habits": ("users.Habits", ["{class_path: users.Average}", SAVING % "every_n_train_steps: 3, save_top_k: -1"], []),
    "by hand": (
        "users.ByHand",
        [SAVING % "monitor: validate/growing/auroc, save_last: true, every_n_epochs: 2"],
        ["--trainer.accumulate_grad_batches=1", "--trainer.gradient_clip_val=null"],
    ),
    "stops in mid-epoch": ("SgdModel", ["{class_path: users.Enough}"], []),
    "waits for min_epochs": (
        "SgdModel",
        [
            "{class_path: EarlyStopping, init_args: {monitor: train/loss, min_delta: 100, patience: 1, "
            "check_on_train_epoch_end: true}}"
        ],
        ["--trainer.min_epochs=3", "--trainer.max_epochs=4"],
    ),
}


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=12)


def command(dataset: Path, folder: Path, case: str | tuple[str, list[str], list[str]]) -> list[str]:
    detector, callbacks, more = CASES[case] if isinstance(case, str) else case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.py").write_text(USERS)
    (folder / "callbacks.yaml").write_text(f"trainer: {{max_epochs: 3, callbacks: [{', '.join(callbacks)}]}}")
    own = [f"--model.class_path={detector}"] if detector.startswith("users") else []
    users = [f"--import={folder / 'users.py'}", f"--config={folder / 'callbacks.yaml'}", *own]
    return arguments(dataset, folder, *users, *more, ONE)


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES))
def test_killed_and_gone_on_it_ends_alike(two: Path, tmp_path: Path, case: str) -> None:
    results: list[dict[str, Any]] = []
    for name, kills in (("undisturbed", ()), ("killed", (90, 160, 190))):
        folder = tmp_path / name
        for kill_at in (*kills, None):
            code, _ = run(folder, command(two, folder, case), Events(kill_at=kill_at))
            assert code in ((0, -signal.SIGKILL) if kill_at else (0,)), log(folder)[-3000:]
        results.append(outcome(folder))
    assert results[0] == results[1]
    if case == "habits":
        assert "the weights changed after the last evaluation" in log(tmp_path / "killed")


@pytest.mark.slow
def test_a_stop_in_mid_epoch_ends_that_epoch(two: Path, tmp_path: Path) -> None:
    assert run(tmp_path, command(two, tmp_path, "stops in mid-epoch"))[0] == 0, log(tmp_path)[-3000:]
    assert "epoch 1 of 0..2: 4 optimizer steps" in log(tmp_path)
    assert log(tmp_path).count("AUROC Past") == 2, "its last weights are evaluated, once"
    state = (tmp_path / "experiments_data/experiment_x/window_0/state.json").read_text()
    assert '"epochs": 2' in state


def test_lightning_does_not_go_on_from_what_a_callback_wrote(two: Path, tmp_path: Path) -> None:
    callbacks = [
        SAVING % "save_last: true, dirpath: shared",
        "{class_path: OnExceptionCheckpoint, init_args: {dirpath: .}}",
    ]
    both = [a for a in command(two, tmp_path, ("", callbacks, [])) if a != ONE]
    assert run(tmp_path, both)[0] == 0, log(tmp_path)[-3000:]
    assert log(tmp_path).count("optimizer steps in") == 6


def test_a_state_that_cannot_be_kept_is_told_before_training(two: Path, tmp_path: Path) -> None:
    argv = command(two, tmp_path, ("", ["{class_path: users.Lock}"], []))
    assert run(tmp_path, argv)[0] == 2
    assert "callback Lock, 'lock': a _thread.lock cannot be kept" in log(tmp_path).splitlines()[-1]
    assert "optimizer steps" not in log(tmp_path)
