"""Further heads on a frozen backbone, trained beside a run's own from the same cached features.

A head is a whole detector that shares the run's backbone, and an experiment of its own: what a run with the head's
learning rate, weight decay or seed would leave, the head leaves. The run leads: until a window is finished, its
checkpoints hold the heads' states, and its record says how far they all have come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as pl
import torch

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.training.detector.records import detector_record, load_detector, load_record
from aigenbench.training.detector.seeding import seed_batch
from aigenbench.training.detector.stage import Stage
from aigenbench.training.heads.run import HeadRun
from aigenbench.training.processes.collectives import SharedError, largest
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.window.collect import OutputCollector
from aigenbench.training.window.evaluating import checked_predictions, stage_of
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.keeper import WindowPlan


class Heads:
    """All further heads of a run; where there are none, nothing it does has an effect."""

    def __init__(self, runs: Sequence[HeadRun] = ()) -> None:
        self.runs = tuple(runs)
        self._states: list[Mapping[str, Any] | None] = [None] * len(self.runs)

    @classmethod
    def open(cls, setup: Setup, experiment: ExperimentFolder, stack: ExitStack) -> Heads:
        """The heads that the configuration names, their folders held until ``stack`` is left."""
        return cls([HeadRun(head, setup, experiment, stack) for head in setup.info.heads])

    @property
    def seeds(self) -> set[int]:
        """Seeds of the heads."""
        return {run.setup.seed for run in self.runs}

    def restore(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Go on from what ``records`` returned.

        Raises:
            InputError: it was of other heads.
        """
        if len(records) != len(self.runs):
            raise InputError(
                f"the checkpoint holds {len(records)} further heads, the configuration names {len(self.runs)}; a "
                "window goes on with the experiment_info.heads it was begun with"
            )
        self._states = list(records)
        for run, record in zip(self.runs, records, strict=True):
            load_record(run.detector, record, run.experiment.folder)

    def begin_window(self) -> None:
        """Start the coming window with the weights as they are, and new optimizers."""
        self._states = [None] * len(self.runs)

    def load_weights(self, path: Any) -> None:
        """Let every head start from the weights at ``path``."""
        for run in self.runs:
            load_detector(run.detector, path)

    def load_final(self, window: int) -> None:
        """Let every head start from what it was at the end of a window.

        Raises:
            InputError: a head was not trained up to there.
        """
        for run in self.runs:
            checkpoints = run.checkpoints(window)
            if checkpoints.state.final is None:
                raise InputError(
                    f"{run.experiment.folder} has no weights of window {window}; heads are trained from the first "
                    "window on: give another experiment_info.experiment_id"
                )
            load_record(run.detector, checkpoints.load_final(), checkpoints.folder)

    def records(self) -> list[dict[str, Any]]:
        """What a checkpoint of the run keeps of its heads."""
        self._states = [run.record() for run in self.runs]
        return list(self._states)  # type: ignore[arg-type]

    def save_final(self, window: int, epochs: int, evaluated: bool) -> None:
        """Write every head's weights at the end of a window; ``evaluated`` as of the run's own."""
        for run in self.runs:
            run.checkpoints(window).save_final(epochs, detector_record(run.detector), evaluated)

    def training(
        self, plan: WindowPlan, stage: Stage, trainer: pl.Trainer, batches_of: Mapping[int, Any]
    ) -> list[pl.Callback]:
        """Callbacks that train the heads within a window.

        Args:
            plan: the window's training.
            stage: what detectors are told of it.
            trainer: of the run.
            batches_of: a loader of the window's batches under each seed that is not the run's.
        """
        for run in self.runs:
            run.begin(plan, stage, trainer)
        return [HeadsTraining(self.runs, self._states, plan, batches_of)] if self.runs else []


class HeadsTraining(pl.Callback):
    """Trains heads beside the run's own: on its batches, or those of their own seed."""

    def __init__(
        self,
        runs: Sequence[HeadRun],
        states: Sequence[Mapping[str, Any] | None],
        plan: WindowPlan,
        batches_of: Mapping[int, Any],
    ) -> None:
        self._runs, self._states, self._plan = runs, list(states), plan
        self._batches_of = batches_of
        self._batches: dict[int, Iterator[Any]] = {}
        self._done = plan.start.step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the heads on the device, with their optimizers."""
        for run, states in zip(self._runs, self._states, strict=True):
            run.detector.to(trainer.strategy.root_device)
            _adapt_for_training(run.detector)
            run.make_optimizer(states)
        self._begin(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on to an epoch's batches."""
        if trainer.current_epoch > self._plan.start.epoch:
            self._done = 0
            for run in self._runs:
                _adapt_for_training(run.detector)
            self._begin(trainer.current_epoch)

    def _begin(self, epoch: int) -> None:
        for run in self._runs:
            run.detector.begin(run.detector.stage.at_epoch(epoch))
        self._batches = {}
        for seed, loader in self._batches_of.items():
            loader.sampler.set_epoch(epoch)
            self._batches[seed] = iter(loader)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Train every head on a batch."""
        part = batch_idx % trainer.accumulate_grad_batches
        last = part == trainer.accumulate_grad_batches - 1
        batch_of = {self._plan.seed: batch}
        for seed, batches in self._batches.items():
            batch_of[seed] = trainer.strategy.batch_to_device(next(batches))
        for run in self._runs:
            place = (self._plan.window, trainer.current_epoch, self._done, part)
            seed_batch(run.setup.seed, *place, trainer.global_rank)
            run.accumulate(batch_of[run.setup.seed], batch_idx, trainer)
            if last:
                run.step(trainer)
        if last:
            self._check_losses()
            self._log(trainer)
            self._done += 1

    def _check_losses(self) -> None:
        """Stop in all processes where a head's loss was no number in one; told in one line."""
        flags = torch.stack([run.finite for run in self._runs if run.finite is not None])
        for run in self._runs:
            run.finite = None
        wrong = largest(max((i + 1 for i, finite in enumerate(flags.tolist()) if not finite), default=0))
        if wrong:
            raise SharedError(
                f"the loss of head {self._runs[wrong - 1].name!r} is not a finite number; give it a smaller learning "
                "rate, or take it out of experiment_info.heads, under another experiment_info.experiment_id"
            )

    def _log(self, trainer: pl.Trainer) -> None:
        epoch = trainer.current_epoch
        step = self._plan.logged(epoch, self._done)
        if (step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            for run in self._runs:
                run.log(self._plan.window, self._plan.epochs_before + epoch, step)


class HeadsEvaluation(pl.Callback):
    """Evaluates heads on the batches of the run's own evaluation."""

    def __init__(self, runs: Sequence[HeadRun], window: int) -> None:
        self._runs, self._window = runs, window
        self._collectors = [OutputCollector(0) for _ in runs]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the heads on the device."""
        for run in self._runs:
            run.detector.begin(stage_of(run.setup, self._window))
            run.detector.to(trainer.strategy.root_device)
            _adapt_for_evaluation(run.detector)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Score a batch with every head."""
        for run, collector in zip(self._runs, self._collectors, strict=True):
            with trainer.precision_plugin.val_step_context():
                collector.add(run.detector, run.detector.validation_step(batch, batch_idx))

    def predictions(self) -> list[Predictions]:
        """Every head's predictions of all images."""
        made = []
        for run, collector in zip(self._runs, self._collectors, strict=True):
            rows = collector.gathered()
            made.append(checked_predictions(run.setup, rows, self._window, "validate", run.setup.fingerprint))
        return made


def _adapt_for_training(detector: Any) -> None:
    """As Lightning's hooks do for the detector that the Trainer has."""
    getattr(detector, "adapt_model_for_training", detector.train)()


def _adapt_for_evaluation(detector: Any) -> None:
    if hasattr(detector, "adapt_model_for_evaluation"):
        detector.adapt_model_for_evaluation("validation")
    else:
        detector.eval()
