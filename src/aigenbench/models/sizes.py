"""Whether a model takes images of a size, told before any data is read."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from aigenbench.errors import InputError
from aigenbench.models.registry import describe_error, users_frames

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

#: What modules say that run on a GPU alone.
_ELSEWHERE = re.compile(r"cuda|triton|not implemented for 'CPU'|flash", re.IGNORECASE)
_WIDTHS = re.compile(r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)")


def check_input_size(model: nn.Module, size: tuple[int, int]) -> None:
    """Raise where ``model`` cannot take images of ``size``.

    The forward pass runs on shapes alone; only where that fails, it runs on one black image. Neither
    parameters, nor BatchNorm statistics, nor gradients, nor random numbers change.

    Args:
        model: As ``build_model`` gives it.
        size: (height, width) in pixels.

    Raises:
        InputError: It does not, with the size that it was made for; of a user's module, with the line in its code.
    """
    from aigenbench.models.probe import Classifier

    try:
        _dry_run(model, size, on_shapes=True)
        return
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - some modules cannot run on shapes; then a real image decides
        logger.debug("%s cannot be tried on shapes: %s", type(model).__name__, error)
    try:
        _dry_run(model, size, on_shapes=False)
    except InputError:
        raise
    except Exception as error:  # users' modules can raise anything
        if not isinstance(model, Classifier) and _ELSEWHERE.search(str(error)):
            logger.debug("%s could not be tried on the processor: %s", type(model).__name__, error)
            return
        _check_width(model, size)
        raise InputError(_message(model, size, error)) from error


def _message(model: nn.Module, size: tuple[int, int], error: Exception) -> str:
    from aigenbench.models.build import preprocessing_of

    own = preprocessing_of(model)
    advice = f"; it was made for {own.input_size[0]} x {own.input_size[1]}" if own else ""
    name = getattr(model, "name", "") or type(model).__name__
    text = describe_error(error) if users_frames(error) else str(error)
    if widths := _WIDTHS.search(text):
        text = f"a layer that takes {widths[2]} numbers is given {widths[1]}: {text}"
    return f"model_input_size: {name} cannot take images of {size[0]} x {size[1]} ({_short(text)}){advice}"


def _short(text: str, n: int = 300) -> str:
    text = " ".join(text.split())
    # the place in users' code stands at the end
    return text if len(text) <= n else f"{text[: n // 2]} ... {text[-n // 2 :]}"


def _check_width(model: nn.Module, size: tuple[int, int]) -> None:
    """Raise where a backbone's features have another width than it says they have."""
    from aigenbench.models.probe import Classifier

    if not isinstance(model, Classifier):
        return
    try:
        found = tuple(_dry_run(model, size, on_shapes=False, features_alone=True).shape)
    except Exception as error:  # noqa: BLE001 - then it is not the width, and the caller tells what it is
        logger.debug("the features of %s cannot be tried: %s", type(model).__name__, error)
        return
    if found != (1, model.num_features):
        raise InputError(
            f"model {model.name}: num_features says {model.num_features}, so features of an image must have shape "
            f"(1, {model.num_features}), found {found}; let num_features and what the module gives agree"
        )


def _dry_run(model: nn.Module, size: tuple[int, int], on_shapes: bool, features_alone: bool = False) -> Any:
    import torch

    from aigenbench.models.probe import Classifier

    # a probe's exposed view is in eval mode and shares the head
    modes = [(part, part.training) for part in model.modules()]
    module: Any = model.exposed() if isinstance(model, Classifier) else model
    module.eval()
    first = next(module.parameters(), torch.empty(0))
    image = torch.zeros(1, 3, *size, dtype=first.dtype, device="meta" if on_shapes else first.device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), torch.compiler.set_stance("force_eager"):
            if on_shapes:
                tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
                shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
                return torch.func.functional_call(module, shapes, (image,))
            return module.features(image) if features_alone else module(image)
    finally:
        for part, training in modes:
            part.training = training
