"""From what a detector's augmentation hooks return to the steps of a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from aigenbench.augmentations import EvaluationCrops
from aigenbench.data.samples.dataset import EvaluationTransforms, TrainingTransforms
from aigenbench.data.samples.randomness import seeded
from aigenbench.data.samples.transforms import Augmentation, ForeignCrops, as_transform, defined_at, same_result
from aigenbench.data.sources.tables import ImageTable
from aigenbench.errors import InputError

Steps = TypeVar("Steps", TrainingTransforms, EvaluationTransforms)


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


_STAGES = {"validate": "val", "test": "test", "predict": "predict"}
"""What hooks call the stages."""


NO_LOADERS = {
    f"{split}_dataloader": "a data set of one's own is opened by the class that data.dataset_loader names"
    for split in ("train", "val", "test", "predict")
}
"""Lightning's hooks of a data module that a run does not call, and what to do instead."""


def named(hooks: Any, hook: str) -> str:
    """A hook's name, and where a user's own stands: ``train_augmentation (mine.py, line 5)``."""
    place = defined_at(getattr(hooks, hook, None))
    return f"{hook} ({place})" if place else hook


def _callables(returned: Any, where: str) -> tuple[Any, ...]:
    """What a hook returned, one thing or several; a step that is made of steps is one."""
    # a list of modules has a call that it refuses
    if returned is None or (callable(returned) and type(returned).__name__ != "ModuleList"):
        return (returned,)
    try:
        return tuple(returned)
    except TypeError as error:
        raise InputError(f"{where} must return callables, found {type(returned).__name__}") from error


def tried(make: Callable[[], Steps], table: ImageTable, what: str) -> Steps:
    """Steps, tried on a real image; made twice, they must do the same.

    Args:
        make: makes them of what the hooks return.
        table: has the image.
        what: the hooks' name, for messages.

    Raises:
        InputError: they fail, or differ.
    """
    steps = make()
    result = steps.try_on(table)
    if result and not same_result(result, make().try_on(table)):
        raise InputError(
            f"{what}: what the hook returns does something else each time that it is called: random values are drawn "
            "when its callables are made; draw them from random, np.random or torch, or with a seed"
        )
    return steps


def _of_the_hooks() -> np.random.Generator:
    """Says what is drawn while a hook makes its callables: the same each time."""
    return np.random.Generator(np.random.Philox(key=0))


def training_steps(hooks: AugmentationHooks, mandatory: Augmentation | None) -> TrainingTransforms:
    """The steps of a training sample.

    Raises:
        InputError: a hook returns something else than it must.
    """
    where = named(hooks, "train_augmentation")
    with seeded(_of_the_hooks()):
        parts = _callables(hooks.train_augmentation(), where)
    if not 1 <= len(parts) <= 2:
        raise InputError(f"{where} must return one or two callables, found {len(parts)}")
    first, second = (*parts, None)[:2]
    return TrainingTransforms(
        as_transform(mandatory, "mandatory_train_preprocessing"),
        as_transform(first, where, second),
        as_transform(second, where),
    )


def evaluation_steps(hooks: AugmentationHooks, stage: str, mandatory: Augmentation | None) -> EvaluationTransforms:
    """The steps of an image in ``validate``, ``test`` or ``predict``; raises likewise."""
    name = _STAGES[stage]
    where = named(hooks, f"{name}_augmentation")
    with seeded(_of_the_hooks()):
        parts = _callables(hooks.evaluation_augmentation(stage), where)
        given = hooks.evaluation_crops(stage)
    if len(parts) != 2:
        raise InputError(f"{where} must return two callables (before and after cropping), found {len(parts)}")
    crops = given if isinstance(given, EvaluationCrops) else ForeignCrops(given, named(hooks, f"make_{name}_crops"))
    return EvaluationTransforms(
        as_transform(mandatory, f"the mandatory {stage} preprocessing"),
        as_transform(parts[0], where, parts[1]),
        crops,
        as_transform(parts[1], where),
    )


def is_overridden(cls: type, hook: str) -> bool:
    """Whether a hook of a class is a user's, not one of this package's or of Lightning's."""
    owner = next((one for one in cls.__mro__ if hook in vars(one)), None)
    return owner is not None and not owner.__module__.startswith(("aigenbench.", "lightning.", "torch."))


def refuse_hooks(cls: type, hooks: Mapping[str, str]) -> None:
    """Refuse a subclass with hooks that nothing calls.

    Args:
        cls: the class.
        hooks: their names, and what to do instead.

    Raises:
        InputError: it has one; the message names it.
    """
    for hook, instead in hooks.items():
        if is_overridden(cls, hook):
            raise InputError(f"{cls.__name__}.{hook} would never be called: {instead}")
