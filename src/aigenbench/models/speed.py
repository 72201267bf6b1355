"""Options that change speed and memory, and results by no more than rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigenbench.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def apply_speed_options(
    model: nn.Module, name: str, channels_last: bool, compiled: bool, gradient_checkpointing: bool
) -> None:
    """Switch the options on, in place; the state dict's names and values stay the same.

    Args:
        model: A built model; of a ``Classifier`` the backbone is meant.
        name: The model's name, for messages.
        channels_last: Convolutions' weights in channels-last order.
        compiled: ``torch.compile`` at the first call. Deep copies and pickles are uncompiled.
        gradient_checkpointing: Through the backbone's ``set_grad_checkpointing()``; without effect on a frozen one,
            which keeps nothing for a backward pass anyway.

    Raises:
        InputError: Gradient checkpointing is asked of a model that cannot do it.
    """
    import torch

    from aigenbench.models.probe import Classifier

    backbone = model.backbone if isinstance(model, Classifier) else model
    frozen = isinstance(model, Classifier) and model.frozen
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if gradient_checkpointing and not frozen:
        try:
            backbone.set_grad_checkpointing(True)  # type: ignore[operator]
        except (AttributeError, AssertionError, NotImplementedError) as error:  # timm asserts that it can
            raise InputError(f"model_args gradient_checkpointing: {name} cannot do it; leave it out") from error
    if compiled:
        backbone.compile()
