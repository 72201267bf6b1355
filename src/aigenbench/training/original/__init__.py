"""The original framework's classes with its contract, as adapters over ours.

A researcher's file that imports ``algorithms``, ``lightning_data_modules`` or ``training_metrics`` gets these. They
keep what such a file relies on: constructors and attributes, the life of ``setup``, batches that are tuples of finished
floats, what steps return, metrics registration, augmentation factories. Samples, resuming, metrics and predictions are
our own. What cannot be honoured is refused by name.
"""

from __future__ import annotations

from typing import Any

_PLACES = {
    "AbstractBaseDeepfakeDetectionModel": "detector",
    "BaseDeepfakeDetectionModel": "detector",
    "SoftTrainAugmentationsModel": "detector",
    "AIGenBenchPipeline": "pipeline",
    "DeepfakeDetectionDatamodule": "pipeline",
    "AIGenBenchDatasetLoader": "loader",
    "GenericModelProbe": "probe",
    "BalancedBinaryAccuracy": "metrics",
    "make_baseline_train_aug": "augmentations",
    "make_baseline_val_aug": "augmentations",
    "make_baseline_test_aug": "augmentations",
    "make_baseline_predict_aug": "augmentations",
    "make_soft_train_aug": "augmentations",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    # lazily: torch and Lightning take seconds to import
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
