from __future__ import annotations

import copy

from aigenbench.config.names import DATASET_LOADER, DETECTOR, OURS, PIPELINE, class_nodes, rename_classes


def test_every_documented_name_of_the_original_has_ours():
    assert OURS == {
        "algorithms.BaseDeepfakeDetectionModel": DETECTOR,
        "algorithms.SoftTrainAugmentationsModel": "aigenbench.training.SoftTrainAugmentationsModel",
        "algorithms.model_factory_registry.ModelFactoryRegistry": "aigenbench.models.ModelFactoryRegistry",
        "lightning_data_modules.AIGenBenchPipeline": PIPELINE,
        "lightning_data_modules.datasets.AIGenBenchDatasetLoader": DATASET_LOADER,
        "training_metrics.DeepFakePredictionsDump": "aigenbench.training.DeepFakePredictionsDump",
        "training_metrics.MetricsManager": "aigenbench.training.MetricsManager",
        "training_metrics.MetricsManagerSlidingWindow": "aigenbench.training.MetricsManagerSlidingWindow",
    }


def test_class_paths_are_renamed_everywhere_and_their_places_told():
    config = {
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
    assert renamed["data"]["class_path"] == PIPELINE
    assert renamed["data"]["init_args"]["dataset_loader"]["class_path"] == DATASET_LOADER
    manager = "aigenbench.training.MetricsManager"
    assert renamed["trainer"]["callbacks"] == [manager, {"class_path": manager}]
    assert renamed["trainer"]["logger"] == config["trainer"]["logger"]
    assert places == [("data",), ("data", "init_args", "dataset_loader"), ("trainer", "callbacks", 1)]


def test_class_nodes_come_outermost_first_with_their_places():
    inner = {"class_path": "b"}
    outer = {"class_path": "a", "init_args": {"x": [1, inner], "class_path": 3}}
    assert list(class_nodes({"m": outer})) == [(("m",), outer), (("m", "init_args", "x", 1), inner)]
