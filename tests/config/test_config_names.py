from __future__ import annotations

import copy
from typing import Any

from aigenbench.config.names import ADAPTERS, OURS, class_nodes, rename_classes


def test_every_documented_name_of_the_original_has_ours():
    adapters = "aigenbench.training.original"
    detectors = ("BaseDeepfakeDetectionModel", "AbstractBaseDeepfakeDetectionModel", "SoftTrainAugmentationsModel")
    baseline = "algorithms.augmentation_pipelines.baseline_augmentations"
    assert {
        **{f"algorithms.{name}": f"{adapters}.{name}" for name in detectors},
        "algorithms.base_model.BaseDeepfakeDetectionModel": f"{adapters}.BaseDeepfakeDetectionModel",
        "algorithms.abstract_model.AbstractBaseDeepfakeDetectionModel": f"{adapters}.{detectors[1]}",
        "algorithms.soft_augmentations_model.SoftTrainAugmentationsModel": f"{adapters}.{detectors[2]}",
        "algorithms.model_factory_registry.ModelFactoryRegistry": "aigenbench.models.ModelFactoryRegistry",
        "algorithms.models.GenericModelProbe": f"{adapters}.GenericModelProbe",
        "algorithms.models.generic_probe.GenericModelProbe": f"{adapters}.GenericModelProbe",
        **{
            f"{baseline}.make_baseline_{of}_aug": f"{adapters}.make_baseline_{of}_aug"
            for of in ("train", "val", "test", "predict")
        },
        "algorithms.augmentation_pipelines.soft_train_augmentations.make_soft_train_aug": (
            f"{adapters}.make_soft_train_aug"
        ),
        "lightning_data_modules.AIGenBenchPipeline": f"{adapters}.AIGenBenchPipeline",
        "lightning_data_modules.DeepfakeDetectionDatamodule": f"{adapters}.DeepfakeDetectionDatamodule",
        "lightning_data_modules.datasets.AIGenBenchDatasetLoader": f"{adapters}.AIGenBenchDatasetLoader",
        "training_metrics.BalancedBinaryAccuracy": f"{adapters}.BalancedBinaryAccuracy",
        "training_metrics.DeepFakePredictionsDump": "aigenbench.training.DeepFakePredictionsDump",
        "training_metrics.MetricsManager": "aigenbench.training.MetricsManager",
        "training_metrics.MetricsManagerSlidingWindow": "aigenbench.training.MetricsManagerSlidingWindow",
    } == OURS


def test_class_paths_are_renamed_everywhere_and_their_places_told():
    config: dict[str, Any] = {
        "data": {
            "class_path": "lightning_data_modules.AIGenBenchPipeline",
            "init_args": {
                "dataset_loader": {"class_path": "lightning_data_modules.datasets.AIGenBenchDatasetLoader"},
            },
        },
        "trainer": {
            "callbacks": ["training_metrics.MetricsManager", {"class_path": "training_metrics.MetricsManager"}],
            "logger": [{"class_path": "m.Mine", "init_args": {"text": "algorithms"}}],
        },
    }
    before = copy.deepcopy(config)
    renamed, places = rename_classes(config)
    assert config == before
    assert renamed["data"]["class_path"] == f"{ADAPTERS}.AIGenBenchPipeline"
    assert renamed["data"]["init_args"]["dataset_loader"]["class_path"] == f"{ADAPTERS}.AIGenBenchDatasetLoader"
    manager = "aigenbench.training.MetricsManager"
    assert renamed["trainer"]["callbacks"] == [manager, {"class_path": manager}]
    assert renamed["trainer"]["logger"] == config["trainer"]["logger"]
    assert places == [("data",), ("data", "init_args", "dataset_loader"), ("trainer", "callbacks", 1)]


def test_class_nodes_come_outermost_first_with_their_places():
    inner = {"class_path": "b"}
    outer = {"class_path": "a", "init_args": {"x": [1, inner], "class_path": 3}}
    assert list(class_nodes({"m": outer})) == [(("m",), outer), (("m", "init_args", "x", 1), inner)]
