"""Hooks that say what becomes of a picture before a detector sees it: augmentation and crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from aigenbench.augmentations import EvaluationCrops, Recipe, StochasticTraining
from aigenbench.data.samples.hooks import is_overridden
from aigenbench.data.samples.transforms import Augmentation, from_foreign

STAGES = {"validate": "val", "test": "test", "predict": "predict"}
CROPS_HOOKS = ("make_eval_crops", "make_val_crops", "make_test_crops", "make_predict_crops")


class PictureHooks:
    """The detector's hooks on pictures; override any of them.

    Attributes:
        usual_recipe: the deterministic part of training where ``model.recipe`` says nothing.
        recipe: that part.
        training_crop: the stochastic part of training: rotation, flip, crop.
        evaluation_crop: the crops that are scored.
    """

    usual_recipe: ClassVar[str] = "baseline"
    recipe: Recipe
    training_crop: StochasticTraining
    evaluation_crop: EvaluationCrops

    def train_augmentation(self) -> tuple[Augmentation, ...]:
        """The deterministic part (``model.recipe``), then the stochastic one (rotation, flip, crop)."""
        return self.recipe, self.training_crop

    def val_augmentation(self) -> tuple[Augmentation | None, Augmentation | None]:
        """Callables before and after cropping, for validate. None changes nothing."""
        return None, None

    def test_augmentation(self) -> tuple[Augmentation | None, Augmentation | None]:
        """Likewise for test; as for validate unless overridden."""
        return self.val_augmentation()

    def predict_augmentation(self) -> tuple[Augmentation | None, Augmentation | None]:
        """Likewise for predict; as for validate unless overridden."""
        return self.val_augmentation()

    def make_eval_crops(self, image: Any) -> Sequence[Any]:
        """The crops of an image that are scored: uint8 arrays (h, w, 3), from a PIL image, array or uint8 tensor."""
        return self.evaluation_crop(from_foreign(image, "make_eval_crops"))

    def make_val_crops(self, image: Any) -> Sequence[Any]:
        """Crops for validate."""
        return self.make_eval_crops(image)

    def make_test_crops(self, image: Any) -> Sequence[Any]:
        """Crops for test."""
        return self.make_eval_crops(image)

    def make_predict_crops(self, image: Any) -> Sequence[Any]:
        """Crops for predict."""
        return self.make_eval_crops(image)

    def evaluation_augmentation(self, stage: str) -> Sequence[Augmentation | None]:
        """What the hook of ``validate``, ``test`` or ``predict`` returns."""
        hooks = {
            "validate": self.val_augmentation,
            "test": self.test_augmentation,
            "predict": self.predict_augmentation,
        }
        return hooks[stage]()

    def evaluation_crops(self, stage: str) -> Callable[[Any], Sequence[Any]]:
        """EvaluationCrops, or the crops hook of a stage where a subclass overrides it."""
        name = f"make_{STAGES[stage]}_crops"
        if any(is_overridden(type(self), hook) for hook in (name, "make_eval_crops")):
            return getattr(self, name)
        return self.evaluation_crop
