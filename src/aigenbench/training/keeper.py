"""The Lightning callback that makes an epoch resumable: random keys, positions, checkpoints, stops."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch

from aigenbench.training.checkpoints import WindowCheckpoints, detector_record
from aigenbench.training.processes import SharedError, everyones, largest
from aigenbench.training.sharding import gathered, is_sharded, spread_optimizer_state
from aigenbench.training.signals import StopRequest

if TYPE_CHECKING:
    from aigenbench.training.heads import Heads

NOT_FINITE = 1000
"""Stands among the numbers of signals for a loss that is no number."""


@dataclass(frozen=True)
class EpochPlan:
    """What one epoch of one window is.

    Attributes:
        window: index of the window.
        epoch: epoch within the window.
        epochs: epochs of the window.
        steps: optimizer steps of an epoch.
        start: optimizer steps already done in this epoch.
        logged_before: optimizer steps that stand before this epoch in the logs.
        epochs_before: epochs of earlier windows.
        seed: ``seed_everything``.
    """

    window: int
    epoch: int
    epochs: int
    steps: int
    start: int
    logged_before: int
    epochs_before: int
    seed: int


@dataclass
class CheckpointRule:
    """When a checkpoint falls due within an epoch.

    Attributes:
        minutes: after so many minutes since the last; None never.
        steps: after every so many optimizer steps; None never.
    """

    minutes: float | None = 10.0
    steps: int | None = None
    _last: float = field(default_factory=time.monotonic)

    def due(self, steps_done: int) -> bool:
        """Whether to write one now."""
        if self.steps is not None and steps_done % self.steps == 0:
            return True
        return self.minutes is not None and time.monotonic() - self._last >= 60 * self.minutes

    def written(self) -> None:
        """Start the clock again."""
        self._last = time.monotonic()


class EpochKeeper(pl.Callback):
    """Seeds every batch, restores what an epoch resumes from, and writes checkpoints at optimizer steps.

    Args:
        plan: the epoch.
        checkpoints: where they go.
        rule: when they fall due.
        stop: the request to stop.
        resumed: optimizer, scheduler and scaler states to go on from, or None at a window's start.
        heads: further heads that are trained along.
    """

    def __init__(
        self,
        plan: EpochPlan,
        checkpoints: WindowCheckpoints,
        rule: CheckpointRule,
        stop: StopRequest,
        resumed: Mapping[str, Any] | None,
        heads: Heads,
    ) -> None:
        self.heads = heads
        self.plan, self.checkpoints, self.rule, self.stop = plan, checkpoints, rule, stop
        self.resumed = resumed
        self.done = plan.start
        self.record: dict[str, Any] = {}
        self._ids: list[torch.Tensor] = []
        self._finite: torch.Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the states, and let what is logged run on from earlier windows and epochs."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = self.plan.logged_before + self.plan.start
        # what ``current_epoch`` reads
        trainer.fit_loop.epoch_progress.current.processed = self.plan.epoch  # type: ignore[attr-defined]
        if self.resumed is None:
            return
        for optimizer, state in zip(trainer.optimizers, self.resumed["optimizers"], strict=True):
            optimizer.load_state_dict(spread_optimizer_state(optimizer, state))
        for config, state in zip(trainer.lr_scheduler_configs, self.resumed["schedulers"], strict=True):
            config.scheduler.load_state_dict(state)
        if self.resumed["precision"]:
            trainer.precision_plugin.load_state_dict(self.resumed["precision"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint where one is due; seed what is random on the device (dropout).

        Checkpoints are written here and not at a batch's end, since Lightning logs a step only after that.
        """
        part = batch_idx % trainer.accumulate_grad_batches
        if part == 0 and self.done > self.plan.start and largest(self.rule.due(self.done)):
            self._write(trainer, self.plan.epoch, self.done)
        seed_batch(self.plan.seed, self.plan, self.done, part, trainer.global_rank)
        self._ids = [*self._ids, batch.image_ids] if part else [batch.image_ids]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count optimizer steps; end the epoch early where the run is asked to stop."""
        finite = torch.isfinite(outputs["loss"])
        self._finite = finite if self._finite is None else self._finite & finite
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self.done += 1
        pl_module.log("epoch", float(self.plan.epochs_before + self.plan.epoch), batch_size=1)
        # of all processes: one whose loss is no number, or one that was asked to stop
        worst = largest((self.stop.signal or 0) if bool(self._finite) else NOT_FINITE)
        if worst == NOT_FINITE:
            raise SharedError(self._not_finite())
        self._finite = None
        if worst:
            trainer.should_stop = True
            # a process that heard nothing stops with the others
            self.stop.signal = worst

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint where the epoch ends or stops; after the last epoch, the window's weights."""
        if self.done < self.plan.steps:
            self._write(trainer, self.plan.epoch, self.done)
        elif self.plan.epoch + 1 < self.plan.epochs:
            self._write(trainer, self.plan.epoch + 1, 0)
        else:
            record = detector_record(trainer.lightning_module, trainer.is_global_zero)  # type: ignore[arg-type]
            if trainer.is_global_zero:
                self.heads.save_final(self.plan.window, self.plan.epochs)
                self.checkpoints.save_final(self.plan.epochs, record)
        trainer.strategy.barrier()

    def _write(self, trainer: pl.Trainer, epochs: int, steps: int) -> None:
        self.record = {**training_record(trainer), "heads": self.heads.records()}
        if trainer.is_global_zero:
            self.checkpoints.save_position(epochs, steps, self.record)
        self.rule.written()
        trainer.strategy.barrier()

    def _not_finite(self) -> str:
        ids = everyones(torch.cat(self._ids).tolist())
        return (
            f"the loss is not a finite number in window {self.plan.window}, epoch {self.plan.epoch}, optimizer step "
            f"{self.done} (image ids {ids[:8]}{' ...' if len(ids) > 8 else ''}); try a smaller learning rate, "
            "trainer.gradient_clip_val, or trainer.precision bf16-mixed instead of 16-mixed"
        )


def training_record(trainer: pl.Trainer) -> dict[str, Any]:
    """Everything an epoch resumes from: weights, optimizers, schedulers and the gradient scaler's state.

    All processes must call it; of a sharded detector, the first alone gets the tensors.
    """
    detector = trainer.lightning_module
    keep = trainer.is_global_zero or not is_sharded(detector)
    return {
        **detector_record(detector, keep),  # type: ignore[arg-type]
        "optimizers": gathered([optimizer.state_dict() for optimizer in trainer.optimizers], keep),
        "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
        "precision": trainer.precision_plugin.state_dict(),
    }


def seed_batch(seed: int, plan: EpochPlan, step: int, part: int, rank: int) -> None:
    """Seed what is random on the device for one part of an optimizer step."""
    seed_everything((seed, plan.window, plan.epoch, step, part, rank))


def seed_everything(key: tuple[int | str, ...]) -> None:
    """Seed torch (every device), NumPy and ``random`` from a key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    seed = int.from_bytes(digest, "little")
    torch.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    random.seed(seed)
