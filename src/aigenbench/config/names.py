"""The class paths of the original framework, and ours that stand for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

DETECTOR = "aigenbench.training.BaseDeepfakeDetectionModel"
PIPELINE = "aigenbench.data.AIGenBenchPipeline"
DATASET_LOADER = "aigenbench.data.AIGenBenchDatasetLoader"
SHORT = {
    path.rpartition(".")[2]: path
    for path in (DETECTOR, "aigenbench.training.SoftTrainAugmentationsModel", PIPELINE, DATASET_LOADER)
}
"""What a name alone means in the model and data sections: the original's classes have the same names."""

ADAPTERS = "aigenbench.training.original"
_DETECTORS = ("BaseDeepfakeDetectionModel", "AbstractBaseDeepfakeDetectionModel", "SoftTrainAugmentationsModel")
_BASELINE = tuple(f"make_baseline_{name}_aug" for name in ("train", "val", "test", "predict"))
_BUILT_IN = ("DeepFakePredictionsDump", "MetricsManager", "MetricsManagerSlidingWindow")


def _adapters(*names: str) -> dict[str, str]:
    return {name: f"{ADAPTERS}.{name}" for name in names}


# module of the original -> {name in it: where ours is}; a module that only holds others has none
ORIGINAL_MODULES: dict[str, dict[str, str]] = {
    "algorithms": _adapters(*_DETECTORS),
    "algorithms.base_model": _adapters("BaseDeepfakeDetectionModel"),
    "algorithms.abstract_model": _adapters("AbstractBaseDeepfakeDetectionModel"),
    "algorithms.soft_augmentations_model": _adapters("SoftTrainAugmentationsModel"),
    "algorithms.model_factory_registry": {
        "ModelFactoryRegistry": "aigenbench.models.ModelFactoryRegistry",
    },
    "algorithms.models": _adapters("GenericModelProbe"),
    "algorithms.models.generic_probe": _adapters("GenericModelProbe"),
    "algorithms.augmentation_pipelines": {},
    "algorithms.augmentation_pipelines.baseline_augmentations": _adapters(*_BASELINE),
    "algorithms.augmentation_pipelines.soft_train_augmentations": _adapters("make_soft_train_aug"),
    "lightning_data_modules": _adapters("AIGenBenchPipeline", "DeepfakeDetectionDatamodule"),
    "lightning_data_modules.datasets": _adapters("AIGenBenchDatasetLoader"),
    "training_metrics": {
        **{name: f"aigenbench.training.{name}" for name in _BUILT_IN},
        **_adapters("BalancedBinaryAccuracy"),
    },
    "training_utils": {},
}

OURS = {f"{module}.{name}": ours for module, names in ORIGINAL_MODULES.items() for name, ours in names.items()}


def rename_classes(value: Any, at: Path = ()) -> tuple[Any, list[Path]]:
    """`value` with every class path of the original replaced by ours.

    Both spellings of a class are replaced: the text under `class_path`, and a class path standing alone where a
    class is expected (`callbacks: [training_metrics.MetricsManager]`).

    Args:
        value: a config or part of one; left as it is.
        at: where in the config `value` stands.

    Returns:
        The renamed copy, and the places of the mappings whose `class_path` was the original's: their
        arguments may be ones that ours do not have.
    """
    if isinstance(value, dict):
        renamed, places = {}, [at] if OURS.get(_text(value.get("class_path"))) else []
        for key, item in value.items():
            renamed[key], inner = rename_classes(item, (*at, key))
            places += inner
        return renamed, places
    if isinstance(value, list):
        pairs = [rename_classes(item, (*at, index)) for index, item in enumerate(value)]
        return [item for item, _ in pairs], [place for _, inner in pairs for place in inner]
    return (OURS.get(value, value) if isinstance(value, str) else value), []


def class_nodes(value: Any, at: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every mapping inside `value` that names a `class_path`, outermost first, with its place."""
    if isinstance(value, dict):
        if isinstance(value.get("class_path"), str):
            yield at, value
        for key, item in value.items():
            yield from class_nodes(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from class_nodes(item, (*at, index))


def dotted(path: Path) -> str:
    """A place in a config as it is typed: `trainer.logger.0.init_args.save_dir`."""
    return ".".join(str(part) for part in path)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
