"""Every option trains over the nine windows of demo data; a new one is missed here until it stands in the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aigenbench as ab
from aigenbench.augmentations.crops import EVALUATION_CROPPING_STRATEGIES
from aigenbench.augmentations.written import RECIPES, STEPS
from aigenbench.data.demo import make_demo_data
from aigenbench.evaluation.predictions.fusion import KINDS as FUSIONS
from aigenbench.models.finetune import KINDS as FINETUNES
from aigenbench.models.heads.choice import HEADS
from aigenbench.models.heads.transforms import TRANSFORMS
from aigenbench.training.detector.objectives import CHANGES
from aigenbench.training.detector.terms import TERMS
from aigenbench.training.strategies.registry import STRATEGIES
from small_run import FEW, PIPELINE

CACHED = {"data.cache": "all", "data.orientation": "per_copy"}
VIT = {"model.model_name": "timm/test_vit_tune", "model.model_input_size": 160, "data.augmentation_factor": 1}
PROBE = {"model.model_name": "small_cnn_probe", "data.features": "cache"}
TWO = {"model.model_name": "timm/test_resnet_probe", "model.backbones": ["small_cnn"], "data.features": "cache"}
LAYERS = {
    "model.model_name": "timm/test_vit_probe",
    "model.model_input_size": 160,
    "model.features": {"layers": [1, 3, -1], "tokens": "both"},
    "data.augmentation_factor": 1,
    "data.features": "cache",
}

OBJECTIVES: list[dict[str, Any]] = [
    {"label_smoothing": {}, "focal": {}},
    {"cross_entropy": {}, "auxiliary": {}},
    {"contrastive": {}, "alignment": {}, "uniformity": {}},
]
ROWS: list[dict[str, Any]] = [
    {"cumulative": {}},
    {"new_window": {}},
    {"harmonic": {}},
    {"harmonic": {"of": "copies"}},
    *({"replay": {"budget": 72, "selection": selection}} for selection in ("balanced", "reservoir", "herding")),
]
WEIGHTS: list[dict[str, Any]] = [
    {"start": {"weights": "reset"}, "distillation": {}},
    {"interpolate": {"alpha": 0.5}, "distillation": {"of": "features"}},
    {"interpolate": {"alpha": "fitted"}},
    {"ema": {"decay": 0.9}},
    {"soup": {}},
    {"soup": {"selection": "greedy"}, "harmonic": {}},
]
WORKBENCH: list[dict[str, Any]] = [
    {**LAYERS, "model.transform": ["gate", "normalise"]},
    {**PROBE, "model.transform": ["standardise", {"simlbr": {"share": 0.5}}], "model.head": {"mlp": {"hidden": 8}}},
    {**PROBE, "model.head": "linear"},
    {**TWO, "model.head": "fused", "experiment_info.strategy": {"fusion": {"grid": 3}}},
    {**PROBE, "model.head": {"knn": {"k": 3, "bank": 100}}},
    {**PROBE, "model.head": {"prototypes": {"by": "generator"}}},
    {**TWO, "model.head": {"distance": {}}},
]
WRITTEN = {
    "steps": [
        {"patch_shuffle": {"probability": 0.5, "sides": [16, 32]}},
        {"patch_replacement": {"probability": 0.5, "sides": [16, 32], "share": [0.1, 0.3]}},
    ]
}
VIEWS: list[dict[str, Any]] = [
    *({"model.recipe": name} for name in RECIPES if name != "baseline"),
    {"model.recipe": "baseline", "model.evaluation_cropping_strategy": "mixed", "model.fusion": "max"},
    {"model.evaluation_cropping_strategy": {"tiles": {"n": 2}}, "model.fusion": "learned"},
    {"model.evaluation_cropping_strategy": "multicrop", "model.fusion": "mean"},
    {"model.evaluation_cropping_strategy": "crop"},
]
EVERY: list[dict[str, Any]] = [
    *({"model.objective": objective} for objective in OBJECTIVES),
    {"model.training_task": "multiclass"},
    *({**VIT, "model.finetune": kind} for kind in FINETUNES),
    *({"model.model_name": "timm/test_resnet_tune", "model.finetune": kind} for kind in ("layernorm", "last_blocks")),
    *({"experiment_info.strategy": strategy} for strategy in (*ROWS, *WEIGHTS)),
    *WORKBENCH,
    *VIEWS,
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All generators, few images of each."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    make_demo_data(folder, generators=36, train=4, validation=2, seed=1)
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what several runs read is kept."""
    return tmp_path_factory.mktemp("stored")


def test_every_option_stands_in_the_list() -> None:
    assert {name for objective in OBJECTIVES for name in objective} == {*CHANGES, *TERMS}
    assert {name for one in (*ROWS, *WEIGHTS) for name in one} | {"fusion"} == set(STRATEGIES)
    heads = [one.get("model.head", "linear") for one in WORKBENCH]
    assert {head if isinstance(head, str) else next(iter(head)) for head in heads} == set(HEADS)
    transforms = [part for one in WORKBENCH for part in one.get("model.transform", ())]
    assert {part if isinstance(part, str) else next(iter(part)) for part in transforms} == set(TRANSFORMS)
    assert {one.get("model.recipe") for one in VIEWS} >= set(RECIPES)
    crops = [one.get("model.evaluation_cropping_strategy", "resize") for one in VIEWS]
    names = {crop if isinstance(crop, str) else next(iter(crop)) for crop in crops}
    assert names | {"as_is"} == set(EVALUATION_CROPPING_STRATEGIES)
    assert {one.get("model.fusion", "mean") for one in VIEWS} == set(FUSIONS)
    assert {name for step in WRITTEN["steps"] for name in step} <= set(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("option", [*EVERY, {"model.recipe": WRITTEN}], ids=str)
def test_it_trains_over_nine_windows(option: dict[str, Any], demo: Path, stored: Path, tmp_path: Path) -> None:
    values = FEW | CACHED | {"data.augmentation_factor": 2, "model.model_input_size": 48} | option
    given = {
        "dataset_path": str(demo),
        "data.train_batch_size": 16,
        "data.cache_folder": str(stored),
        "experiment_info.sliding_windows_definition.n_generators_per_window": 4,
        "experiment_info.experiments_data_folder": str(tmp_path),
    }
    experiment = ab.fit(PIPELINE, overrides=values | given)
    assert experiment.scores().headline.windows == 8
    logits = [experiment.predictions(window).fused_logits for window in range(9)]
    assert all(one is not None and np.isfinite(one).all() and len(np.unique(one)) > 1 for one in logits)
