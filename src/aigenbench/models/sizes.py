"""Whether a model takes images of a size, told before any data is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigenbench.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def check_input_size(model: nn.Module, size: tuple[int, int]) -> None:
    """Raise where ``model`` cannot take images of ``size``.

    The forward pass runs on shapes alone; only where that fails, it runs on one black image. Neither
    parameters, nor BatchNorm statistics, nor gradients change.

    Args:
        model: As ``build_model`` gives it.
        size: (height, width) in pixels.

    Raises:
        InputError: It does not, with the size that it was made for.
    """
    from aigenbench.models.build import preprocessing_of

    try:
        _dry_run(model, size, on_shapes=True)
        return
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - some modules cannot run on shapes; then a real image decides
        pass
    try:
        _dry_run(model, size, on_shapes=False)
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        own = preprocessing_of(model)
        advice = f"; it was made for {own.input_size[0]} x {own.input_size[1]}" if own else ""
        name = getattr(model, "name", "") or type(model).__name__
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"model_input_size: {name} cannot take images of {size[0]} x {size[1]} ({reason}){advice}"
        ) from error


def _dry_run(model: nn.Module, size: tuple[int, int], on_shapes: bool) -> None:
    import torch

    from aigenbench.models.probe import Classifier

    # a probe's exposed view is in eval mode and shares the head
    modes = [(part, part.training) for part in model.modules()]
    module = model.exposed() if isinstance(model, Classifier) else model
    module.eval()
    first = next(module.parameters(), torch.empty(0))
    image = torch.zeros(1, 3, *size, dtype=first.dtype, device="meta" if on_shapes else first.device)
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            if on_shapes:
                tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
                shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
                torch.func.functional_call(module, shapes, (image,))
            else:
                module(image)
    finally:
        for part, training in modes:
            part.training = training
