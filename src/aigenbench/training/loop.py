"""The windows loop: asks what comes next, does it, until nothing is left."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from aigenbench.data.batches import TrainingBatches
from aigenbench.evaluation.predictions import save_predictions
from aigenbench.files import remove_temporaries
from aigenbench.training.checkpoints import WindowCheckpoints, load_detector, load_record
from aigenbench.training.evaluating import evaluate_detector, log_evaluation, stage_of
from aigenbench.training.experiment import Experiment
from aigenbench.training.features import FeatureCache
from aigenbench.training.heads import Heads, HeadsEvaluation
from aigenbench.training.inputs import Setup
from aigenbench.training.keeper import CheckpointRule, EpochKeeper, EpochPlan
from aigenbench.training.loggers import LongCSVLogger, drop_logged, logger_defaults
from aigenbench.training.processes import is_first_process
from aigenbench.training.runtime import add_seconds, embedding_recorded, record_run
from aigenbench.training.sharding import is_sharded
from aigenbench.training.signals import StopRequest
from aigenbench.training.state import (
    Done,
    Evaluate,
    Schedule,
    Train,
    WindowState,
    is_finished,
    next_action,
    read_state,
)
from aigenbench.training.tracking import Tracking
from aigenbench.training.trainers import make_trainer

logger = logging.getLogger(__name__)


class WindowsLoop:
    """Brings the windows of an experiment to their end, from wherever they stand.

    Args:
        setup: the run's objects.
        experiment: where its files go.
        rule: when checkpoints fall due within an epoch.
        stop: the request to stop.
        heads: further heads to train along.
    """

    def __init__(
        self, setup: Setup, experiment: Experiment, rule: CheckpointRule, stop: StopRequest, heads: Heads
    ) -> None:
        self.setup, self.experiment, self.rule, self.stop, self.heads = setup, experiment, rule, stop, heads
        self.n_windows = len(setup.plan.windows)
        setup.pipeline.views.between = stop.check_alone
        # what the detector in memory is: (window, finished epochs) and the states to train on from there
        self._in_memory: tuple[int, int] | None = None
        self._carried: dict[str, Any] | None = None
        self._tracking = Tracking()

    def run(self, windows: tuple[int, ...]) -> None:
        """Train and evaluate ``windows``.

        Raises:
            StoppedError: a signal asked for it; everything done is on disk.
            InputError: see ``next_action``; the loss became infinite; an image cannot be read.
        """
        if is_first_process():
            # alone: another would take what the first is writing for what a killed run left
            for experiment in (self.experiment, *(run.experiment for run in self.heads.runs)):
                remove_temporaries(experiment.folder)
                for folder in map(experiment.window_folder, range(self.n_windows)):
                    if (state := read_state(folder)) is not None:
                        WindowCheckpoints(folder, state).tidy()
        evaluate_every = int(self.setup.trainer_value("check_val_every_n_epoch", 1))
        schedule = Schedule(windows, self.setup.epochs, evaluate_every)
        if self.setup.features is not None:
            with embedding_recorded(self.experiment.folder, self.setup.features.spent):
                self._embed(self.setup.features, schedule)
        while not isinstance(action := next_action(self._states(), schedule), Done):
            if isinstance(action, Train):
                self._train(action)
            else:
                self._evaluate(action)
            # not before the first action: the processes that share the work meet only within it
            self.stop.check()

    def _folder(self, window: int) -> Path:
        return self.experiment.window_folder(window)

    def _states(self) -> list[WindowState | None]:
        return [read_state(self._folder(k)) for k in range(self.n_windows)]

    def _title(self, window: int, epoch: int) -> str:
        title = f"window {window + 1}/{self.n_windows}"
        return title if self.setup.epochs == 1 else f"{title}, epoch {epoch + 1}/{self.setup.epochs}"

    def _embed(self, features: FeatureCache, schedule: Schedule) -> None:
        """Store the features of all that the windows still to be trained will draw, so each is computed once."""
        states = self._states()
        windows = [k for k in schedule.windows if not is_finished(states[k], schedule.epochs)]
        if not windows:
            return
        arguments = self.setup.inputs.trainer_arguments({})
        trainer = make_trainer(arguments, self.experiment.folder, 1, [], "", [])
        views = [
            features.views_of(self._batches(seed, window, epoch, trainer, arguments), window, epoch)
            for window in windows
            for epoch in range(schedule.epochs)
            for seed in {self.setup.seed, *self.heads.seeds}
        ]
        features.embed_training(views, trainer.world_size, self.stop)
        features.embed_evaluation("validate", None, trainer.world_size, self.stop)

    # training

    def _train(self, action: Train) -> None:
        window, folder = action.window, self._folder(action.window)
        checkpoints = WindowCheckpoints(folder, read_state(folder))
        epoch, step, resumed = self._load_position(action, checkpoints)
        csv = LongCSVLogger(folder)
        trainer, arguments = self._trainer(window, epoch, csv)
        steps_of = [self._steps(k, trainer, arguments) for k in range(self.n_windows)]
        plan = EpochPlan(
            window=window,
            epoch=epoch,
            epochs=self.setup.epochs,
            steps=steps_of[window],
            start=step,
            logged_before=self._logged_before(steps_of, window, epoch),
            epochs_before=window * self.setup.epochs,
            seed=self.setup.seed,
        )
        drop_logged(trainer.loggers, folder, plan.logged_before + step, keep_evaluation=step == 0)
        keeper = EpochKeeper(plan, checkpoints, self.rule, self.stop, resumed, self.heads)
        trainer.callbacks.insert(0, keeper)  # type: ignore[attr-defined]
        folder.mkdir(parents=True, exist_ok=True)
        if not epoch and not step:
            record_run(folder, self.setup, plan, trainer)
        stage = stage_of(self.setup, window, epoch, steps_of[window] * self.setup.epochs)
        self.setup.detector.begin(stage)
        batches_of = {
            seed: self._loader(replace(plan, seed=seed), trainer, arguments)
            for seed in self.heads.seeds - {self.setup.seed}
        }
        trainer.callbacks += self.heads.training(plan, stage, trainer, batches_of)  # type: ignore[attr-defined]
        started = time.monotonic()
        trainer.fit(self.setup.detector, train_dataloaders=self._loader(plan, trainer, arguments))
        seconds = time.monotonic() - started
        if trainer.is_global_zero:
            for one in (folder, *(run.experiment.window_folder(window) for run in self.heads.runs)):
                add_seconds(one, seconds)
        self._in_memory, self._carried = None, None
        if keeper.done == plan.steps:
            # of a sharded detector, no process holds the optimizer's whole state: the next epoch reads it
            if not is_sharded(self.setup.detector) or epoch + 1 == plan.epochs:
                self._in_memory, self._carried = (window, epoch + 1), keeper.record or None
            logger.info(
                "%s: %d optimizer steps in %.1f s",
                self._title(window, epoch),
                plan.steps - step,
                seconds,
            )

    def _load_position(self, action: Train, checkpoints: WindowCheckpoints) -> tuple[int, int, dict[str, Any] | None]:
        """Bring the detector to the position, and give (epoch, step, states to go on from)."""
        window, detector = action.window, self.setup.detector
        if action.step == 0 and self._in_memory == (window, action.epoch):
            return action.epoch, 0, self._carried
        record = checkpoints.resume()
        if record is not None:
            load_record(detector, record, checkpoints.folder)
            self.heads.restore(record.get("heads", []))
            logger.info("%s: going on after optimizer step %d", self._title(window, record["epochs"]), record["steps"])
            return record["epochs"], record["steps"], record
        if window:
            if self._in_memory != (window - 1, self.setup.epochs):
                self._load_final(window - 1)
        elif detector.base_weights is not None:
            load_detector(detector, Path(detector.base_weights))
            self.heads.load_weights(Path(detector.base_weights))
        self.heads.begin_window()
        return 0, 0, None

    def _load_final(self, window: int) -> None:
        folder = self._folder(window)
        checkpoints = WindowCheckpoints(folder, read_state(folder))
        load_record(self.setup.detector, checkpoints.load_final(), folder)
        self.heads.load_final(window)

    def _trainer(self, window: int, epoch: int, csv: LongCSVLogger) -> tuple[pl.Trainer, dict[str, Any]]:
        configured = self.setup.trainer_value("logger", None)
        self._tracking.start(window)
        arguments = self.setup.inputs.trainer_arguments(logger_defaults(self.experiment, window, configured))
        loggers = [csv, *(arguments.get("logger") or [])]
        self._tracking.tell(loggers)
        title = self._title(window, epoch)
        trainer = make_trainer(arguments, self._folder(window), epoch + 1, [], title, loggers)
        return trainer, arguments

    def _steps(self, window: int, trainer: pl.Trainer, arguments: dict[str, Any]) -> int:
        """Optimizer steps of one epoch of a window."""
        arithmetic = self.setup.pipeline.arithmetic(trainer.world_size, trainer.accumulate_grad_batches)
        rows = len(self.setup.plan.training.rows(window))
        steps = arithmetic.steps(rows, self.setup.pipeline.augmentation_factor)
        limit = arguments.get("limit_train_batches")
        if limit is None:
            return steps
        batches = limit if isinstance(limit, int) else int(limit * steps * arithmetic.accumulate)
        return max(1, min(steps, batches // arithmetic.accumulate))

    def _logged_before(self, steps_of: list[int], window: int, epoch: int) -> int:
        earlier = self.setup.epochs * sum(steps_of[:window]) + epoch * steps_of[window]
        return self.setup.info.logging_initial_step + earlier

    def _batches(
        self,
        seed: int,
        window: int,
        epoch: int,
        trainer: pl.Trainer,
        arguments: dict[str, Any],
        start: int = 0,
    ) -> TrainingBatches:
        """The batches of an epoch that this process trains on, from optimizer step ``start`` on."""
        pipeline = self.setup.pipeline
        return TrainingBatches(
            len(self.setup.plan.training.rows(window)),
            pipeline.augmentation_factor,
            pipeline.arithmetic(trainer.world_size, trainer.accumulate_grad_batches),
            seed,
            window,
            epoch,
            start,
            trainer.global_rank,
            self._steps(window, trainer, arguments),
        )

    def _loader(self, plan: EpochPlan, trainer: pl.Trainer, arguments: dict[str, Any]) -> Any:
        batches = self._batches(plan.seed, plan.window, plan.epoch, trainer, arguments, plan.start)
        if self.setup.features is not None:
            return self.setup.features.training_batches(batches, plan.window)
        return self.setup.pipeline.training_loader(self.setup.plan, self.setup.detector, batches, plan.window)

    # evaluation

    def _evaluate(self, action: Evaluate) -> None:
        window, folder = action.window, self._folder(action.window)
        checkpoints = WindowCheckpoints(folder, read_state(folder))
        if self._in_memory != (window, action.epochs):
            last = action.epochs == self.setup.epochs
            record = checkpoints.load_final() if last else checkpoints.resume()
            assert record is not None, "an evaluation falls due after a checkpoint"
            load_record(self.setup.detector, record, folder)
            if last:
                self.heads.load_final(window)
            else:
                self.heads.restore(record.get("heads", []))
            self._in_memory, self._carried = (window, action.epochs), None if last else record
        csv = LongCSVLogger(folder)
        trainer, arguments = self._trainer(window, action.epochs - 1, csv)
        steps_of = [self._steps(k, trainer, arguments) for k in range(self.n_windows)]
        step = self._logged_before(steps_of, window, action.epochs)
        drop_logged(trainer.loggers, folder, step, keep_evaluation=False)
        title = self._title(window, action.epochs - 1)
        beside = HeadsEvaluation(self.heads.runs, window)
        trainer.callbacks.append(beside)  # type: ignore[attr-defined]
        predictions = evaluate_detector(self.setup, trainer, window, "validate", self.stop)
        results = [(self.setup, checkpoints, trainer.loggers, title, predictions)]
        results += [
            (run.setup, run.checkpoints(window), run.loggers(window), f"{run.name}, {title}", of_head)
            for run, of_head in zip(self.heads.runs, beside.predictions(), strict=True)
        ]
        if trainer.is_global_zero:
            # the run's own last: its record says that the window is evaluated
            for setup, kept, loggers, name, result in reversed(results):
                if setup is not self.setup:
                    drop_logged(loggers, kept.folder, step, keep_evaluation=False)
                save_predictions(kept.folder / f"predictions_validate_step_{step:08d}.npz", result)
                save_predictions(kept.folder / "predictions_validate_all.npz", result)
                log_evaluation(setup, loggers, result, window, step, name)
                kept.evaluated(action.epochs, finished=action.epochs == self.setup.epochs)
        trainer.strategy.barrier()
