"""Augmentations: pure functions (image, generator) -> image over uint8 RGB arrays of shape (height, width, 3)."""

from aigenbench.augmentations.crops import (
    EVALUATION_CROPPING_STRATEGIES,
    TRAINING_CROPPING_STRATEGIES,
    EvaluationCrops,
    StochasticTraining,
)
from aigenbench.augmentations.geometry import Orientation, apply_orientation, draw_orientation
from aigenbench.augmentations.images import Image, Size, check_image
from aigenbench.augmentations.memory import freed_memory_kept, keep_freed_memory
from aigenbench.augmentations.recipes import (
    JPEG_MODES,
    BaselineTraining,
    MandatoryEvaluation,
    MandatoryTraining,
    MildTraining,
    Recipe,
    SoftTraining,
    StepsRecipe,
)
from aigenbench.augmentations.written import recipe_given

SAMPLE_FORMAT = 2
"""Raised whenever decoding, a recipe or a crop gives other pixels than before: stored ones are then made anew."""

__all__ = [
    "EVALUATION_CROPPING_STRATEGIES",
    "JPEG_MODES",
    "SAMPLE_FORMAT",
    "TRAINING_CROPPING_STRATEGIES",
    "BaselineTraining",
    "EvaluationCrops",
    "Image",
    "MandatoryEvaluation",
    "MandatoryTraining",
    "MildTraining",
    "Orientation",
    "Recipe",
    "Size",
    "SoftTraining",
    "StepsRecipe",
    "StochasticTraining",
    "apply_orientation",
    "check_image",
    "draw_orientation",
    "freed_memory_kept",
    "keep_freed_memory",
    "recipe_given",
]
