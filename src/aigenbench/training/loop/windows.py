"""The windows loop: asks what comes next, does it, until nothing is left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt

from aigenbench.config.folder import RUN_FILE
from aigenbench.data.samples.batches import TrainingBatches, WindowBatches
from aigenbench.data.views.features import Keys
from aigenbench.training.detector.seeding import BatchSeeds
from aigenbench.training.detector.stage import Stage
from aigenbench.training.features.stored import FeatureCache
from aigenbench.training.heads.group import Heads, HeadsEvaluation
from aigenbench.training.lightning.counting import BatchCounter
from aigenbench.training.lightning.loggers import LongCSVLogger, cut_logged, drop_logged, logger_defaults
from aigenbench.training.lightning.loops import Position, begin_at, log_at
from aigenbench.training.lightning.module_state import flags_of
from aigenbench.training.lightning.tracking import Tracking, claim_curves, token_of
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.lightning.user_checkpoints import writers_of
from aigenbench.training.loop.epoch_evaluation import EpochEvaluation, keep_predictions
from aigenbench.training.loop.order import WindowsInOrder
from aigenbench.training.loop.weights import WindowWeights
from aigenbench.training.processes.collectives import everyones
from aigenbench.training.processes.failures import training_failures_told
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.resume.checkpoints import UnreadableError, WindowCheckpoints
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.resume.state import (
    Done,
    Evaluate,
    Schedule,
    Train,
    is_trained,
    next_action,
    read_state,
)
from aigenbench.training.strategies.features import detector_features, own_views, stored_features
from aigenbench.training.strategies.selection import Selection
from aigenbench.training.window.budget import Budget, WindowBudget, counted, together
from aigenbench.training.window.evaluating import (
    common_batches,
    evaluate_detector,
    evaluation_loader,
    log_evaluation,
    stage_of,
)
from aigenbench.training.window.inputs import Setup, steps_of_epoch
from aigenbench.training.window.keeper import CheckpointRule, WindowKeeper, WindowPlan
from aigenbench.training.window.runtime import TrainingCost, embedding_recorded, keep_last_evaluation, record_run

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
        self, setup: Setup, experiment: ExperimentFolder, rule: CheckpointRule, stop: StopRequest, heads: Heads
    ) -> None:
        self.setup, self.experiment, self.rule, self.stop, self.heads = setup, experiment, rule, stop, heads
        self.n_windows = len(setup.plan.windows)
        setup.pipeline.views.between = stop.check_alone
        self._weights = WindowWeights(setup, experiment, heads)
        self._tracking = Tracking()
        choice = setup.plan.training.choice
        self._selection = choice if isinstance(choice, Selection) else None
        if self._selection is not None:
            self._selection.attach(experiment.window_folder, self._features_after)
        self._order = WindowsInOrder((experiment, *(run.experiment for run in heads.runs)), self.n_windows)

    def run(self, windows: tuple[int, ...]) -> None:
        """Train and evaluate ``windows``.

        Raises:
            StoppedError: a signal asked for it; everything done is on disk.
            InputError: see ``next_action``; the loss became infinite; an image cannot be read.
        """
        schedule = Schedule(windows, self.setup.epochs)
        self._order.tidy(schedule)
        if self.setup.features is not None:
            with embedding_recorded(self.experiment.folder, self.setup.features.spent):
                self._embed(self.setup.features, schedule)
        while not isinstance(action := next_action(self._order.states(), schedule), Done):
            try:
                if isinstance(action, Train):
                    self._train(action)
                else:
                    self._evaluate(action)
            except UnreadableError as error:
                self._weights.in_memory = None
                first = self.experiment.index_of(error.folder)
                self._order.set_aside(range(first, self.n_windows), str(error))
            # not before the first action: the processes that share the work meet only within it
            self.stop.check()
            self._order.check(schedule)

    def _folder(self, window: int) -> Path:
        return self.experiment.window_folder(window)

    def _title(self, window: int, epoch: int) -> str:
        title = f"window {window} of 0..{self.n_windows - 1}"
        return title if self.setup.epochs == 1 else f"{title}, epoch {epoch} of 0..{self.setup.epochs - 1}"

    def _embed(self, features: FeatureCache, schedule: Schedule) -> None:
        """Store the features of all that the windows still to be trained will draw, so each is computed once."""
        states = self._order.states()
        windows = [k for k in schedule.windows if not is_trained(states[k])]
        if not windows:
            return
        arguments = self.setup.inputs.trainer_arguments({})
        trainer = make_trainer(arguments, self.experiment.folder, 1, [], "", [])
        if self._selection is not None and self._selection.needs_features:
            # by these, what the windows draw is chosen
            own = [own_views(features, window - 1) for window in windows if window]
            features.embed_training(own, trainer.world_size, self.stop)
        seeds = {self.setup.seed, *self.heads.seeds}
        views = (self._views(features, seed, window, trainer, arguments) for window in windows for seed in seeds)
        features.embed_training(views, trainer.world_size, self.stop)
        features.embed_evaluation("validate", None, trainer.world_size, self.stop)

    def _views(
        self, features: FeatureCache, seed: int, window: int, trainer: pl.Trainer, arguments: dict[str, Any]
    ) -> Keys:
        """The training views that a window draws under a seed, each once: int64 (n,)."""
        batches = (self._batches(seed, window, epoch, trainer, arguments) for epoch in range(self.setup.epochs))
        return np.unique(np.concatenate([features.views_of(b, window, epoch) for epoch, b in enumerate(batches)]))

    def _embedding(self, window: int, trainer: pl.Trainer, arguments: dict[str, Any]) -> Budget | None:
        """What the stored features cost that a window is the first to use; None where none are stored."""
        if (features := self.setup.features) is None:
            return None
        drawn = [self._views(features, self.setup.seed, k, trainer, arguments) for k in range(window + 1)]
        earlier = np.unique(np.concatenate([np.empty(0, np.int64), *drawn[:-1]]))
        return features.budget(len(np.setdiff1d(drawn[-1], earlier)), is_first=window == 0)

    # training

    def _train(self, action: Train) -> None:
        window, folder = action.window, self._folder(action.window)
        # chosen while the detector is as the window before left it
        self.setup.plan.training.rows(window)
        checkpoints = WindowCheckpoints(folder, read_state(folder))
        resumed = self._weights.load_position(window, checkpoints, self._title(window, action.epoch))
        start = Position() if resumed is None else Position(resumed["epochs"], resumed["steps"])
        trainer, arguments = self._trainer(window, partial(self._title, window), self.setup.epochs)
        plan = self._plan(window, start, trainer, arguments)
        folder.mkdir(parents=True, exist_ok=True)
        self._drop_logged(trainer, folder, plan, resumed)
        if resumed is None or not (folder / RUN_FILE).is_file():
            record_run(folder, self.setup, plan, trainer)
        stage = stage_of(self.setup, window, start.epoch, plan.steps * plan.epochs)
        self.setup.detector.begin(stage)
        loaders = self._loader(plan, trainer, arguments), evaluation_loader(self.setup, trainer, "validate")
        counter = BatchCounter(self.setup.detector)
        embedding = self._embedding(window, trainer, arguments)
        keeper = self._keeper(trainer, plan, stage, checkpoints, resumed, counter, embedding)
        keeper.flags_before = flags_of(self.setup.detector)
        keeper.are_merged = self._weights.are_merged
        self._add_callbacks(trainer, keeper, counter, common_batches(loaders[1]), arguments)
        begin_at(trainer, start, plan.steps, plan.logged_before, keeper)
        self._weights.in_memory = None
        self.setup.pipeline.serve(self.setup.plan, window, self.setup.seed, loaders)
        with training_failures_told():
            trainer.fit(self.setup.detector, datamodule=self.setup.pipeline)
        self._weights.in_memory = window
        self._weights.finish(keeper, trainer, self.stop)

    def _plan(self, window: int, start: Position, trainer: pl.Trainer, arguments: dict[str, Any]) -> WindowPlan:
        return WindowPlan(
            window=window,
            epochs=self.setup.epochs,
            steps=self._steps(window, trainer, arguments),
            start=start,
            logged_before=self._logged_before(window, trainer, arguments),
            epochs_before=window * self.setup.epochs,
            seed=self.setup.seed,
        )

    def _keeper(
        self,
        trainer: pl.Trainer,
        plan: WindowPlan,
        stage: Stage,
        checkpoints: WindowCheckpoints,
        resumed: Mapping[str, Any] | None,
        counter: BatchCounter,
        embedding: Budget | None,
    ) -> WindowKeeper:
        token = token_of(self.experiment.folder) if writers_of(trainer) else ""
        mark = f"{token} {self.experiment.window_name(plan.window)}"
        title = partial(self._title, plan.window)
        costs: list[TrainingCost] = []

        def keep_cost(seconds: float, budget: Budget | None) -> None:
            if not costs:
                folders = checkpoints.folder, *(run.experiment.window_folder(plan.window) for run in self.heads.runs)
                costs.extend(TrainingCost(folder, embedding) for folder in folders)
            for one in costs:
                one.keep(seconds, budget)

        budget = WindowBudget(counter, resumed)
        return WindowKeeper(
            plan, stage, checkpoints, self.rule, self.stop, resumed, self.heads, title, mark, budget, keep_cost
        )

    def _add_callbacks(
        self,
        trainer: pl.Trainer,
        keeper: WindowKeeper,
        counter: BatchCounter,
        common: int,
        arguments: dict[str, Any],
    ) -> None:
        """Put ours in front of the config's, and those that train further heads behind."""
        plan = keeper.plan
        evaluation = EpochEvaluation(self.setup, keeper, self.heads, common, self.stop)
        batches_of = {
            seed: self._loader(replace(plan, seed=seed), trainer, arguments)
            for seed in self.heads.seeds - {self.setup.seed}
        }
        callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:0] = [keeper, BatchSeeds(plan.seed, plan.window), counter, evaluation, evaluation.beside]
        callbacks += self.setup.strategies.callbacks()
        callbacks += self.heads.training(plan, keeper.stage, trainer, batches_of)

    def _features_after(self, window: int) -> npt.NDArray[np.float32]:
        """Features of a window's own images, float32 (n, D), by what it ended with; of a probe, by its backbone."""
        setup = self.setup
        if setup.features is not None:
            return stored_features(setup.features, window)
        if self._weights.in_memory != window:
            self._weights.load_final(window)
        arguments = setup.inputs.trainer_arguments({})
        return detector_features(setup.detector, setup.pipeline, setup.plan, window, arguments, self.experiment.folder)

    def _trainer(self, window: int, title: Callable[[int], str], epochs: int) -> tuple[pl.Trainer, dict[str, Any]]:
        configured = self.setup.trainer_value("logger", None)
        self._tracking.start(window)
        arguments = self.setup.inputs.trainer_arguments(logger_defaults(self.experiment, window, configured))
        loggers = [LongCSVLogger(self._folder(window)), *(arguments.get("logger") or [])]
        self._tracking.tell(loggers)
        claim_curves(loggers, self.experiment)
        trainer = make_trainer(arguments, self._folder(window), epochs, [], title, loggers)
        return trainer, arguments

    @staticmethod
    def _drop_logged(trainer: pl.Trainer, folder: Path, plan: WindowPlan, resumed: Mapping[str, Any] | None) -> None:
        """Take back what was logged after the position and is going to be logged again."""
        if resumed is not None and "logged" in resumed:
            cut_logged(trainer.loggers, folder, resumed["logged"])
        else:
            drop_logged(trainer.loggers, folder, plan.logged(*plan.start), keep_evaluation=plan.start.step == 0)

    def _steps(self, window: int, trainer: pl.Trainer, arguments: dict[str, Any]) -> int:
        """Optimizer steps of one epoch of a window."""
        limit = arguments.get("limit_train_batches")
        return steps_of_epoch(self.setup.pipeline, self.setup.plan, window, trainer, limit)

    def _logged_before(self, window: int, trainer: pl.Trainer, arguments: dict[str, Any]) -> int:
        """The logs' number of a window's first step; a window that stopped early leaves a gap."""
        earlier = sum(self._steps(k, trainer, arguments) for k in range(window))
        return self.setup.info.logging_initial_step + self.setup.epochs * earlier

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
            self.setup.plan.training.samples(window, pipeline.augmentation_factor),
        )

    def _loader(self, plan: WindowPlan, trainer: pl.Trainer, arguments: dict[str, Any]) -> Any:
        def of_epoch(epoch: int, start: int) -> TrainingBatches:
            return self._batches(plan.seed, plan.window, epoch, trainer, arguments, start)

        batches = WindowBatches(of_epoch, *plan.start)
        if self.setup.features is not None:
            return self.setup.features.training_batches(batches, plan.window)
        return self.setup.pipeline.training_loader(self.setup.plan, self.setup.detector, batches, plan.window)

    # evaluation

    def _evaluate(self, action: Evaluate) -> None:
        """Evaluate a window's last weights, where its training did not."""
        window, folder, epoch = action.window, self._folder(action.window), action.epochs - 1
        checkpoints = WindowCheckpoints(folder, read_state(folder))
        if self._weights.in_memory != window:
            self._weights.load_final(window)
        title = self._title(window, epoch)
        trainer, arguments = self._trainer(window, lambda _: title, 1)
        step = self._plan(window, Position(), trainer, arguments).logged(action.epochs)
        drop_logged(trainer.loggers, folder, step, keep_evaluation=False)
        log_at(trainer, step)
        beside, counter = HeadsEvaluation(self.heads.runs, window), BatchCounter(self.setup.detector)
        trainer.callbacks[:0] = [counter, beside]  # type: ignore[attr-defined]
        predictions = evaluate_detector(self.setup, trainer, window, "validate", self.stop)
        results = [(self.setup, checkpoints, trainer.loggers, title, predictions)]
        results += [
            (run.setup, run.checkpoints(window), run.loggers(window), f"{run.name}, {title}", of_head)
            for run, of_head in zip(self.heads.runs, beside.predictions(), strict=True)
        ]
        budget = together(*everyones([counted(counter)]))
        if trainer.is_global_zero:
            # the run's own last: its record says that the window is evaluated
            for setup, kept, loggers, name, result in reversed(results):
                if setup is not self.setup:
                    drop_logged(loggers, kept.folder, step, keep_evaluation=False)
                keep_predictions(kept.folder, result, step)
                log_evaluation(setup, loggers, result, window, step, name)
                keep_last_evaluation(kept.folder, budget)
                kept.evaluated()
        trainer.strategy.barrier()
