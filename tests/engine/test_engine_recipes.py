"""``model.recipe`` in a configuration: a file's content takes its place, and what cannot be is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aigenbench.augmentations import BaselineTraining, MildTraining, SoftTraining, StochasticTraining
from aigenbench.config.layer import COMMAND_LINE, key_layer, layer
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.data.samples.batches import BatchArithmetic
from aigenbench.engine.assembly.request import Request
from aigenbench.engine.assembly.run import Run
from aigenbench.engine.sweep.cells import make_cells
from aigenbench.engine.sweep.file import read_sweep
from aigenbench.errors import InputError
from aigenbench.yaml_text import read_yaml

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
MODEL = {"model": {"model_name": "small_cnn_tune", "model_args": {"pretrained": False}}, "dataset_path": "data"}
MINE = "steps:\n  - patch_replacement: {sides: 8, share: 0.5}\n  - grayscale\n"
INLINE = {"steps": [{"patch_replacement": {"sides": 8, "share": 0.5}}, "grayscale"]}


def detector(model: dict[str, Any]) -> Any:
    return Request((layer("base", MODEL), layer("changed", {"model": model}))).run("fit").instantiate_model()


def resolved(**model: Any) -> ResolvedConfig:
    return Request((layer("base", MODEL), layer("changed", {"model": model}))).resolved()


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.startswith(("model:", "base:"))])
def test_the_pages_examples_resolve(block: str) -> None:
    value = read_yaml(block, "page")
    if "base" in value:
        cells = make_cells(read_sweep(value), False)
        assert len(cells) == 9
        recipes = [Run("fit", cell.config).instantiate_model().recipe for cell in cells[:3]]
        assert [type(one) for one in recipes] == [BaselineTraining, SoftTraining, MildTraining]
    else:
        assert detector(value["model"]).recipe


def recipe_in(config: ResolvedConfig) -> Any:
    return config.to_dict()["model"]["init_args"]["recipe"]


def test_a_file_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(MINE)
    config = resolved(recipe="mine.yaml")
    assert recipe_in(config) == INLINE
    typed = Request((layer("base", MODEL), key_layer(COMMAND_LINE, "model.recipe", "mine.yaml"))).resolved()
    assert recipe_in(typed) == INLINE
    assert resolved(recipe=INLINE).differences(config) == []
    Path("mine.yaml").write_text(MINE.replace("0.5", "0.25"))
    assert resolved(recipe="mine.yaml").differences(config) == [
        "model.init_args.recipe.steps.0.patch_replacement.share: 0.25 -> 0.5"
    ]
    Path("mine.yaml").unlink()
    kept = tmp_path / "config.yaml"
    kept.write_text(config.to_yaml())
    assert recipe_in(ResolvedConfig.from_file(kept)) == INLINE
    with pytest.raises(InputError, match=r"mine\.yaml: no such file"):
        resolved(recipe="mine.yaml")


def test_names_stay_and_a_later_layer_replaces_steps() -> None:
    assert recipe_in(resolved()) is None
    assert recipe_in(resolved(recipe="none")) == "none"
    layers = [layer(str(i), {"model": {"recipe": recipe}}) for i, recipe in enumerate((INLINE, "soft", {"steps": []}))]
    for last, expected in ((1, INLINE), (2, "soft"), (3, {"steps": []})):
        assert recipe_in(Request((layer("base", MODEL), *layers[:last])).resolved()) == expected


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"recipe": "sofd"}, "unknown 'sofd'.*did you mean 'soft'"),
        ({"fusion": "max"}, "model.fusion max: evaluation_cropping_strategy resize looks at an image once"),
        ({"fusion": "learnt"}, "model.fusion: unknown 'learnt'.*did you mean 'learned'"),
        ({"fusion": {"max": {"inputs": ["mean"]}}}, "max takes no arguments"),
        ({"fusion": {"learned": {"inputs": ["thumb"]}}}, "learned inputs: expected some of mean, max, thumbnail"),
        (
            {"fusion": {"learned": {"inputs": ["thumbnail"]}}, "evaluation_cropping_strategy": "multicrop"},
            "inputs thumbnail: none is among the views",
        ),
        (
            {
                "fusion": "max",
                "evaluation_cropping_strategy": "mixed",
                "training_task": "multiclass",
                "evaluation_type": "multiclass",
            },
            "classes' probabilities are fused by their mean",
        ),
        ({"evaluation_cropping_strategy": {"tiles": {"n": 0}}}, "tiles n: expected a whole number from 1 to 64"),
    ],
)
def test_what_cannot_be_is_refused(model: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        detector(model)


def test_copies_and_epochs_take_as_many_steps() -> None:
    arithmetic = BatchArithmetic(8, accumulate=2)
    assert arithmetic.steps(64, 4) == 4 * arithmetic.steps(64, 1)
    fewer = {arithmetic.steps(n, 4) - 4 * arithmetic.steps(n, 1) for n in range(16, 200)}
    assert fewer == {0, 1, 2, 3}


def test_a_class_has_its_usual_recipe() -> None:
    soft = {"class_path": "aigenbench.training.SoftTrainAugmentationsModel"}
    for model, expected in (({}, BaselineTraining), (soft, SoftTraining), ({**soft, "recipe": "mild"}, MildTraining)):
        first, second = detector(model).train_augmentation()
        assert type(first) is expected
        assert type(second) is StochasticTraining
