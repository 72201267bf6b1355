"""What a detector cannot be given: values of its arguments, and hooks that nothing would call."""

from __future__ import annotations

from collections.abc import Iterable

from aigenbench.errors import InputError, nearest
from aigenbench.training.detector.tasks import check_task

SCHEDULERS = ("OneCycleLR",)
ORIGINAL_ALONE = {
    "make_model": "a model is a factory registered with ModelFactoryRegistry",
    "adapt_model_for_training": "freeze layers in __init__ or on_fit_start, or use a _probe model",
    "adapt_model_for_evaluation": "use Lightning's on_validation_start",
    "_managers_set_metrics": "use add_metric in register_metrics",
    "_update_metrics": "use self.log in training_step",
}
"""Hooks of the original framework's detector that this one does not call, and what to do here."""
NO_HOOKS = {
    f"{split}_dataloader": "the pipeline serves the samples: subclass AIGenBenchPipeline, or its dataset_loader"
    for split in ("train", "val", "test", "predict")
}
"""Lightning's hooks that nothing would call."""


def check_arguments(
    training_task: str, evaluation_type: str, n_classes: int | None, scheduler: str | None, threshold: float
) -> None:
    """Refuse arguments of a detector that are none of the known ones, or do not go together.

    Raises:
        InputError: one is; the message names it.
    """
    check_task("training_task", training_task)
    check_task("evaluation_type", evaluation_type)
    if training_task == "binary" and evaluation_type == "multiclass":
        raise InputError("model.evaluation_type: a detector trained as binary cannot be evaluated as multiclass")
    if n_classes is not None and training_task == "binary":
        raise InputError("model.n_classes: a binary detector has one output; give training_task multiclass")
    if scheduler is not None and scheduler not in SCHEDULERS:
        raise InputError(
            f"model.scheduler: unknown {scheduler!r}; known: {', '.join(SCHEDULERS)}, or null"
            f"{nearest(scheduler, SCHEDULERS)}; any other is written in configure_optimizers"
        )
    if not 0 <= threshold <= 1:
        raise InputError(f"model.classification_threshold must lie in 0..1, found {threshold}")


def check_overrides(key: str, of: type, ours: type, hooks: Iterable[str]) -> None:
    """Refuse an option, named by ``key``, beside hooks of a subclass that would keep it from having its effect.

    Raises:
        InputError: the class overrides one of these hooks.
    """
    for hook in hooks:
        if getattr(of, hook) is not getattr(ours, hook):
            raise InputError(
                f"{key}: {of.__name__} overrides {hook}, which would have to compute it; write the loss as a term of "
                "your own (docs/hooks.md), or leave it out"
            )


def size_of(model_input_size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) in pixels, of that or of pixels a side.

    Raises:
        InputError: it is neither.
    """
    size = (model_input_size,) * 2 if isinstance(model_input_size, int) else tuple(model_input_size)
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"model.model_input_size: expected pixels a side, 1 or more, or [height, width], found {size}")
    return int(size[0]), int(size[1])
