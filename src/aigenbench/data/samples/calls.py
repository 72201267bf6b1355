"""Our recipes as callables of one image, for a user's code that composes them with its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aigenbench.augmentations import Recipe


class RecipeCall:
    """A recipe that a user's code may call with an image alone.

    Given to the pipeline as it is, its recipe is used, drawn from each sample's own generator. Called, it draws from
    NumPy's global state, which the pipeline seeds around a user's callable.

    Args:
        recipe: what it does; None changes nothing.
        finish: makes the result of uint8 (H, W, 3).
    """

    finishes = False
    """Whether it normalises too; as the last step of a sample that is left to the detector."""

    def __init__(self, recipe: Recipe | None, finish: Callable[[Any], Any] = Image.fromarray) -> None:
        self.recipe, self._finish = recipe, finish

    def describe(self) -> dict[str, Any] | None:
        """The recipe's description; None where there is none."""
        return None if self.recipe is None else self.recipe.describe()

    def __call__(self, image: Any) -> Any:
        """Apply the recipe to a PIL image, an array (H, W, 3) or a uint8 tensor (3, H, W)."""
        pixels = pixels_of(image)
        if self.recipe is not None:
            seed = np.random.randint(0, 2**32, size=2, dtype=np.uint64)
            pixels = self.recipe(pixels, np.random.Generator(np.random.Philox(key=seed)))
        return self._finish(pixels)


def pixels_of(image: Any) -> npt.NDArray[np.uint8]:
    """A PIL image, an array (H, W, 3) or a uint8 tensor (3, H, W) as uint8 (H, W, 3)."""
    if isinstance(image, Image.Image):
        image = np.array(image.convert("RGB"))
    elif not isinstance(image, np.ndarray):
        image = image.permute(1, 2, 0).numpy()
    return np.ascontiguousarray(image)
