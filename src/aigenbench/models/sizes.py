"""Whether a model takes images of a size, told before any data is read."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from aigenbench.errors import InputError
from aigenbench.models.registry import describe_error, users_frames

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.probe import Classifier

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
    from aigenbench.models.shapes import dry_run

    if isinstance(model, Classifier) and len(several := _each(model)) > 1:
        for one in several:
            check_input_size(one, size)
        return
    try:
        dry_run(model, size, on_shapes=True)
        return
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - some modules cannot run on shapes; then a real image decides
        logger.debug("%s cannot be tried on shapes: %s", type(model).__name__, error)
    try:
        dry_run(model, size, on_shapes=False)
    except InputError:
        raise
    except Exception as error:  # users' modules can raise anything
        if not isinstance(model, Classifier) and _ELSEWHERE.search(str(error)):
            logger.debug("%s could not be tried on the processor: %s", type(model).__name__, error)
            return
        _check_width(model, size)
        raise InputError(_message(model, size, error)) from error


def _each(model: Classifier) -> list[Classifier]:
    """The backbones of one that has several, each by itself."""
    import torch

    from aigenbench.models.probe import Classifier
    from aigenbench.models.tapping import SideBySide

    if not isinstance(model.backbone, SideBySide):
        return [model]
    with torch.random.fork_rng(devices=[]):
        return [
            Classifier(
                one.module,
                1,
                num_features=int(getattr(one.module, "num_features", one.parts[0].width)),
                preprocessing=own,
                name=one.name,
            )
            for one, own in model.backbone.each
        ]


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
    from aigenbench.models.shapes import dry_run

    if not isinstance(model, Classifier):
        return
    try:
        found = tuple(dry_run(model.exposed().backbone, size, on_shapes=False)[0].shape)
    except Exception as error:  # noqa: BLE001 - then it is not the width, and the caller tells what it is
        logger.debug("the features of %s cannot be tried: %s", type(model).__name__, error)
        return
    if found != (1, model.num_features):
        raise InputError(
            f"model {model.name}: num_features says {model.num_features}, so features of an image must have shape "
            f"(1, {model.num_features}), found {found}; let num_features and what the module gives agree"
        )
