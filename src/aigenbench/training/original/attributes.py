"""What a subclass of the original's detector may set after it was built, and how it may give an optimizer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aigenbench.augmentations import EvaluationCrops, StochasticTraining
from aigenbench.errors import InputError
from aigenbench.training.detector import base as ours


class SettableAttributes(ours.BaseDeepfakeDetectionModel):
    """Attributes that the original's users set; whatever follows from one is made again."""

    @property
    def model_input_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.input_size

    @model_input_size.setter
    def model_input_size(self, size: int | Sequence[int]) -> None:
        pair = [size, size] if isinstance(size, int) else [int(side) for side in size]
        self.use_preprocessing(self.preprocessing.overridden({"input_size": pair}))

    @property
    def scheduler_name(self) -> str | None:
        """The scheduler that the config names."""
        return self.scheduler

    @scheduler_name.setter
    def scheduler_name(self, name: str | None) -> None:
        self.scheduler = name

    @property
    def training_cropping_strategy(self) -> str:
        """How training images are brought to the model's size."""
        return self.training_crop.strategy

    @training_cropping_strategy.setter
    def training_cropping_strategy(self, strategy: str) -> None:
        self.training_crop = StochasticTraining(strategy, self.input_size)

    @property
    def evaluation_cropping_strategy(self) -> str:
        """Likewise in evaluations."""
        return self.evaluation_crop.strategy

    @evaluation_cropping_strategy.setter
    def evaluation_cropping_strategy(self, strategy: str) -> None:
        self.evaluation_crop = EvaluationCrops(strategy, self.input_size)


def as_factory(optimizer: Any) -> Callable[..., Any]:
    """A function of parameters that makes an optimizer, also of a mapping with ``class_path`` and ``init_args``."""
    if callable(optimizer):
        return optimizer
    given = vars(optimizer) if hasattr(optimizer, "__dict__") else optimizer
    if not isinstance(given, Mapping) or "class_path" not in given:
        raise InputError(f"model.optimizer: expected class_path and init_args, found {optimizer!r}")
    module, _, name = str(given["class_path"]).rpartition(".")
    cls = getattr(importlib.import_module(module or "torch.optim"), name)
    arguments = given.get("init_args") or {}
    values = dict(vars(arguments) if hasattr(arguments, "__dict__") else arguments)
    # an argument without a type is handed over as the config has it
    values.pop("params", None)
    return partial(cls, **values)
