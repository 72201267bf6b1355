"""The benchmark's augmentation recipes (protocol section 7).

A recipe is a row of steps. All it draws is one array of uniforms in [0, 1): a fixed number for each step, in the row's
order, whatever fires and whatever the image's size. So the decisions of a sample can be had without its pixels
(`StepsRecipe.plan`), no step's draws depend on another's, and how an operation is computed cannot change what is drawn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from aigenbench.augmentations import steps
from aigenbench.augmentations.images import Image, Size, check_image, size_of
from aigenbench.augmentations.operations import Operation, apply
from aigenbench.augmentations.resampling import INTERPOLATIONS
from aigenbench.augmentations.steps import Step
from aigenbench.errors import InputError, nearest
from aigenbench.protocol.published import JPEG_QUALITIES, MAXIMUM_PROCESSING_SIZE

JPEG_MODES: dict[str, Sequence[int]] = {
    "two_point": JPEG_QUALITIES,
    "uniform": range(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1),
}
"""The qualities that a mandatory JPEG step draws from, by the mode's name."""


class Recipe(ABC):
    """A function (image, rng) -> image whose parameters can be told in JSON."""

    @abstractmethod
    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the augmented image: a C-contiguous uint8 RGB array, maybe ``image`` itself; that is never changed.

        Args:
            image: uint8 RGB array (height, width, 3) of any size.
            rng: where every draw comes from.

        Raises:
            InputError: ``image`` is no such array.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The recipe's name and parameters, as they stand in JSON; equal descriptions mean equal pixels."""


class StepsRecipe(Recipe):
    """A recipe that is a row of `Step`, applied in order."""

    def __init__(self, row: Sequence[Step]) -> None:
        self.steps = tuple(row)
        self._uniforms = sum(1 + step.parameters for step in self.steps)

    def plan(self, size: Size, rng: np.random.Generator) -> list[Operation]:
        """Draw the operations for an image of ``size`` (height, width)."""
        uniforms = rng.random(self._uniforms).tolist()
        operations = []
        at = 0
        for step in self.steps:
            end = at + 1 + step.parameters
            operation = step.decide(uniforms[at:end], size)
            if operation is not None:
                operations.append(operation)
                size = operation.size_after(size)
            at = end
        return operations

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Draw the plan for the image's size, then apply it in order."""
        image = check_image(image)
        return apply(self.plan(size_of(image), rng), image)

    def describe(self) -> dict[str, Any]:
        """The recipe's name and every step's parameters, as they stand in JSON."""
        return {"recipe": type(self).__name__, "steps": [step.describe() for step in self.steps]}


class MandatoryTraining(StepsRecipe):
    """What every training image gets first: a random crop where a side exceeds ``maximum_processing_size`` pixels."""

    def __init__(self, maximum_processing_size: int | None = MAXIMUM_PROCESSING_SIZE) -> None:
        super().__init__([steps.RandomCrop(1.0, _maximum(maximum_processing_size))])


class _Degrading(StepsRecipe):
    """What happens to pictures on their way through the web, after the steps ``before``."""

    def __init__(self, jpeg: str, *before: Step) -> None:
        if jpeg not in JPEG_MODES:
            raise InputError(
                f"unknown JPEG mode {jpeg!r}: one of {', '.join(JPEG_MODES)}{nearest(str(jpeg), JPEG_MODES)}"
            )
        self.jpeg = jpeg
        super().__init__([*before, *_degradations(JPEG_MODES[jpeg])])

    def describe(self) -> dict[str, Any]:
        """The recipe's name, every step's parameters and the JPEG mode, as they stand in JSON."""
        return {**super().describe(), "jpeg": self.jpeg}


class MandatoryEvaluation(_Degrading):
    """What every evaluation image gets: a centre crop, then what happens to pictures on their way through the web.

    Args:
        maximum_processing_size: the most pixels a side after the centre crop; None for no limit.
        jpeg: how JPEG qualities are drawn, one of `JPEG_MODES`; ``two_point`` made the published numbers.

    Raises:
        InputError: an argument is none of those.
    """

    def __init__(self, maximum_processing_size: int | None = MAXIMUM_PROCESSING_SIZE, jpeg: str = "two_point") -> None:
        super().__init__(jpeg, steps.CentreCrop(1.0, _maximum(maximum_processing_size)))


class SoftTraining(_Degrading):
    """The mandatory evaluation steps without the centre crop, as a training recipe.

    Args:
        jpeg: how JPEG qualities are drawn, one of `JPEG_MODES`.

    Raises:
        InputError: there is no such mode.
    """

    def __init__(self, jpeg: str = "two_point") -> None:
        super().__init__(jpeg)


class BaselineTraining(StepsRecipe):
    """The baseline training recipe: strong degradations, each drawn independently of the others."""

    def __init__(self) -> None:
        super().__init__(
            [
                steps.RandomResizedCrop(
                    0.2, sides=(256, 256), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), interpolations=("bilinear",)
                ),
                steps.ColourJitter(
                    0.8, brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(-0.1, 0.1)
                ),
                steps.Grayscale(0.2),
                steps.Hole(0.2, sides=(1, 48), level=128),
                steps.Noise(0.2, std=(0.2, 0.44)),
                steps.Blur(0.5, sigma=(0.0, 3.0)),
                steps.Jpeg(0.5, qualities=range(30, 101)),
            ]
        )


class MildTraining(StepsRecipe):
    """Our own, lighter than the others: most images are left as they are, none loses its colours."""

    def __init__(self) -> None:
        super().__init__(
            [
                steps.RandomResizedCrop(
                    0.2, sides=(256, 512), scale=(0.8, 1.0), ratio=(0.9, 1 / 0.9), interpolations=INTERPOLATIONS
                ),
                steps.Noise(0.1, std=(0.0, 0.02)),
                steps.Blur(0.1, sigma=(0.25, 1.0)),
                steps.Jpeg(0.3, qualities=range(75, 101)),
            ]
        )


def _degradations(qualities: Sequence[int]) -> list[Step]:
    return [
        steps.Grayscale(0.1),
        steps.Jpeg(0.5, qualities),
        steps.Noise(0.3, std=(0.015, 0.075)),
        steps.Jpeg(0.2, qualities),
        steps.RandomResizedCrop(
            0.25, sides=(256, 512), scale=(0.5, 1.0), ratio=(0.9, 1 / 0.9), interpolations=INTERPOLATIONS
        ),
        steps.Jpeg(0.1, qualities),
    ]


def _maximum(maximum_processing_size: Any) -> int | None:
    if maximum_processing_size is None:
        return None
    whole = isinstance(maximum_processing_size, int) and not isinstance(maximum_processing_size, bool)
    if not whole or maximum_processing_size < 1:
        raise InputError(
            f"maximum_processing_size is a positive whole number of pixels, got {maximum_processing_size!r}"
        )
    return int(maximum_processing_size)
