"""The original framework's data module, as its users subclass it, over ours."""

from __future__ import annotations

import logging
from typing import Any

from aigenbench.augmentations import Recipe
from aigenbench.data import pipeline as ours
from aigenbench.data.samples.calls import RecipeCall
from aigenbench.data.samples.transforms import Augmentation
from aigenbench.protocol.published import AUGMENTATIONS_BASE_SEED
from aigenbench.training.original.loader import DatasetLoader

logger = logging.getLogger(__name__)


class DeepfakeDetectionDatamodule(ours.AIGenBenchPipeline):
    """The benchmark's samples with the original's defaults; see docs/hooks.md.

    ``self.trainer.datamodule`` of a detector. The mandatory steps and crops may be overridden.

    Args:
        dataset_loader: opens the data set; any class with ``load_dataset()``.
        train_batch_size: samples per device and accumulation part.
        eval_batch_size: images per device in evaluation.
        num_workers: loader processes; None takes one a usable processor, at most 8.
        train_subset_size: train on so many rows (int) or that share (float) of each window's own; 0 for all.
        validation_subset_size: likewise of the evaluation images.
        deterministic_augmentations: an image's copy is degraded alike each time it is read.
        augmentation_factor: copies of each training image.
        augmentations_base_seed: seed of every sample's draws.
        maximum_processing_size: larger images are cropped to this many pixels a side; None for no limit.
        move_data_to_local_storage: has no effect here.
        evaluation_jpeg: this and what follows as of ``aigenbench.data.AIGenBenchPipeline``.
        timeline: likewise.
        predict_path: likewise.
        cache: likewise.
        cache_folder: likewise.
        features: likewise.
        features_dtype: likewise.
        orientation: likewise.
        reconstruct: likewise.
    """

    def __init__(
        self,
        dataset_loader: DatasetLoader,
        train_batch_size: int = 64,
        eval_batch_size: int = 64,
        num_workers: int | None = None,
        train_subset_size: int | float | None = None,
        validation_subset_size: int | float | None = None,
        deterministic_augmentations: bool = True,
        augmentation_factor: int = 1,
        augmentations_base_seed: int = AUGMENTATIONS_BASE_SEED,
        maximum_processing_size: int | None = None,
        move_data_to_local_storage: Any = None,
        evaluation_jpeg: str = "two_point",
        timeline: str | None = None,
        predict_path: str | None = None,
        cache: str = "none",
        cache_folder: str = "experiments_cache",
        features: str = "none",
        features_dtype: str = "float16",
        orientation: str = "per_epoch",
        reconstruct: dict[str, Any] | None = None,
    ) -> None:
        if move_data_to_local_storage:
            logger.warning(
                "data.move_data_to_local_storage has no effect here: images are read from where dataset_path says; "
                "copy the data set to a local disk, or keep what is computed of it there with data.cache_folder"
            )
        super().__init__(
            dataset_loader,  # type: ignore[arg-type]
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            train_subset_size=train_subset_size,
            validation_subset_size=validation_subset_size,
            deterministic_augmentations=deterministic_augmentations,
            augmentation_factor=augmentation_factor,
            augmentations_base_seed=augmentations_base_seed,
            maximum_processing_size=maximum_processing_size,
            evaluation_jpeg=evaluation_jpeg,
            timeline=timeline,
            predict_path=predict_path,
            cache=cache,
            cache_folder=cache_folder,
            features=features,
            features_dtype=features_dtype,
            orientation=orientation,
            reconstruct=reconstruct,
        )

    def mandatory_train_preprocessing(self) -> Any:
        """What every training image goes through first: a callable of a PIL image, or None."""
        return _called(super().mandatory_train_preprocessing())

    def mandatory_val_preprocessing(self) -> Any:
        """What every validation image goes through first."""
        return _called(super().mandatory_val_preprocessing())

    def mandatory_test_preprocessing(self) -> Any:
        """What every test image goes through first; the validation steps unless overridden."""
        return self.mandatory_val_preprocessing()

    def make_val_crops(self, image: Any) -> Any:
        """The crops of a validation image: the detector's, unless overridden."""
        return self.cropping.make_val_crops(image)

    def make_test_crops(self, image: Any) -> Any:
        """Likewise of a test image."""
        return self.cropping.make_test_crops(image)

    def make_predict_crops(self, image: Any) -> Any:
        """Likewise of a picture to be scored."""
        return self.cropping.make_predict_crops(image)


class AIGenBenchPipeline(DeepfakeDetectionDatamodule):
    """The pipeline that the original's configs name."""


def _called(step: Augmentation | None) -> Any:
    return RecipeCall(step) if isinstance(step, Recipe) else step
