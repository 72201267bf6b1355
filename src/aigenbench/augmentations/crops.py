"""From an augmented image to what the model sees (protocol section 7).

Cropping strategies of training and evaluation, and the stochastic part of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
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
from aigenbench.augmentations.tiles import Tiles
from aigenbench.errors import InputError, nearest

TRAINING_CROPPING_STRATEGIES = ("resize", "random_crop", "center_crop", "as_is")
EVALUATION_CROPPING_STRATEGIES = ("resize", "crop", "multicrop", "mixed", "tiles", "as_is")


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
        strategy: one of `EVALUATION_CROPPING_STRATEGIES`, or a mapping of its name to its arguments. ``crop``: the
            centre, padded with zeros where the image is smaller; ``multicrop``: top left, top right, bottom left,
            bottom right, centre, or the centre alone where a side of the image is not larger than the crop's;
            ``mixed``: those, then the whole image resized; ``tiles``: see `Tiles`, whose arguments it takes.
        size: (height, width) of each crop; unused by ``as_is``.

    Attributes:
        strategy: its name.
        tiles: of the strategy of that name; else None.
        has_thumbnail: whether the last view is the whole image, resized, beside parts of it.

    Raises:
        InputError: an unknown strategy or argument, or no size.
    """

    def __init__(self, strategy: Any, size: Size) -> None:
        is_one = isinstance(strategy, Mapping) and len(strategy) == 1
        ((name, arguments),) = strategy.items() if is_one else ((strategy, None),)
        self.strategy = _known(name, EVALUATION_CROPPING_STRATEGIES, "evaluation")
        if arguments and self.strategy != "tiles":
            raise InputError(f"evaluation cropping strategy {self.strategy} takes no arguments, found {arguments!r}")
        self.tiles = Tiles.of(arguments) if self.strategy == "tiles" else None
        self.has_thumbnail = self.strategy == "mixed" or (self.tiles is not None and self.tiles.thumbnail)
        self.size = check_size(size)

    @property
    def most(self) -> int:
        """The most views of an image."""
        return self.tiles.views if self.tiles else {"multicrop": 5, "mixed": 6}.get(self.strategy, 1)

    def of_size(self, size: Size) -> EvaluationCrops:
        """The same for a model of another input size."""
        return EvaluationCrops({self.strategy: self.to_record().get(self.strategy)}, size)

    def to_record(self) -> dict[str, Any]:
        """The strategy, and under its name its arguments, as they stand in JSON."""
        return {"strategy": self.strategy, **({"tiles": asdict(self.tiles)} if self.tiles else {})}

    def __call__(self, image: Image) -> list[Image]:
        """Return the crops of ``image``, each a C-contiguous uint8 RGB array; at least one."""
        image = check_image(image)
        if self.strategy == "as_is":
            return [image]
        thumbnail = [resize_for_model(image, self.size)] if self.has_thumbnail or self.strategy == "resize" else []
        return [*(cut(image, box) for box in self._boxes(image)), *thumbnail]

    def _boxes(self, image: Image) -> list[Box]:
        if self.strategy == "resize":
            return []
        if self.tiles:
            return self.tiles.boxes(image, self.size)
        middle = centred(size_of(image), self.size)
        (rows, columns), (height, width) = size_of(image), self.size
        if self.strategy == "crop" or rows <= height or columns <= width:
            return [middle]
        bottom, right = rows - height, columns - width
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
        return [*(Box(top, left, height, width) for top, left in corners), middle]

    def describe(self) -> dict[str, Any]:
        """The strategy with its arguments and the size, as they stand in JSON."""
        return {**self.to_record(), "size": list(self.size)}


def _known(strategy: Any, known: Iterable[str], where: str) -> str:
    if strategy not in known:
        raise InputError(
            f"unknown {where} cropping strategy {strategy!r}: one of {', '.join(known)}{nearest(str(strategy), known)}"
        )
    return str(strategy)
