"""What a run is given: the resolved config, and makers of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from aigenbench.augmentations import Recipe
from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.errors import InputError
from aigenbench.models import check_input_size
from aigenbench.models.probe import Classifier
from aigenbench.training.base_weights import base_weights_later
from aigenbench.training.detector import BaseDeepfakeDetectionModel
from aigenbench.training.features import FeatureCache
from aigenbench.training.trainers import check_trainer_arguments

DEFAULT_SEED = 1234
LONG_NAMES = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Lightning's short names of precisions, and what they mean."""
DOUBLE = ("64-true", "64")


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
    """

    inputs: RunInputs
    info: ExperimentInfo
    pipeline: AIGenBenchPipeline
    detector: BaseDeepfakeDetectionModel
    plan: Plan
    fingerprint: str
    seed: int
    features: FeatureCache | None = None

    @property
    def epochs(self) -> int:
        """Epochs a window."""
        value = (self.inputs.config.get("trainer") or {}).get("max_epochs")
        return 1 if value is None else int(value)

    def fingerprint_under(self, perturbation: Recipe) -> str:
        """The protocol fingerprint of an evaluation under a perturbation, which is another than the clean one's."""
        described = self.pipeline.describe_mandatory_evaluation(perturbation)
        return self.plan.fingerprint(described, self.pipeline.augmentations_base_seed)

    def trainer_value(self, key: str, default: Any) -> Any:
        """A Trainer argument as configured."""
        value = (self.inputs.config.get("trainer") or {}).get(key)
        return default if value is None else value


def set_up(inputs: RunInputs) -> Setup:
    """Make and check everything a run needs, what is quick and likely to be wrong first.

    Raises:
        InputError: something in the config or the data set is wrong.
    """
    config = inputs.config
    check_trainer_arguments(config.get("trainer") or {})
    info = config.experiment_info
    pipeline: AIGenBenchPipeline = inputs.instantiate_data()
    seed = seed_of(config)
    detector = make_detector(inputs, seed)
    definition = info.sliding_windows_definition
    if definition is None:
        plan = pipeline.plan(benchmark_type="none")
    else:
        plan = pipeline.plan(definition.n_generators_per_window, definition.benchmark_type)
    fingerprint = plan.fingerprint(pipeline.describe_mandatory_evaluation(), pipeline.augmentations_base_seed)
    setup = Setup(inputs, info, pipeline, detector, plan, fingerprint, seed)
    if pipeline.features == "cache":
        precision = str(setup.trainer_value("precision", "32-true"))
        setup.features = FeatureCache(
            pipeline, detector, plan, lambda: inputs.trainer_arguments({}), LONG_NAMES.get(precision, precision)
        )
        setup.features.check()
    elif info.heads:
        raise InputError("experiment_info.heads are trained on stored features: give --data.features cache")
    return setup


def seed_of(config: ResolvedConfig) -> int:
    """``seed_everything`` as a number: ``true`` and an absent key mean the default."""
    value = config.get("seed_everything")
    return DEFAULT_SEED if value is None or isinstance(value, bool) else int(value)


def make_detector(inputs: RunInputs, seed: int) -> BaseDeepfakeDetectionModel:
    """A new detector; what it initialises at random is drawn from the seed."""
    from aigenbench.training.keeper import seed_everything

    seed_everything((seed, "initial weights"))
    with base_weights_later():
        detector: BaseDeepfakeDetectionModel = inputs.instantiate_model()
    own = isinstance(detector.model, torch.nn.Module) and not isinstance(detector.model, Classifier)
    if own and type(detector).forward is BaseDeepfakeDetectionModel.forward:
        # others were tried when they were made; a module of the user's own is, before any data is read
        check_input_size(detector.model, detector.input_size)
    if str((inputs.config.get("trainer") or {}).get("precision")) in DOUBLE:
        # now, and not when the Trainer would: weights from a checkpoint must not pass through float32
        detector.double()
    return detector
