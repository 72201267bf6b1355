"""A fixed grid of perturbations, to see how much of a detector's performance survives what pictures go through.

Every one is a `Recipe` without a choice in it: nothing is drawn but the noise, whose values are a function of the
sample's generator, the same for every strength.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL.WebPImagePlugin import WebPImageFile

from aigenbench.augmentations.geometry import centred, cut
from aigenbench.augmentations.images import Image, Size, check_image, size_of
from aigenbench.augmentations.jpeg import jpeg_round_trip
from aigenbench.augmentations.noise import gaussian_noise
from aigenbench.augmentations.operations import gaussian_blur
from aigenbench.augmentations.recipes import Recipe
from aigenbench.augmentations.resampling import resize
from aigenbench.errors import InputError, nearest

LONGEST_WEBP_SIDE = 16383
"""libwebp encodes no longer side (``WEBP_MAX_DIMENSION``)."""


@dataclass(frozen=True)
class PerturbationStep(ABC):
    """A part of a perturbation; its fields say all about it."""

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the changed image; ``image`` itself is never written to."""
        return self._apply(image, rng)

    @abstractmethod
    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the changed image."""


@dataclass(frozen=True)
class Jpeg(PerturbationStep):
    """Storing as JPEG, 4:2:0, by Pillow."""

    quality: int

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        return jpeg_round_trip(image, self.quality, "pillow")


@dataclass(frozen=True)
class Webp(PerturbationStep):
    """Storing as lossy WebP by Pillow, with libwebp's default effort."""

    quality: int

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        if max(image.shape[:2]) > LONGEST_WEBP_SIDE:
            raise InputError(
                f"WebP files have at most {LONGEST_WEBP_SIDE} pixels a side, got an image of shape {image.shape}: "
                "lower maximum_processing_size or leave out the family webp"
            )
        encoded = io.BytesIO()
        PillowImage.fromarray(image).save(encoded, "WEBP", quality=self.quality, method=4)
        encoded.seek(0)
        # not through Image.open: it warns of, or refuses, pictures it deems too large to be honest; this one is ours
        return np.asarray(WebPImageFile(encoded))


@dataclass(frozen=True)
class Scale(PerturbationStep):
    """Resizing both sides by ``factor``, bicubic with antialiasing, and not back."""

    factor: float

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        return resize(image, scaled(size_of(image), self.factor), "bicubic")


@dataclass(frozen=True)
class Blur(PerturbationStep):
    """A Gaussian blur of ``sigma`` pixels."""

    sigma: float

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        return gaussian_blur(image, self.sigma)


@dataclass(frozen=True)
class Noise(PerturbationStep):
    """Normal noise of standard deviation ``std`` grey levels (of 255), independent per pixel and channel."""

    std: float

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        return gaussian_noise(image, self.std, rng.integers(0, 2**32, size=2).tolist())


@dataclass(frozen=True)
class CentreCrop(PerturbationStep):
    """Keeping the middle ``share`` of either side."""

    share: float

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        return cut(image, centred(size_of(image), scaled(size_of(image), self.share)))


@dataclass(frozen=True)
class AtMost(PerturbationStep):
    """Resizing to a longest side of ``pixels`` where it is longer, bicubic with antialiasing."""

    pixels: int

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        longest = max(size_of(image))
        if longest <= self.pixels:
            return image
        return resize(image, scaled(size_of(image), self.pixels / longest), "bicubic")


@dataclass(frozen=True)
class Sharpen(PerturbationStep):
    """An unsharp mask: ``amount`` times the difference to a blur of ``sigma`` pixels is added."""

    sigma: float
    amount: float

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        blurred = gaussian_blur(image, self.sigma)
        sharpened: Image = cv2.addWeighted(image, 1 + self.amount, blurred, -self.amount, 0)
        return sharpened


def scaled(size: Size, factor: float) -> Size:
    """``size`` times ``factor``, rounded (halves to even), at least one pixel a side."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


@dataclass(frozen=True)
class Perturbation(Recipe):
    """One cell of the grid.

    Attributes:
        family: what kind it is, such as ``jpeg``.
        level: how strong it is, as it stands in file names, such as ``90``.
        title: the level as charts show it.
        steps: applied in this order.
    """

    family: str
    level: str
    title: str
    steps: tuple[PerturbationStep, ...]

    @property
    def name(self) -> str:
        """Family and level: the name of its results' folder."""
        return f"{self.family}_{self.level}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Apply the steps in order."""
        image = check_image(image)
        for step in self.steps:
            image = step(image, rng)
        return image

    def describe(self) -> dict[str, Any]:
        """Family, level and every step's parameters, as they stand in JSON."""
        steps = [{"step": type(step).__name__, **asdict(step)} for step in self.steps]
        return {"recipe": type(self).__name__, "family": self.family, "level": self.level, "steps": steps}


FAMILIES = {
    "jpeg": "JPEG quality",
    "webp": "WebP quality",
    "resize": "Resize factor",
    "blur": "Gaussian blur, sigma in pixels",
    "noise": "Gaussian noise, std in grey levels of 255",
    "crop": "Centre crop, share of the sides",
    "double_jpeg": "Double JPEG, qualities in turn",
    "social_network": "Social-network-like chain: at most 1080 pixels, JPEG 75",
}
"""Title of every family, in the order of the grid."""


def _grid() -> tuple[Perturbation, ...]:
    cells: list[Perturbation] = []

    def add(family: str, level: str, *steps: PerturbationStep, title: str = "") -> None:
        cells.append(Perturbation(family, level, title or level, steps))

    for quality in (95, 90, 80, 70, 60, 50, 40, 30):
        add("jpeg", str(quality), Jpeg(quality))
    for quality in (90, 80, 70, 60, 50, 40, 30):
        add("webp", str(quality), Webp(quality))
    for factor in (2.0, 1.5, 0.75, 0.5, 0.25):
        add("resize", f"{factor:g}", Scale(factor))
    for sigma in (0.5, 1.0, 2.0, 3.0):
        add("blur", f"{sigma:g}", Blur(sigma))
    for std in (2.0, 5.0, 10.0, 20.0):
        add("noise", f"{std:g}", Noise(std))
    for share in (0.9, 0.75, 0.5):
        add("crop", f"{share:g}", CentreCrop(share))
    for first, second in ((90, 70), (70, 50)):
        add("double_jpeg", f"{first}_{second}", Jpeg(first), Jpeg(second), title=f"{first}, {second}")
    add("social_network", "plain", AtMost(1080), Jpeg(75))
    add("social_network", "sharpened", AtMost(1080), Sharpen(1.0, 0.5), Jpeg(75))
    return tuple(cells)


GRID = _grid()
"""All perturbations, family by family, within one from the weakest on (enlarging before shrinking)."""


def perturbations(families: Sequence[str] | None = None) -> tuple[Perturbation, ...]:
    """The grid, or those families of it, in the grid's order.

    Raises:
        InputError: there is no family of a name.
    """
    for family in families or ():
        if family not in FAMILIES:
            raise InputError(
                f"no perturbation family {family!r}: one of {', '.join(FAMILIES)}{nearest(family, FAMILIES)}"
            )
    return GRID if families is None else tuple(cell for cell in GRID if cell.family in families)
