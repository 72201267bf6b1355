"""The original framework's augmentation factories: callables that take a PIL image.

Given to the pipeline as they are, they are our recipes, drawn from each sample's own generator; called by a user's
code, inside a composition for instance, they draw from NumPy's global state, which the pipeline seeds for each sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from aigenbench.augmentations import BaselineTraining, Recipe, SoftTraining, StochasticTraining
from aigenbench.data.samples.transforms import RecipeCall, from_foreign
from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD

Size = int | tuple[int, int]


def as_call(recipe: Recipe | None, finish: Callable[[Any], Any] = Image.fromarray) -> RecipeCall:
    """A recipe (None changes nothing) that takes a PIL image, an array or a uint8 tensor.

    Args:
        recipe: what it does; drawn from NumPy's global state where called directly.
        finish: makes the result of uint8 (H, W, 3).
    """
    return RecipeCall(recipe, finish)


def finished(image: Any) -> torch.Tensor:
    """A normalised float tensor (3, H, W), by CLIP's mean and standard deviation, of uint8 (H, W, 3)."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (tensor - mean) / std


class LastCall(RecipeCall):
    """A last step: a normalised float tensor; one that is finished already passes unchanged."""

    finishes = True

    def __init__(self, recipe: Recipe | None) -> None:
        super().__init__(recipe, finished)

    def __call__(self, image: Any) -> Any:
        """Apply the recipe and normalise."""
        if isinstance(image, torch.Tensor) and image.is_floating_point():
            return image
        return super().__call__(image)


def make_baseline_train_aug(model_input_size: Size, strategy: str = "resize") -> tuple[RecipeCall, RecipeCall]:
    """The baseline recipe; then rotation, flip, crop by ``strategy``, and a normalised tensor."""
    return as_call(BaselineTraining()), LastCall(StochasticTraining(strategy, _pair(model_input_size)))


def make_soft_train_aug(model_input_size: Size, strategy: str = "resize") -> tuple[RecipeCall, RecipeCall]:
    """The soft recipe; then as the baseline's."""
    return as_call(SoftTraining()), LastCall(StochasticTraining(strategy, _pair(model_input_size)))


def make_baseline_val_aug() -> tuple[RecipeCall, RecipeCall]:
    """Nothing before cropping; a normalised tensor after."""
    return as_call(None), LastCall(None)


def make_baseline_test_aug() -> tuple[RecipeCall, RecipeCall]:
    """As for validation."""
    return make_baseline_val_aug()


def make_baseline_predict_aug() -> tuple[RecipeCall, RecipeCall]:
    """As for validation."""
    return make_baseline_val_aug()


def pil_crops(crops: Any) -> list[Image.Image]:
    """Crops as PIL images."""
    return [Image.fromarray(from_foreign(crop, "make_eval_crops")) for crop in crops]


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
