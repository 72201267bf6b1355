"""From what a detector's augmentation hooks return to the steps of a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aigenbench.augmentations import EvaluationCrops
from aigenbench.data.dataset import EvaluationTransforms, TrainingTransforms
from aigenbench.data.transforms import Augmentation, ForeignCrops, as_transform
from aigenbench.errors import InputError


class AugmentationHooks(Protocol):
    """What a detector tells about its augmentations (its hooks of the same names)."""

    def train_augmentation(self) -> Any:
        """One or two callables: deterministic, then stochastic."""
        ...

    def evaluation_augmentation(self, stage: str) -> Sequence[Augmentation | None]:
        """Two callables for ``validate``, ``test`` or ``predict``: before and after cropping."""
        ...

    def evaluation_crops(self, stage: str) -> Callable[[Any], Sequence[Any]]:
        """EvaluationCrops, or the user's crops hook."""
        ...


def training_steps(hooks: AugmentationHooks, mandatory: Augmentation | None) -> TrainingTransforms:
    """The steps of a training sample.

    Raises:
        InputError: a hook returns something else than it must.
    """
    returned = hooks.train_augmentation()
    parts = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    if not 1 <= len(parts) <= 2:
        raise InputError(f"train_augmentation must return one or two callables, found {len(parts)}")
    first, second = (*parts, None)[:2]
    where = "train_augmentation"
    return TrainingTransforms(
        as_transform(mandatory, "mandatory_train_preprocessing"),
        as_transform(first, where),
        as_transform(second, where),
    )


def evaluation_steps(hooks: AugmentationHooks, stage: str, mandatory: Augmentation | None) -> EvaluationTransforms:
    """The steps of an image in ``validate``, ``test`` or ``predict``; raises likewise."""
    where = f"the {stage} augmentation hook"
    parts = tuple(hooks.evaluation_augmentation(stage))
    if len(parts) != 2:
        raise InputError(f"{where} must return two callables (before and after cropping), found {len(parts)}")
    crops = hooks.evaluation_crops(stage)
    if not isinstance(crops, EvaluationCrops):
        crops = ForeignCrops(crops, f"the {stage} crops hook")
    return EvaluationTransforms(
        as_transform(mandatory, f"the mandatory {stage} preprocessing"),
        as_transform(parts[0], where),
        crops,
        as_transform(parts[1], where),
    )


def is_overridden(cls: type, hook: str) -> bool:
    """Whether a hook of a class is a user's, not one of this package's or of Lightning's."""
    owner = next((one for one in cls.__mro__ if hook in vars(one)), None)
    return owner is not None and not owner.__module__.startswith(("aigenbench.", "lightning.", "torch."))
