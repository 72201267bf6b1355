"""What a run is given: the resolved config, and makers of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning.pytorch as pl
import torch

from aigenbench.augmentations import Recipe
from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.layer import DEFAULT_SEED
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan, images_digest
from aigenbench.data.samples.hooks import is_overridden
from aigenbench.errors import InputError
from aigenbench.models import check_input_size
from aigenbench.models.probe import Classifier
from aigenbench.models.reconstruction import open_autoencoder
from aigenbench.protocol.off_protocol import gathered
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.base_weights import base_weights_later
from aigenbench.training.detector.seeding import seed_everything
from aigenbench.training.detector.workbench import check_run
from aigenbench.training.features.stored import FeatureCache
from aigenbench.training.lightning.trainer_check import check_optimizer, check_trainer
from aigenbench.training.lightning.trainers import SHARDED, check_trainer_arguments, make_trainer, tell_steps
from aigenbench.training.strategies.checks import check_strategies
from aigenbench.training.strategies.features import check_features
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.window.extended import Base, planned

LONG_NAMES = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Lightning's short names of precisions, and what they mean."""
DOUBLE = ("64-true", "64")
Purpose = Literal["train", "evaluate", "store", "validate", "test"]
_OF_TRAINING = ("optimizer", "scheduler", "base_weights", "recipe")
_OF_THE_DATA_SET = (
    "dataset_loader",
    "predict_path",
    "cache",
    "cache_folder",
    "features",
    "reconstruct",
    "num_workers",
    "timeline",
    "train_batch_size",
    "train_subset_size",
    "validation_subset_size",
)


class RunInputs(Protocol):
    """What the command line makes of its arguments."""

    @property
    def config(self) -> ResolvedConfig:
        """The resolved config."""
        ...

    @property
    def allow_config_change(self) -> bool:
        """Whether an experiment may go on with another config than it was begun with."""
        ...

    def instantiate_model(self) -> Any:
        """A new detector."""
        ...

    def instantiate_data(self) -> Any:
        """A new pipeline."""
        ...

    def with_config(self, config: ResolvedConfig) -> RunInputs:
        """The same under another config."""
        ...

    def trainer_arguments(self, logger_defaults: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Arguments of the Trainer, with new loggers and callbacks.

        ``logger_defaults`` gives arguments, by class name, that loggers get where the config names none.
        """
        ...


@dataclass
class Setup:
    """The objects of a run, checked.

    Attributes:
        inputs: config and makers.
        info: the section ``experiment_info``.
        pipeline: the samples.
        detector: what is trained or evaluated.
        plan: windows, rows and evaluation set.
        fingerprint: the protocol fingerprint.
        seed: ``seed_everything``.
        features: of the detector's frozen backbone, where the run trains on them.
        base: the finished run that this one extends.
        strategies: how the run goes over its windows.
    """

    inputs: RunInputs
    info: ExperimentInfo
    pipeline: AIGenBenchPipeline
    detector: BaseDeepfakeDetectionModel
    plan: Plan
    fingerprint: str
    seed: int
    features: FeatureCache | None = None
    base: Base | None = None
    strategies: Strategies = field(default_factory=lambda: Strategies.of(None))

    @cached_property
    def images(self) -> str:
        """A digest of the evaluated images: it tells data sets of one layout apart, which a fingerprint does not."""
        splits = self.pipeline.source.splits
        return images_digest(splits["validation" if "validation" in splits else "test"], self.plan.evaluation.ids)

    def training_fingerprint(self, window: int) -> str | None:
        """Of the images that a window trains on; None where this run trains nothing."""
        return self.pipeline.training_fingerprint(self.plan, window)

    @property
    def off_protocol(self) -> tuple[str, ...]:
        """Why what is trained now is off protocol, the weights that it goes on from among the reasons."""
        before = self.detector.trained
        return gathered(self.plan.off_protocol, None if before is None else before.off_protocol)

    @property
    def epochs(self) -> int:
        """Epochs a window."""
        return _epochs_of(self.inputs.config)

    def fingerprint_under(self, perturbation: Recipe) -> str:
        """The protocol fingerprint of an evaluation under a perturbation, which is another than the clean one's."""
        described = self.pipeline.describe_mandatory_evaluation(perturbation)
        return self.plan.fingerprint(described, self.pipeline.augmentations_base_seed)

    def trainer_value(self, key: str, default: Any) -> Any:
        """A Trainer argument as configured."""
        value = (self.inputs.config.get("trainer") or {}).get(key)
        return default if value is None else value


def set_up(inputs: RunInputs, purpose: Purpose = "evaluate") -> Setup:
    """Make and check everything a run needs, what is quick and likely to be wrong first.

    Args:
        inputs: config and makers.
        purpose: to ``train``, to ``validate`` or ``test`` on perhaps a lesser machine (``evaluate`` is to validate), or
            to ``store`` samples, which takes neither a Trainer nor its devices. Of the data set, only what that uses
            need be there.

    Raises:
        InputError: something in the config or the data set is wrong.
    """
    config = inputs.config
    check_trainer_arguments(config.get("trainer") or {})
    if purpose != "store":
        check_trainer(_without_loggers(inputs).trainer_arguments({}), trains=purpose == "train")
    info = config.experiment_info
    strategies = Strategies.of(info.strategy)
    pipeline: AIGenBenchPipeline = inputs.instantiate_data()
    seed = seed_of(config)
    detector = make_detector(inputs, seed)
    if purpose == "train":
        check_optimizer(detector.optimizer_factory, detector, _optimizer_of(config))
        is_sharded = (config.get("trainer") or {}).get("strategy") == SHARDED
        check_run(detector.model, _epochs_of(config), bool(info.heads), is_sharded)
        check_strategies(strategies, detector, bool(info.heads), is_sharded)
    stages = {"train": "fit", "store": "fit", "evaluate": "validate"}
    plan, base = planned(inputs, pipeline, stages.get(purpose, purpose))
    prepare_detector(inputs, pipeline, plan, detector, seed, stages.get(purpose, purpose))
    if (choosing := strategies.about("rows")) is not None and choosing[1].needs_features:
        check_features(choosing[0], detector, dict(config.get("trainer") or {}))
    if plan.training.made is not None and pipeline.reconstruct is not None:
        # a file that is none is told before anything is written
        open_autoencoder(pipeline.reconstruct.vae)
    fingerprint = plan.fingerprint(pipeline.describe_mandatory_evaluation(), pipeline.augmentations_base_seed)
    setup = Setup(inputs, info, pipeline, detector, plan, fingerprint, seed, base=base, strategies=strategies)
    if pipeline.features == "cache":
        precision = str(setup.trainer_value("precision", "32-true"))
        setup.features = FeatureCache(
            pipeline, detector, plan, lambda: inputs.trainer_arguments({}), LONG_NAMES.get(precision, precision)
        )
        setup.features.check()
    elif info.heads:
        raise InputError("experiment_info.heads are trained on stored features: give --data.features cache")
    return setup


def _without_loggers(inputs: RunInputs) -> RunInputs:
    """The same without loggers, of which some begin a run wherever they are made."""
    values = inputs.config.to_dict()
    return inputs.with_config(ResolvedConfig(values | {"trainer": {**(values.get("trainer") or {}), "logger": False}}))


def _optimizer_of(config: ResolvedConfig) -> Any:
    """What the config says of the optimizer."""
    return ((config.get("model") or {}).get("init_args") or {}).get("optimizer")


def seed_of(config: ResolvedConfig) -> int:
    """``seed_everything`` as a number: ``true`` and an absent key mean the default."""
    value = config.get("seed_everything")
    return DEFAULT_SEED if value is None or isinstance(value, bool) else int(value)


def make_detector(inputs: RunInputs, seed: int) -> BaseDeepfakeDetectionModel:
    """A new detector; what it initialises at random is drawn from the seed."""
    seed_everything((seed, "initial weights"))
    with base_weights_later():
        detector: BaseDeepfakeDetectionModel = inputs.instantiate_model()
    check_own_model(detector)
    if _is_double(inputs):
        # now, and not when the Trainer would: weights from a checkpoint must not pass through float32
        detector.double()
    detector.description = description_of(inputs.config)
    return detector


def check_own_model(detector: BaseDeepfakeDetectionModel) -> None:
    """Try a module of the user's own, before any data is read; others were tried when they were made."""
    own = isinstance(detector.model, torch.nn.Module) and not isinstance(detector.model, Classifier | torch.nn.Identity)
    if own and not is_overridden(type(detector), "forward"):
        check_input_size(detector.model, detector.input_size)


def prepare_detector(
    inputs: RunInputs,
    pipeline: AIGenBenchPipeline,
    plan: Plan,
    detector: BaseDeepfakeDetectionModel,
    seed: int,
    stage: str = "fit",
) -> None:
    """Let a detector of the original framework's contract make its model, once the windows are known.

    Args:
        inputs: config and makers.
        pipeline: the samples.
        plan: what is used of the data set.
        detector: any; one of our contract has its model.
        seed: of the initial weights.
        stage: ``fit``, ``validate``, ``test`` or ``predict``: what the detector's ``setup`` is told.

    Raises:
        InputError: its hooks leave no model.
    """
    if plan.off_protocol:
        check_classes(detector)
    from aigenbench.training.original.detector import AbstractBaseDeepfakeDetectionModel

    info = inputs.config.experiment_info
    definition = info.sliding_windows_definition
    window = 0 if definition is None else definition.current_window or 0
    window = max(0, min(window, len(plan.windows) - 1))
    pipeline.serve(plan, window, seed, (None, None))
    if not isinstance(detector, AbstractBaseDeepfakeDetectionModel):
        return
    if detector.logging_initial_step not in (0, info.logging_initial_step):
        raise InputError(
            f"model.logging_initial_step is {detector.logging_initial_step}: give experiment_info.logging_initial_step"
        )
    detector.logging_initial_step = info.logging_initial_step
    arguments = {**_without_loggers(inputs).trainer_arguments({}), "callbacks": []}
    trainer = make_trainer(arguments, Path(), _epochs_of(inputs.config), [], "", [])
    if stage == "fit":
        steps = steps_of_epoch(pipeline, plan, window, trainer, arguments.get("limit_train_batches"))
        tell_steps(trainer, steps * _epochs_of(inputs.config))
    trainer.datamodule = pipeline  # type: ignore[attr-defined]
    pipeline.trainer = trainer
    seed_everything((seed, "initial weights"))
    detector.first_setup(trainer, stage)
    check_own_model(detector)
    if _is_double(inputs):
        detector.double()


def check_classes(detector: BaseDeepfakeDetectionModel) -> None:
    """Refuse a detector that would need the generator of a reconstruction, which is none of the timeline's."""
    terms: Mapping[str, Any] = getattr(detector, "objective_terms", {})
    asking = [name for name, term in terms.items() if term.needs_generators]
    if detector.training_task == "multiclass" or asking:
        what = f"model.objective: {asking[0]}" if asking else "model.training_task: multiclass"
        raise InputError(
            f"data.reconstruct: {what} has a class for each generator, and a reconstruction is of none; leave one of "
            "the two out"
        )


def _epochs_of(config: ResolvedConfig) -> int:
    value = (config.get("trainer") or {}).get("max_epochs")
    return 1 if value is None else int(value)


def steps_of_epoch(
    pipeline: AIGenBenchPipeline, plan: Plan, window: int, trainer: pl.Trainer, limit: int | float | None
) -> int:
    """Optimizer steps of one epoch of a window.

    Args:
        pipeline: the samples.
        plan: what is used of the data set.
        window: index of the window.
        trainer: knows devices and accumulation.
        limit: ``trainer.limit_train_batches``.
    """
    arithmetic = pipeline.arithmetic(trainer.world_size, trainer.accumulate_grad_batches)
    rows, samples = plan.training.sizes(window, pipeline.augmentation_factor)
    steps = arithmetic.steps(rows, pipeline.augmentation_factor, samples)
    if limit is None:
        return steps
    batches = limit if isinstance(limit, int) else int(limit * steps * arithmetic.accumulate)
    return max(1, min(steps, batches // arithmetic.accumulate))


def _is_double(inputs: RunInputs) -> bool:
    return str((inputs.config.get("trainer") or {}).get("precision")) in DOUBLE


def description_of(config: ResolvedConfig) -> dict[str, Any]:
    """The sections of a config that make its detector again, in plain values, without what only training uses."""
    values = config.to_dict()
    described = {
        section: _without(values[section], unused)
        for section, unused in (("model", _OF_TRAINING), ("data", _OF_THE_DATA_SET))
        if values.get(section)
    }
    precision = (values.get("trainer") or {}).get("precision")
    return {
        **described,
        "trainer": {} if precision is None else {"precision": precision},
        "imports": list(values.get("imports") or []),
    }


def _without(node: dict[str, Any], unused: tuple[str, ...]) -> dict[str, Any]:
    arguments = {key: value for key, value in (node.get("init_args") or {}).items() if key not in unused}
    return {**node, "init_args": arguments}
