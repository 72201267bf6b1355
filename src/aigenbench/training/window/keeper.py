"""The Lightning callback that makes a window's training resumable: positions, checkpoints, stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from aigenbench.config.folder import RUN_FILE
from aigenbench.data.samples.collation import Batch
from aigenbench.errors import InputError
from aigenbench.fences import check_fence, is_lost
from aigenbench.files import read_json, write_json
from aigenbench.training.detector.records import detector_record
from aigenbench.training.detector.stage import Stage
from aigenbench.training.lightning import loops
from aigenbench.training.lightning.loggers import logged_positions
from aigenbench.training.lightning.loops import Position
from aigenbench.training.lightning.module_state import are_weights, flags_of, restore_flags
from aigenbench.training.lightning.plain import plain_values
from aigenbench.training.lightning.user_checkpoints import MARK, checkpoint_files, remove_later_files
from aigenbench.training.processes.collectives import SharedError, everyones, largest
from aigenbench.training.processes.sharding import gathered, is_sharded, spread_optimizer_state
from aigenbench.training.processes.signals import StoppedError, StopRequest
from aigenbench.training.resume.checkpoints import WindowCheckpoints

if TYPE_CHECKING:
    from aigenbench.training.heads.group import Heads

logger = logging.getLogger(__name__)

LOST, NOT_FINITE = 1000, 1001
"""Stand among the numbers of signals: for a folder that another run has taken, and for a loss that is no number."""


@dataclass(frozen=True)
class WindowPlan:
    """What the training of one window is.

    Attributes:
        window: index of the window.
        epochs: epochs at most.
        steps: optimizer steps of an epoch.
        start: where this training begins.
        logged_before: optimizer steps that stand before the window in the logs.
        epochs_before: epochs of earlier windows.
        seed: ``seed_everything``.
    """

    window: int
    epochs: int
    steps: int
    start: Position
    logged_before: int
    epochs_before: int
    seed: int

    def logged(self, epoch: int, step: int = 0) -> int:
        """The logs' number of a step of an epoch."""
        return self.logged_before + epoch * self.steps + step


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


class WindowKeeper(pl.Callback):
    """Restores what a window's training resumes from, and writes checkpoints between optimizer steps.

    It stands first among the callbacks, so it writes what was before the others act.

    Args:
        plan: the training.
        stage: what the detector is told at each epoch.
        checkpoints: where they go.
        rule: when they fall due within an epoch.
        stop: the request to stop.
        resumed: the checkpoint to go on from, or None at a window's start.
        heads: further heads that are trained along.
        title: names an epoch, for messages.
        mark: tells this window of this experiment from all others.
        keep_time: writes down how long this training has trained, in seconds.
    """

    def __init__(
        self,
        plan: WindowPlan,
        stage: Stage,
        checkpoints: WindowCheckpoints,
        rule: CheckpointRule,
        stop: StopRequest,
        resumed: Mapping[str, Any] | None,
        heads: Heads,
        title: Callable[[int], str],
        mark: str,
        keep_time: Callable[[float], None],
    ) -> None:
        self.plan, self.stage, self.checkpoints, self.rule, self.stop = plan, stage, checkpoints, rule, stop
        self.resumed, self.heads, self.title = resumed, heads, title
        self._mark, self._keep_time = mark, keep_time
        self.done = plan.start.step
        """Optimizer steps done in the epoch under way."""
        self.evaluated: str | None = None
        """Digest of the weights that were evaluated last."""
        self.last: dict[str, Any] = {}
        """The window's weights as its training ended, as a checkpoint holds them."""
        self.are_merged = False
        """Whether a strategy makes others of them, which ``save_final`` is then called with."""
        self.flags_before: dict[str, Any] = {}
        """What was frozen when the window began: ``configure_optimizers`` may go by it."""
        self.epochs_trained = plan.start.epoch
        self._seconds, self._since, self._done_before = 0.0, time.monotonic(), plan.start.step
        self._trains, self._is_checked = False, False
        self._ids: list[torch.Tensor] = []
        self._finite: torch.Tensor | None = None

    def seconds(self) -> float:
        """How long this training has trained, evaluations left out."""
        return self._seconds + (time.monotonic() - self._since if self._trains else 0.0)

    # going on

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give callbacks what they keep in checkpoints."""
        kept = {} if self.resumed is None else self.resumed.get("files", {})
        if trainer.is_global_zero:
            remove_later_files(trainer, self._mark, kept)
        if self.resumed is None:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_load_checkpoint(trainer, pl_module, dict(self.resumed))
        loops.restore_callbacks(trainer, self.resumed.get("callbacks", {}))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore optimizers, schedules and counters."""
        self._since, self._trains = time.monotonic(), self.done < self.plan.steps
        if self.resumed is None:
            return
        self._restore_optimizers(trainer, self.resumed)
        if self.resumed["precision"]:
            trainer.precision_plugin.load_state_dict(self.resumed["precision"])
        if "counters" in self.resumed:
            loops.restore_counters(trainer, self.resumed["counters"])
        of_processes = self.resumed.get("logged_values", [])
        if len(of_processes) == trainer.world_size:
            loops.restore_logged_values(trainer, of_processes[trainer.global_rank])
        elif of_processes and self.plan.start.step:
            logger.warning("going on with another number of processes: values logged by epoch cover its rest alone")

    def training_begins(self, trainer: pl.Trainer) -> None:
        """Undo what hooks of the training's start did a second time to what had begun already."""
        if self.resumed is None:
            return
        detector: Any = trainer.lightning_module
        if not is_sharded(detector):
            detector.load_state_dict(self.resumed["state_dict"], strict=False)
        self._restore_optimizers(trainer, self.resumed)
        restore_flags(detector, self.resumed.get("flags", {}))
        self.resumed = None

    @staticmethod
    def _restore_optimizers(trainer: pl.Trainer, resumed: Mapping[str, Any]) -> None:
        try:
            for optimizer, state in zip(trainer.optimizers, resumed["optimizers"], strict=True):
                optimizer.load_state_dict(spread_optimizer_state(optimizer, state))
            for config, state in zip(trainer.lr_scheduler_configs, resumed["schedulers"], strict=True):
                config.scheduler.load_state_dict(state)
        except ValueError as error:
            raise InputError(
                f"the optimizers or schedules of the checkpoint are not those that configure_optimizers makes "
                f"({error}); it must make the same at every start of a window (parameters added later are not kept)"
            ) from error

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark every checkpoint, those of the config's callbacks too."""
        checkpoint[MARK] = self._mark

    # epochs and steps

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint between two epochs, and stop there if asked to."""
        epoch = trainer.current_epoch
        self.done = self._done_before = 0
        if epoch > self.plan.start.epoch:
            self._write(trainer, Position(epoch, 0))
            self.stop.check()
        self._since = time.monotonic()
        self._trains = True
        pl_module.begin(self.stage.at_epoch(epoch))  # type: ignore[operator]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint where one is due, or the run is asked to stop.

        Checkpoints are written here and not at a batch's end, since Lightning logs a step only after that.
        """
        part = batch_idx % trainer.accumulate_grad_batches
        if part == 0 and self.done > self._done_before:
            if self.stop.agreed:
                self._write(trainer, Position(trainer.current_epoch, self.done))
                raise StoppedError(self.stop.agreed)
            if largest(self.rule.due(self.done)):
                self._write(trainer, Position(trainer.current_epoch, self.done))
        elif not self._is_checked:
            # what cannot be kept is told before anything is trained
            loops.callback_states(trainer)
        self._is_checked = True
        ids = image_ids_of(batch)
        self._ids = [*self._ids, ids] if part else [ids]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count optimizer steps; agree with the other processes on a stop."""
        # none where a step was passed over, or optimized by hand
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            finite = torch.isfinite(loss)
            self._finite = finite if self._finite is None else self._finite & finite
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self.done += 1
        pl_module.log("epoch", float(self.plan.epochs_before + trainer.current_epoch), batch_size=1)
        # of all processes: one whose loss is no number, or one that was asked to stop
        is_finite = self._finite is None or bool(self._finite)
        lost = LOST if is_lost(self.checkpoints.folder) else self.stop.signal or 0
        worst = largest(lost if is_finite else NOT_FINITE)
        if worst == NOT_FINITE:
            raise SharedError(self._not_finite(trainer.current_epoch))
        if worst == LOST:
            check_fence(self.checkpoints.folder)
            raise SharedError("another run has taken the folder over")
        self._finite = None
        self.stop.agree(worst or None)

    def epoch_trained(self, trainer: pl.Trainer, evaluated_next: bool) -> None:
        """Tell of the epoch; before its evaluation, write a checkpoint from which that can be done again."""
        epoch = trainer.current_epoch
        seconds = time.monotonic() - self._since
        self._seconds, self._trains = self._seconds + seconds, False
        logger.info("%s: %d optimizer steps in %.1f s", self.title(epoch), self.done - self._done_before, seconds)
        _share_buffers(trainer)
        if evaluated_next and self.done:
            self._write(trainer, Position(epoch, self.done))
            if self.stop.agreed:
                raise StoppedError(self.stop.agreed)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count epochs."""
        self.epochs_trained = trainer.current_epoch + 1

    # the end

    def window_trained(self, trainer: pl.Trainer) -> None:
        """Write the window's weights, or keep them for what is made of them."""
        detector: Any = trainer.lightning_module
        evaluated = self.evaluated is not None and are_weights(detector, self.evaluated)
        if self.evaluated is not None and not evaluated:
            logger.info("%s: the weights changed after the last evaluation", self.title(self.epochs_trained - 1))
        record = detector_record(detector, trainer.is_global_zero or self.are_merged)
        record["flags"] = flags_of(detector)
        detector.on_save_checkpoint(record)
        if not self.are_merged:
            self.save_final(trainer, record, evaluated)
            return
        record["state_dict"] = {name: tensor.clone() for name, tensor in record["state_dict"].items()}
        self.last = record

    def save_final(
        self, trainer: pl.Trainer, record: Mapping[str, Any], evaluated: bool, told: Mapping[str, Any] | None = None
    ) -> None:
        """Write the weights that the window ends with.

        Args:
            trainer: of the training.
            record: the weights, and what is needed to use them.
            evaluated: whether these very weights are evaluated.
            told: for ``run.json``.
        """
        if trainer.is_global_zero:
            self._keep_time(self.seconds())
            if told:
                path = self.checkpoints.folder / RUN_FILE
                write_json(path, {**read_json(path), **told})
            self.heads.save_final(self.plan.window, self.epochs_trained, evaluated)
            self.checkpoints.save_final(self.epochs_trained, plain_values(record, "the detector"), evaluated)
        trainer.strategy.barrier()

    def _write(self, trainer: pl.Trainer, at: Position) -> None:
        record = {**training_record(trainer), "flags_before": self.flags_before, "heads": self.heads.records()}
        if trainer.is_global_zero:
            self._keep_time(self.seconds())
            self.checkpoints.save_position(at.epoch, at.step, record)
        self.rule.written()
        trainer.strategy.barrier()

    def _not_finite(self, epoch: int) -> str:
        ids = everyones(torch.cat(self._ids).tolist())
        return (
            f"the loss is not a finite number in window {self.plan.window}, epoch {epoch}, optimizer step "
            f"{self.done} (image ids {ids[:8]}{' ...' if len(ids) > 8 else ''}); try a smaller learning rate, "
            "trainer.gradient_clip_val, or trainer.precision bf16-mixed instead of 16-mixed"
        )


def image_ids_of(batch: Any) -> torch.Tensor:
    """The images of a training batch: of ours, or of a tuple (images, labels, generator ids, identifiers)."""
    ids: torch.Tensor = batch.image_ids if isinstance(batch, Batch) else batch[3]
    return ids


def _share_buffers(trainer: pl.Trainer) -> None:
    """Let all processes evaluate with the buffers that the first one stores (BatchNorm's statistics differ)."""
    if trainer.world_size > 1 and not is_sharded(trainer.lightning_module):
        for buffer in trainer.lightning_module.buffers():
            torch.distributed.broadcast(buffer, 0)


def training_record(trainer: pl.Trainer) -> dict[str, Any]:
    """Everything a training resumes from: tensors and primitives.

    Weights, optimizers, schedulers and the gradient scaler; what callbacks and the detector keep; what was logged.
    All processes must call it; of a sharded detector, the first alone gets the tensors.

    Raises:
        InputError: a callback's state holds something else than tensors and primitives.
    """
    detector: Any = trainer.lightning_module
    keep = trainer.is_global_zero or not is_sharded(detector)
    record = {
        **detector_record(detector, keep),
        "optimizers": gathered([optimizer.state_dict() for optimizer in trainer.optimizers], keep),
        "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
        "precision": trainer.precision_plugin.state_dict(),
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        "counters": loops.counters(trainer),
        "flags": flags_of(detector),
        "callbacks": loops.callback_states(trainer),
        "logged_values": everyones([loops.logged_values(trainer)]),
        "logged": logged_positions(trainer.loggers),
        "files": checkpoint_files(trainer),
    }
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        callback.on_save_checkpoint(trainer, detector, record)
    detector.on_save_checkpoint(record)
    return plain_values(record, "the checkpoint")
