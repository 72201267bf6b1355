"""One further head on a frozen backbone: a detector, and the experiment that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.optim import Optimizer
from torchmetrics import Metric

from aigenbench.config.experiment import Head
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.records import detector_record
from aigenbench.training.detector.stage import Stage
from aigenbench.training.lightning.loggers import LongCSVLogger, drop_logged, logger_defaults
from aigenbench.training.lightning.tracking import claim_curves
from aigenbench.training.resume.checkpoints import WindowCheckpoints
from aigenbench.training.resume.folder import ExperimentFolder, held, open_experiment
from aigenbench.training.resume.state import read_state
from aigenbench.training.window.inputs import Setup, make_detector, prepare_detector
from aigenbench.training.window.keeper import WindowPlan
from aigenbench.training.window.runtime import record_run


class HeadRun:
    """One further head.

    Args:
        head: what is different about it.
        setup: the run's objects.
        experiment: the run's.
        stack: the head's folder is held until it is left.
    """

    def __init__(self, head: Head, setup: Setup, experiment: ExperimentFolder, stack: ExitStack) -> None:
        self.name = head.name
        config = config_of(head, setup, experiment)
        inputs = setup.inputs.with_config(config)
        self.experiment = open_experiment(config.experiment_info, config, inputs.allow_config_change)
        stack.enter_context(held(self.experiment, config, inputs.allow_config_change, experiment))
        seed = setup.seed if head.seed is None else head.seed
        self.detector = make_detector(inputs, seed)
        prepare_detector(inputs, setup.pipeline, setup.plan, self.detector, seed)
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
        if isinstance(value, Metric):
            value = value.compute()
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
            claim_curves(curves, self.experiment)
            self._loggers = (window, [csv, *curves])
        return self._loggers[1]

    def begin(self, plan: WindowPlan, stage: Stage, trainer: pl.Trainer) -> None:
        """Take note of the window that is about to be trained, or trained on."""
        folder, (epoch, step) = self.experiment.window_folder(plan.window), plan.start
        folder.mkdir(parents=True, exist_ok=True)
        self.detector.begin(stage)
        if self.detector.attached_trainer is not None:
            # the one that it was set up with knows nothing of the window
            self.detector.trainer = trainer
        drop_logged(self.loggers(plan.window), folder, plan.logged(epoch, step), keep_evaluation=step == 0)
        if plan.start == (0, 0):
            record_run(folder, self.setup, plan, trainer)

    def make_optimizer(self, states: Mapping[str, Any] | None) -> None:
        """A new optimizer and schedule, which go on from ``states`` where given."""
        made = self.detector.configure_optimizers()
        if isinstance(made, list | tuple):
            made = _of_lists(made)
        conf = made if isinstance(made, dict) else {"optimizer": made}
        if not isinstance(conf.get("optimizer"), Optimizer) or set(conf) - {"optimizer", "lr_scheduler"}:
            raise InputError(
                "experiment_info.heads: configure_optimizers must return an optimizer, or a mapping of 'optimizer' "
                "and 'lr_scheduler', for heads to be trained together; train them one run each"
            )
        self._optimizer = conf["optimizer"]
        scheduler = conf.get("lr_scheduler")
        how = scheduler if isinstance(scheduler, dict) else {}
        if scheduler is not None and (how.get("interval"), how.get("frequency", 1)) != ("step", 1):
            raise InputError(
                "experiment_info.heads: a schedule must have interval step and frequency 1 for heads to be trained "
                "together; train them one run each"
            )
        self._scheduler = scheduler["scheduler"] if isinstance(scheduler, dict) else scheduler
        if states is not None:
            self._optimizer.load_state_dict(states["optimizers"][0])
            if self._scheduler is not None:
                self._scheduler.load_state_dict(states["schedulers"][0])

    def accumulate(self, batch: Any, batch_idx: int, trainer: pl.Trainer) -> None:
        """Add the gradients of a batch, one of the accumulation's parts."""
        for module in self.detector.modules() if batch_idx == 0 else ():
            if isinstance(module, Metric):
                # those of training are an epoch's
                module.reset()
        with trainer.precision_plugin.train_step_context():
            returned = self.detector.training_step(batch, batch_idx)
        loss = returned["loss"] if isinstance(returned, Mapping) else returned
        if loss is None:
            # as to Lightning: nothing to learn from
            return
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

    def log(self, window: int, epoch: int, step: int) -> None:
        """Log what ``training_step`` logged last; ``epoch`` counts over windows."""
        values = {name: float(value) for name, value in self._logged.items()}
        for one in self.loggers(window):
            one.log_metrics({**values, "epoch": float(epoch)}, step=step)

    def record(self) -> dict[str, Any]:
        """What the head resumes from: tensors and primitives."""
        assert self._optimizer is not None, "made when training starts"
        schedulers = [] if self._scheduler is None else [self._scheduler.state_dict()]
        return {
            **detector_record(self.detector),
            "optimizers": [self._optimizer.state_dict()],
            "schedulers": schedulers,
        }


def _of_lists(made: Sequence[Any]) -> Any:
    """One optimizer, and one schedule, of Lightning's lists of them; anything else as it is."""
    if len(made) == 1:
        return made[0]
    one_each = len(made) == 2 and all(isinstance(part, list | tuple) and len(part) == 1 for part in made)
    return {"optimizer": made[0][0], "lr_scheduler": made[1][0]} if one_each else made


def config_of(head: Head, setup: Setup, experiment: ExperimentFolder) -> ResolvedConfig:
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
