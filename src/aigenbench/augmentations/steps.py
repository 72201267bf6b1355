"""The steps of a recipe: with which probability an operation happens and from which ranges its parameters come.

A step turns a fixed number of uniforms in [0, 1) into its operation, or into none. The first uniform
always decides whether the step fires; the others are consumed whether it does or not, so that what one step
draws never depends on another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log, sqrt
from typing import Any, ClassVar, TypeVar

import numpy as np

from aigenbench.augmentations import operations
from aigenbench.augmentations.colour import ADJUSTMENTS, exact_factor, exact_shift
from aigenbench.augmentations.geometry import Box, at_most, centred, placed
from aigenbench.augmentations.images import Size
from aigenbench.augmentations.jpeg import CODECS
from aigenbench.augmentations.operations import Operation
from aigenbench.augmentations.patches import PatchReplacement as ReplacedPatches
from aigenbench.augmentations.patches import PatchShuffle as ShuffledPatches

Choice = TypeVar("Choice")
Range = tuple[float, float]


@dataclass(frozen=True)
class Step(ABC):
    """An operation that happens with ``probability``; subclasses add the ranges of its parameters.

    ``parameters`` is how many uniforms the operation's parameters take, beside the one that decides.
    """

    probability: float
    parameters: ClassVar[int] = 0

    def decide(self, uniforms: Sequence[float], size: Size) -> Operation | None:
        """The operation for an image of ``size``, or None; ``uniforms`` holds ``1 + parameters`` values in [0, 1)."""
        return self._draw(uniforms[1:], size) if uniforms[0] < self.probability else None

    @abstractmethod
    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        """The operation, given that the step fires; ``uniforms`` holds ``parameters`` values."""

    def describe(self) -> dict[str, Any]:
        """The step's name and parameters, as they stand in JSON."""
        return {"step": type(self).__name__, **{key: _plain(value) for key, value in asdict(self).items()}}


@dataclass(frozen=True)
class CentreCrop(Step):
    """The middle of the image, at most ``maximum`` pixels a side; None for all of it."""

    maximum: int | None

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Crop(centred(size, at_most(size, self.maximum)))


@dataclass(frozen=True)
class RandomCrop(Step):
    """A uniformly placed part of the image, at most ``maximum`` pixels a side; None for all of it."""

    maximum: int | None
    parameters = 2

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Crop(placed(size, at_most(size, self.maximum), *uniforms))


@dataclass(frozen=True)
class RandomResizedCrop(Step):
    """A part of random area and aspect, resized to a square whose side is drawn from ``sides`` (both included).

    The part is found as torchvision does: ten tries of an area in ``scale`` (of the image's) and an aspect in ``ratio``
    (width by height, log-uniform), the first that fits, uniformly placed; else the middle, its aspect clipped
    to ``ratio``.
    """

    sides: tuple[int, int]
    scale: Range
    ratio: Range
    interpolations: tuple[str, ...]
    tries: ClassVar[int] = 10
    parameters = 4 + 2 * tries

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        side, interpolation = whole_between(uniforms[0], self.sides), one_of(uniforms[1], self.interpolations)
        box = self._fallback(size)
        for attempt in range(self.tries):
            part = self._part(size, *uniforms[4 + 2 * attempt : 6 + 2 * attempt])
            if 0 < part[0] <= size[0] and 0 < part[1] <= size[1]:
                box = placed(size, part, uniforms[2], uniforms[3])
                break
        return operations.ResizedCrop(box, side, interpolation)

    def _part(self, size: Size, for_area: float, for_aspect: float) -> Size:
        area = size[0] * size[1] * between(for_area, self.scale)
        aspect = exp(between(for_aspect, (log(self.ratio[0]), log(self.ratio[1]))))
        return round(sqrt(area / aspect)), round(sqrt(area * aspect))

    def _fallback(self, size: Size) -> Box:
        height, width = size
        aspect = width / height
        if aspect < self.ratio[0]:
            height = max(1, round(width / self.ratio[0]))
        elif aspect > self.ratio[1]:
            width = max(1, round(height * self.ratio[1]))
        return centred(size, (min(height, size[0]), min(width, size[1])))


@dataclass(frozen=True)
class ColourJitter(Step):
    """Brightness, contrast and saturation factors and a hue shift, uniform in their ranges, in random order."""

    brightness: Range
    contrast: Range
    saturation: Range
    hue: Range
    parameters = 8

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Jitter(
            brightness=exact_factor(between(uniforms[0], self.brightness)),
            contrast=exact_factor(between(uniforms[1], self.contrast)),
            saturation=exact_factor(between(uniforms[2], self.saturation)),
            hue=exact_shift(between(uniforms[3], self.hue)),
            order=tuple(ADJUSTMENTS[i] for i in np.argsort(uniforms[4:8])),
        )


@dataclass(frozen=True)
class Grayscale(Step):
    """Three equal channels."""

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Grayscale()


@dataclass(frozen=True)
class Hole(Step):
    """One rectangle, each side drawn from ``sides`` (both included), uniformly placed inside the image."""

    sides: tuple[int, int]
    level: int
    parameters = 4

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        height = min(whole_between(uniforms[0], self.sides), size[0])
        width = min(whole_between(uniforms[1], self.sides), size[1])
        return operations.Hole(placed(size, (height, width), uniforms[2], uniforms[3]), self.level)


@dataclass(frozen=True)
class Noise(Step):
    """Gaussian noise, its standard deviation uniform in ``std`` (parts of 255), drawn once for the image."""

    std: Range
    parameters = 3

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Noise(255 * between(uniforms[0], self.std), _seed(uniforms[1:3]))


@dataclass(frozen=True)
class Blur(Step):
    """Gaussian blur, its standard deviation uniform in ``sigma`` pixels."""

    sigma: Range
    parameters = 1

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Blur(between(uniforms[0], self.sigma))


@dataclass(frozen=True)
class Jpeg(Step):
    """A JPEG round trip, its quality one of ``qualities``, its codec one of ``codecs``, all equally likely."""

    qualities: Sequence[int]
    codecs: tuple[str, ...] = CODECS
    parameters = 2

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return operations.Jpeg(one_of(uniforms[0], self.qualities), one_of(uniforms[1], self.codecs))


@dataclass(frozen=True)
class PatchShuffle(Step):
    """All square patches in another order, their side drawn from ``sides`` (both included)."""

    sides: tuple[int, int]
    parameters = 3

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        return ShuffledPatches(whole_between(uniforms[0], self.sides), _seed(uniforms[1:3]))


@dataclass(frozen=True)
class PatchReplacement(Step):
    """Square patches replaced by others of the image; side and share of them are drawn from ``sides`` and ``share``."""

    sides: tuple[int, int]
    share: Range
    parameters = 4

    def _draw(self, uniforms: Sequence[float], size: Size) -> Operation:
        side, share = whole_between(uniforms[0], self.sides), between(uniforms[1], self.share)
        return ReplacedPatches(side, share, _seed(uniforms[2:4]))


def between(uniform: float, ends: Range) -> float:
    """The uniform in [0, 1) stretched to ``ends``."""
    return ends[0] + uniform * (ends[1] - ends[0])


def whole_between(uniform: float, ends: tuple[int, int]) -> int:
    """One of the whole numbers from ``ends[0]`` to ``ends[1]``, both included."""
    return ends[0] + int(uniform * (ends[1] - ends[0] + 1))


def one_of(uniform: float, choices: Sequence[Choice]) -> Choice:
    """One of ``choices``."""
    return choices[int(uniform * len(choices))]


def _seed(uniforms: Sequence[float]) -> tuple[int, int]:
    """The 53 random bits of each of two uniforms."""
    first, second = (int(uniform * 2**53) for uniform in uniforms)
    return first, second


def _plain(value: Any) -> Any:
    if isinstance(value, range):
        return {"from": value[0], "to": value[-1]}
    return list(value) if isinstance(value, tuple) else value
