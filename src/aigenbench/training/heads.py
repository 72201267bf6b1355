"""Further heads on a frozen backbone, trained beside a run's own from the same cached features.

A head is a whole detector that shares the run's backbone, and an experiment of its own: what a run with the head's
learning rate, weight decay or seed would leave, the head leaves. The run leads: until a window is finished, its
checkpoints hold the heads' states, and its record says how far they all have come.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.optim import Optimizer

from aigenbench.config.experiment import Head
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions import Predictions
from aigenbench.training.checkpoints import WindowCheckpoints, detector_record, load_detector, load_record
from aigenbench.training.collect import OutputCollector, make_predictions
from aigenbench.training.detector import BaseDeepfakeDetectionModel, Stage
from aigenbench.training.evaluating import stage_of
from aigenbench.training.experiment import Experiment, open_experiment
from aigenbench.training.inputs import Setup, make_detector
from aigenbench.training.keeper import EpochPlan, seed_batch
from aigenbench.training.lock import locked
from aigenbench.training.loggers import LongCSVLogger, drop_logged, logger_defaults
from aigenbench.training.processes import SharedError, is_first_process, largest
from aigenbench.training.runtime import record_run
from aigenbench.training.state import read_state

logger = logging.getLogger(__name__)


class HeadRun:
    """One further head.

    Args:
        head: what is different about it.
        setup: the run's objects.
        experiment: the run's.
    """

    def __init__(self, head: Head, setup: Setup, experiment: Experiment) -> None:
        self.name = head.name
        config = config_of(head, setup, experiment)
        inputs = setup.inputs.with_config(config)
        self.experiment = open_experiment(config.experiment_info, config, inputs.allow_config_change)
        seed = setup.seed if head.seed is None else head.seed
        self.detector = make_detector(inputs, seed)
        _share_backbone(self.detector, setup.detector, head)
        self.setup = replace(setup, inputs=inputs, info=config.experiment_info, detector=self.detector, seed=seed)
        self.finite: torch.Tensor | None = None
        """Whether every loss of the optimizer step under way was a number."""
        self._logged: dict[str, torch.Tensor] = {}
        # past Lightning's own, which needs the detector to be the Trainer's
        object.__setattr__(self.detector, "log", self._note)
        self._optimizer: Optimizer | None = None
        self._scheduler: Any = None
        self._loggers: tuple[int, list[Any]] | None = None

    def _note(self, name: str, value: Any, *_: Any, **__: Any) -> None:
        self._logged[name] = torch.as_tensor(value).detach()

    def checkpoints(self, window: int) -> WindowCheckpoints:
        """The head's own checkpoints of a window."""
        folder = self.experiment.window_folder(window)
        return WindowCheckpoints(folder, read_state(folder))

    def loggers(self, window: int) -> list[Any]:
        """The loggers of a window: the CSV's, and TensorBoard's where configured; W&B has one run a process."""
        if self._loggers is None or self._loggers[0] != window:
            arguments = self.setup.inputs.trainer_arguments(logger_defaults(self.experiment, window))
            csv = LongCSVLogger(self.experiment.window_folder(window))
            curves = [one for one in arguments.get("logger") or [] if isinstance(one, TensorBoardLogger)]
            self._loggers = (window, [csv, *curves])
        return self._loggers[1]

    def begin(self, plan: EpochPlan, stage: Stage, trainer: pl.Trainer) -> None:
        """Take note of the epoch that is about to be trained."""
        folder = self.experiment.window_folder(plan.window)
        folder.mkdir(parents=True, exist_ok=True)
        self.detector.begin(stage)
        drop_logged(self.loggers(plan.window), folder, plan.logged_before + plan.start, keep_evaluation=plan.start == 0)
        if not plan.epoch and not plan.start:
            record_run(folder, self.setup, plan, trainer)

    def make_optimizer(self, states: Mapping[str, Any] | None) -> None:
        """A new optimizer and schedule, which go on from ``states`` where given."""
        made = self.detector.configure_optimizers()
        conf = made if isinstance(made, dict) else {"optimizer": made}
        if not isinstance(conf.get("optimizer"), Optimizer) or set(conf) - {"optimizer", "lr_scheduler"}:
            raise InputError(
                "experiment_info.heads: configure_optimizers must return an optimizer, or a mapping of 'optimizer' "
                "and 'lr_scheduler', for heads to be trained together; train them one run each"
            )
        self._optimizer = conf["optimizer"]
        scheduler = conf.get("lr_scheduler")
        self._scheduler = scheduler["scheduler"] if isinstance(scheduler, dict) else scheduler
        if states is not None:
            self._optimizer.load_state_dict(states["optimizers"][0])
            if self._scheduler is not None:
                self._scheduler.load_state_dict(states["schedulers"][0])

    def accumulate(self, batch: Any, batch_idx: int, trainer: pl.Trainer) -> None:
        """Add the gradients of a batch, one of the accumulation's parts."""
        with trainer.precision_plugin.train_step_context():
            loss = self.detector.training_step(batch, batch_idx)
        self.finite = torch.isfinite(loss) if self.finite is None else self.finite & torch.isfinite(loss)
        (loss / trainer.accumulate_grad_batches).backward()

    def step(self, trainer: pl.Trainer) -> None:
        """One optimizer step, its gradients averaged over processes and clipped as the run's are."""
        assert self._optimizer is not None, "made when training starts"
        weights = [p for p in self.detector.parameters() if p.grad is not None]
        _average_over_processes(weights)
        clip, algorithm = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        if clip and algorithm == "value":
            torch.nn.utils.clip_grad_value_(weights, float(clip))
        elif clip:
            torch.nn.utils.clip_grad_norm_(weights, float(clip))
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._scheduler is not None:
            self.detector.lr_scheduler_step(self._scheduler, None)

    def log(self, plan: EpochPlan, step: int) -> None:
        """Log what ``training_step`` logged last."""
        values = {name: float(value) for name, value in self._logged.items()}
        for one in self.loggers(plan.window):
            one.log_metrics({**values, "epoch": float(plan.epochs_before + plan.epoch)}, step=step)

    def record(self) -> dict[str, Any]:
        """What the head resumes from: tensors and primitives."""
        assert self._optimizer is not None, "made when training starts"
        schedulers = [] if self._scheduler is None else [self._scheduler.state_dict()]
        return {
            **detector_record(self.detector),
            "optimizers": [self._optimizer.state_dict()],
            "schedulers": schedulers,
        }


class Heads:
    """All further heads of a run; where there are none, nothing it does has an effect."""

    def __init__(self, runs: Sequence[HeadRun] = ()) -> None:
        self.runs = tuple(runs)
        self._states: list[Mapping[str, Any] | None] = [None] * len(self.runs)

    @classmethod
    def open(cls, setup: Setup, experiment: Experiment, stack: ExitStack, job: str | None) -> Heads:
        """The heads that the configuration names, their folders locked until ``stack`` is left."""
        runs = [HeadRun(head, setup, experiment) for head in setup.info.heads]
        for run in runs if is_first_process() else ():
            stack.enter_context(locked(run.experiment.folder, job))
        return cls(runs)

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

    def save_final(self, window: int, epochs: int) -> None:
        """Write every head's weights at the end of a window."""
        for run in self.runs:
            run.checkpoints(window).save_final(epochs, detector_record(run.detector))

    def training(
        self, plan: EpochPlan, stage: Stage, trainer: pl.Trainer, batches_of: Mapping[int, Iterable[Any]]
    ) -> list[pl.Callback]:
        """Callbacks that train the heads within an epoch.

        Args:
            plan: the epoch.
            stage: what detectors are told of it.
            trainer: of the run.
            batches_of: the epoch's batches under each seed that is not the run's.
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
        plan: EpochPlan,
        batches_of: Mapping[int, Iterable[Any]],
    ) -> None:
        self._runs, self._states, self._plan = runs, list(states), plan
        self._batches: dict[int, Iterator[Any]] = {seed: iter(batches) for seed, batches in batches_of.items()}
        self._done = plan.start

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the heads on the device, with their optimizers."""
        for run, states in zip(self._runs, self._states, strict=True):
            run.detector.to(trainer.strategy.root_device).train()
            run.make_optimizer(states)

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
            seed_batch(run.setup.seed, self._plan, self._done, part, trainer.global_rank)
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
        step = self._plan.logged_before + self._done
        if (step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            for run in self._runs:
                run.log(self._plan, step)


class HeadsEvaluation(pl.Callback):
    """Evaluates heads on the batches of the run's own evaluation."""

    def __init__(self, runs: Sequence[HeadRun], window: int) -> None:
        self._runs, self._window = runs, window
        self._collectors = [OutputCollector(0) for _ in runs]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the heads on the device."""
        for run in self._runs:
            run.detector.begin(stage_of(run.setup, self._window))
            run.detector.to(trainer.strategy.root_device).eval()

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
            setup = run.setup
            chosen = setup.pipeline.evaluation_set(setup.plan, "validate")
            rows = collector.gathered()
            made.append(make_predictions(run.detector, rows, chosen, setup.plan, self._window, setup.fingerprint))
        return made


def config_of(head: Head, setup: Setup, experiment: Experiment) -> ResolvedConfig:
    """The configuration of a run that trains this head alone.

    Raises:
        InputError: the optimizer is not written in the config, so that nothing can be changed about it.
    """
    values = setup.inputs.config.to_dict()
    own = experiment.name.removeprefix(setup.info.experiment_name_prefix)
    values["experiment_info"] |= {"experiment_id": f"{own}_{head.name}", "heads": []}
    if head.seed is not None:
        values["seed_everything"] = head.seed
    changes = {key: value for key in ("lr", "weight_decay") if (value := getattr(head, key)) is not None}
    optimizer = values["model"]["init_args"].get("optimizer")
    if changes and not isinstance(optimizer, dict):
        raise InputError("experiment_info.heads: lr and weight_decay need model.init_args.optimizer in the config")
    if changes:
        optimizer["init_args"] = {**(optimizer.get("init_args") or {}), **changes}
    return ResolvedConfig(values)


def _share_backbone(detector: BaseDeepfakeDetectionModel, lead: BaseDeepfakeDetectionModel, head: Head) -> None:
    own, shared = (one.model.backbone_reference for one in (detector, lead))
    if own != shared:
        raise InputError(
            f"experiment_info.heads: under seed {head.seed} the backbone has other weights (it starts at random); "
            "heads share one backbone: give it weights, or train each seed in a run of its own"
        )
    # frozen, so not a registered submodule
    object.__setattr__(detector.model, "backbone", lead.model.backbone)


def _average_over_processes(weights: Sequence[torch.nn.Parameter]) -> None:
    """What DDP does for the run's own weights."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        world = torch.distributed.get_world_size()
        for weight in weights:
            assert weight.grad is not None, "only weights with gradients are given"
            torch.distributed.all_reduce(weight.grad.div_(world))
