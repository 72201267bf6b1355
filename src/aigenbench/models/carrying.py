"""Weights from one model to another: resuming, later evaluations, and tuning what a probe began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aigenbench.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn


def load_checkpoint_weights(
    model: nn.Module, state: Mapping[str, torch.Tensor], backbone: Mapping[str, Any] | None = None
) -> None:
    """Load a checkpoint's state dict into ``model``, in place.

    A probe's checkpoint holds its head and the reference (``Classifier.backbone_reference``) to its backbone. It
    loads into a probe, or a tune model, with that very backbone.

    Args:
        model: As ``build_model`` gives it.
        state: ``model.state_dict()`` of then.
        backbone: The reference that was stored beside it; None where there was none.

    Raises:
        InputError: The backbone is another one; a frozen backbone would have to change; or names or shapes do
            not fit.
    """
    from aigenbench.models.probe import Classifier, weights_hash
    from aigenbench.models.source import fit_problem

    state = dict(state)
    if isinstance(model, Classifier):
        if model.frozen and any(key.startswith("backbone.") for key in state):
            raise InputError(
                f"weights: the checkpoint holds a trained backbone, and the one of {model.name}_probe stays as "
                f"published; load it into {model.name}_tune"
            )
        if backbone is not None:
            found = weights_hash(model.backbone)
            if found != backbone.get("sha256"):
                raise InputError(
                    f"weights: the checkpoint's head belongs to the backbone {backbone.get('name')} with hash "
                    f"{str(backbone.get('sha256'))[:12]}, the model's is {model.name} with hash {found[:12]}; "
                    "give it the same weights"
                )
            if not model.frozen:
                state |= {f"backbone.{key}": value for key, value in model.backbone.state_dict().items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"weights: the checkpoint does not fit the model: {fit_problem(str(error))}") from error
