"""From an augmented image to what the model sees (protocol section 7).

Cropping strategies of training and evaluation, and the stochastic part of training.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from aigenbench.augmentations.geometry import (
    Box,
    Orientation,
    apply_orientation,
    centred,
    cut,
    draw_orientation,
    placed,
)
from aigenbench.augmentations.images import Image, Size, check_image, check_size, size_of
from aigenbench.augmentations.recipes import Recipe
from aigenbench.augmentations.resampling import resize_for_model
from aigenbench.errors import InputError, nearest

TRAINING_CROPPING_STRATEGIES = ("resize", "random_crop", "center_crop", "as_is")
EVALUATION_CROPPING_STRATEGIES = ("resize", "crop", "multicrop", "as_is")


class StochasticTraining(Recipe):
    """The only part of training that may differ between epochs: rotation by quarter turns, horizontal flip, crop.

    With ``resize`` to a square the resize comes first, as it gives the same picture and its result can be stored: then
    ``recipe(image, rng) == recipe.finish(recipe.storable(image), rng)``, and likewise where `is_storable` is False,
    `storable` then giving the image itself. Where the target is no square, an odd turn starts from the target with
    its sides swapped.

    Draws of ``rng``: the orientation's two uniforms, then two for the crop's place (``random_crop`` only).

    Args:
        strategy: one of `TRAINING_CROPPING_STRATEGIES`; ``random_crop`` and ``center_crop`` pad smaller images with
            zeros.
        size: (height, width) of the result; unused by ``as_is``.

    Raises:
        InputError: an unknown strategy, or no size.
    """

    def __init__(self, strategy: str, size: Size) -> None:
        self.strategy = _known(strategy, TRAINING_CROPPING_STRATEGIES, "training")
        self.size = check_size(size)
        self.is_storable = strategy == "resize" and self.size[0] == self.size[1]
        """Whether `storable` gives an image of fixed size, which every epoch starts from."""

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """`storable`, then `finish`."""
        return self.finish(self.storable(image), rng)

    def storable(self, image: Image) -> Image:
        """The part that is the same in every epoch: the resized square, or the image itself where not `is_storable`."""
        image = check_image(image)
        return resize_for_model(image, self.size) if self.is_storable else image

    def finish(self, stored: Image, rng: np.random.Generator) -> Image:
        """Turn, flip and crop what `storable` gave, as ``rng`` draws."""
        return self.orient(stored, draw_orientation(rng), rng)

    def orient(self, stored: Image, orientation: Orientation, rng: np.random.Generator) -> Image:
        """`finish` with a given orientation; ``rng`` places the crop of ``random_crop`` and is not used otherwise."""
        stored = check_image(stored)
        if self.strategy == "resize":
            before = self.size[::-1] if orientation.swaps_sides else self.size
            return apply_orientation(resize_for_model(stored, before), orientation)
        turned = apply_orientation(stored, orientation)
        if self.strategy == "random_crop":
            down, along = rng.random(2)
            return cut(turned, placed(size_of(turned), self.size, down, along))
        if self.strategy == "center_crop":
            return cut(turned, centred(size_of(turned), self.size))
        return turned

    def describe(self) -> dict[str, Any]:
        """The strategy and size, as they stand in JSON."""
        return {"recipe": type(self).__name__, "strategy": self.strategy, "size": list(self.size)}


class EvaluationCrops:
    """The crops of an evaluation image that the model sees, whose scores are then fused.

    Args:
        strategy: one of `EVALUATION_CROPPING_STRATEGIES`. ``crop``: the centre, padded with zeros where the image is
            smaller; ``multicrop``: top left, top right, bottom left, bottom right, centre, or the centre alone where
            a side of the image is not larger than the crop's.
        size: (height, width) of each crop; unused by ``as_is``.

    Raises:
        InputError: an unknown strategy, or no size.
    """

    def __init__(self, strategy: str, size: Size) -> None:
        self.strategy = _known(strategy, EVALUATION_CROPPING_STRATEGIES, "evaluation")
        self.size = check_size(size)

    def __call__(self, image: Image) -> list[Image]:
        """Return the crops of ``image``, each a C-contiguous uint8 RGB array; at least one."""
        image = check_image(image)
        if self.strategy == "as_is":
            return [image]
        if self.strategy == "resize":
            return [resize_for_model(image, self.size)]
        return [cut(image, box) for box in self._boxes(size_of(image))]

    def _boxes(self, inside: Size) -> list[Box]:
        middle = centred(inside, self.size)
        (rows, columns), (height, width) = inside, self.size
        if self.strategy == "crop" or rows <= height or columns <= width:
            return [middle]
        bottom, right = rows - height, columns - width
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
        return [*(Box(top, left, height, width) for top, left in corners), middle]

    def describe(self) -> dict[str, Any]:
        """The strategy and size, as they stand in JSON."""
        return {"strategy": self.strategy, "size": list(self.size)}


def _known(strategy: Any, known: Iterable[str], where: str) -> str:
    if strategy not in known:
        raise InputError(
            f"unknown {where} cropping strategy {strategy!r}: one of {', '.join(known)}{nearest(str(strategy), known)}"
        )
    return str(strategy)
