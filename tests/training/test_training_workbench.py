"""Transforms and heads in runs: killed and resumed, over processes, exported, from the page; what is refused."""

from __future__ import annotations

import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from training_harness import Events, arguments, outcome, run, run_together

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.evaluation.report.seeds import recipe_of
from aigenbench.inference.detector import Detector
from aigenbench.inference.formats.runtimes import runtime
from aigenbench.models.heads.choice import BUILT_IN, HeadChoice
from aigenbench.models.parts import Part
from aigenbench.models.probe import weights_hash
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.strategies.checks import check_strategies
from aigenbench.training.strategies.fusion import Fusion
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.weights import FinishContext

PAGE = (Path(__file__).parents[2] / "docs" / "workbench.md").read_text(encoding="utf-8")
PROBE = ("--model.model_name=timm/test_vit_probe", "--model.model_args.pretrained=false")
SIZE = ("--model.model_input_size=160", "--data.augmentation_factor=1")
VARIANTS = {
    "mlp": ("{mlp: {hidden: 8, dropout: 0.3}}", "[standardise, {simlbr: {share: 0.5}}]"),
    "knn": ("{knn: {k: 3, bank: 6}}", "normalise"),
    "prototypes": ("{prototypes: {by: generator}}", "null"),
    "distance": ("distance", "normalise"),
    "gate": ("linear", "gate", "--model.features={layers: [1, -1], tokens: cls}"),
    "fused": ("fused", "null", "--model.backbones=[timm/test_resnet]"),
    "fused on Past": (
        *("fused", "null", "--model.backbones=[timm/test_resnet]"),
        "--experiment_info.strategy={fusion: {grid: 3}}",
    ),
}


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def argv_of(three: Path, folder: Path, head: str, transform: str = "null", *more: str) -> list[str]:
    named = (f"--model.head={head}", f"--model.transform={transform}", "--data.orientation=per_copy")
    return arguments(three, folder, *PROBE, *SIZE, *named, *more)


def fitted(folder: Path, argv: list[str]) -> Path:
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return folder / "experiments_data" / "experiment_x"


def weights(experiment: Path, window: int) -> dict[str, torch.Tensor]:
    path = next((experiment / f"window_{window}").rglob("*final.ckpt"))
    return torch.load(path, weights_only=True)["state_dict"]


def logits(experiment: Path, window: int) -> np.ndarray:
    return load_predictions(experiment / f"window_{window}" / "predictions_validate_all.npz").fused_logits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "cached"),
    [
        *((variant, True) for variant in VARIANTS),
        *(pytest.param(v, False, marks=[] if v in ("mlp", "knn") else [pytest.mark.campaign]) for v in VARIANTS),
    ],
)
def test_a_killed_run_ends_as_an_undisturbed_one(variant: str, cached: bool, three: Path, tmp_path: Path) -> None:
    more = ("--data.features=cache",) if cached else ()
    experiment = fitted(tmp_path / "undisturbed", argv_of(three, tmp_path / "undisturbed", *VARIANTS[variant], *more))
    first, last = weights(experiment, 0), weights(experiment, 2)
    assert any(not torch.equal(first[name], last[name]) for name in last if name.startswith("model.head."))
    folder = tmp_path / "killed"
    argv = argv_of(three, folder, *VARIANTS[variant], *more)
    for kill_at in (60, 100, 80):
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fitted(folder, argv)
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["knn", "distance", "mlp"])
def test_two_processes_take_the_same_rows(variant: str, three: Path, tmp_path: Path) -> None:
    head, transform, *_ = {**VARIANTS, "mlp": ("{mlp: {hidden: 8}}", "standardise")}[variant]
    alone = fitted(tmp_path / "alone", argv_of(three, tmp_path / "alone", head, transform))
    folder = tmp_path / "together"
    argv = argv_of(three, folder, head, transform, "--data.train_batch_size=2")
    codes = run_together(folder, argv)
    assert [code for code, _ in codes] == [0, 0], (folder / "log.txt").read_text()[-3000:]
    together = folder / "experiments_data" / "experiment_x"
    own, shared = weights(alone, 2), weights(together, 2)
    for name in own:
        torch.testing.assert_close(shared[name], own[name], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_exported_scores_alike(variant: str, three: Path, tmp_path: Path) -> None:
    experiment = fitted(tmp_path, argv_of(three, tmp_path, *VARIANTS[variant]))
    own = ab.Detector.load(experiment, device="cpu", trust_imports=True)
    folder = export(experiment, tmp_path / "detector", trust_imports=True, formats=["onnx", "program"])
    pictures = [np.random.default_rng(i).integers(0, 255, (170, 180, 3), np.uint8) for i in range(3)]
    for name in ("torch", "onnx", "program"):
        detector = Detector.load(folder, "cpu", runtime=runtime(name))
        np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5, err_msg=name)
    if variant in ("knn", "prototypes", "distance"):
        with pytest.raises(InputError, match="weights int8: a scorer's rows are no weights"):
            export(experiment, tmp_path / "int8", trust_imports=True, weights="int8", cases=three)


@pytest.mark.slow
def test_a_detector_that_names_its_backbone_has_its_transforms_and_head(three: Path, tmp_path: Path) -> None:
    file = tmp_path / "backbone.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), file)
    own_weights = ("--model.model_args.pretrained=true", f"--model.model_args.weights={file}")
    experiment = fitted(tmp_path, argv_of(three, tmp_path, "distance", "normalise", *own_weights))
    whole, small = tmp_path / "whole", tmp_path / "small"
    export(experiment, whole, trust_imports=True)
    export(experiment, small, trust_imports=True, backbone="reference")
    assert (small / "model.safetensors").stat().st_size < (whole / "model.safetensors").stat().st_size
    a, b = Detector.load(whole, "cpu"), Detector.load(small, "cpu", backbone_weights=file)
    assert weights_hash(a.network) == weights_hash(b.network)
    pictures = [np.random.default_rng(i).integers(0, 255, (170, 180, 3), np.uint8) for i in range(3)]
    np.testing.assert_array_equal(a.logits(pictures), b.logits(pictures))


@pytest.mark.slow
def test_a_further_head_is_what_a_run_of_its_own_is(three: Path, tmp_path: Path) -> None:
    variant = ("{mlp: {hidden: 8, dropout: 0.3}}", "[standardise, {simlbr: {share: 0.5}}]", "--data.features=cache")
    together = argv_of(three, tmp_path / "a", *variant, "--experiment_info.heads=[{lr: 0.3, name: high}]")
    fitted(tmp_path / "a", together)
    alone = argv_of(three, tmp_path / "b", *variant, "--model.optimizer.init_args.lr=0.3")
    fitted(tmp_path / "b", [*alone, "--experiment_info.experiment_id=x_high"])
    found, expected = outcome(tmp_path / "a", "x_high"), outcome(tmp_path / "b", "x_high")
    assert {name for name in found if name.endswith("final.ckpt")}
    assert found == expected


@pytest.mark.slow
def test_stored_features_give_the_scores_of_the_images(three: Path, tmp_path: Path) -> None:
    recipes = set()
    for head in ("knn", "distance", "linear"):
        found = []
        for features in ("none", "cache"):
            folder = tmp_path / head / features
            experiment = fitted(folder, argv_of(three, folder, head, "normalise", f"--data.features={features}"))
            found.append(logits(experiment, 2))
        np.testing.assert_allclose(*found, atol=2e-2)
        recipes.add(recipe_of((experiment / "config.yaml").read_text().replace(str(folder), "")))
    assert len(recipes) == 3, "runs of another head are no seeds of one recipe"


@pytest.mark.slow
def test_the_pages_own_transform_and_head_run(three: Path, tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert all(len(program.splitlines()) < 40 for program in programs)
    (tmp_path / "mine.py").write_text("\n".join(programs))
    imported = f"--import={tmp_path / 'mine.py'}"
    argv = argv_of(three, tmp_path, "{maxout: {pieces: 2}}", "[{power: {start: 0.7}}, normalise]", imported)
    experiment = fitted(tmp_path, argv)
    assert weights(experiment, 2)["model.transforms.0.exponents"] != torch.tensor([0.7])
    export(experiment, tmp_path / "detector", trust_imports=True)
    wrong = argv_of(three, tmp_path, "{maxout: {piece: 2}}", "null", imported)
    assert run(tmp_path, wrong)[0] == 2
    assert (
        "model.head: maxout takes pieces; unknown 'piece'; did you mean 'pieces'" in (tmp_path / "log.txt").read_text()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "more", "told"),
    [
        ("knn", ("--trainer.max_epochs=2",), "trainer.max_epochs is 2: a scorer takes the rows of a window once"),
        ("knn", ("--data.features=cache", "--experiment_info.heads=[{lr: 0.1}]"), "heads: a scorer has nothing that"),
        ("fused", ("--trainer.strategy=fsdp",), "model.head fused: expected features of two or more backbones"),
        ("distance", ("--trainer.strategy=fsdp",), "trainer.strategy fsdp: a head or transform that looks at training"),
        ("mlp", ("--model.model_name=tiny_tune",), "tiny_tune is a module of its own, not a backbone with a head"),
    ],
)
def test_runs_that_cannot_be(head: str, more: tuple[str, ...], told: str, three: Path, tmp_path: Path) -> None:
    assert run(tmp_path, argv_of(three, tmp_path, head, "null", *more))[0] == 2
    assert told in (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "experiments_data").exists()


def test_shares_of_backbones_are_those_of_the_best_past() -> None:
    head, _ = HeadChoice.of("fused").built((Part("a", 2), Part("b", 3)), 1)
    trained = {f"model.head.{name}": tensor for name, tensor in head.state_dict().items()}
    asked: list[float] = []

    def past(scores: Any, state: Any) -> float | None:
        first = state["model.head.weight"].softmax(dim=0)[0].item()
        asked.append(round(first, 4))
        return scores[round(4 * first)]

    for scores, best in (
        ([0.1, 0.2, 0.3, 0.9, 0.4], [0.75, 0.25]),
        ([0.9, 0.9, 0.1, 0.9, 0.1], [0.25, 0.75]),
        ([None] * 5, [0.5, 0.5]),
    ):
        made = Fusion(5).finish(FinishContext(3, trained, dict, dict, head, partial(past, scores)))
        assert made.told["shares"] == best
        assert made.goes_on, "training goes on from what was learned"
        changed = {name for name in trained if not torch.equal(made.weights[name], trained[name])}
        assert changed <= {"model.head.weight"}
        torch.testing.assert_close(made.weights["model.head.weight"].softmax(dim=0), torch.tensor(best))
    assert asked[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert made.told["past_auroc"].keys() == {"0 : 1", "0.25 : 0.75", "0.5 : 0.5", "0.75 : 0.25", "1 : 0"}
    with pytest.raises(InputError, match="fusion grid must be a whole number from 2 on, found 1"):
        Fusion(1)


@pytest.mark.parametrize(
    ("made", "strategy", "told"),
    [
        (("knn",), {"soup": {}}, "soup is about weights that train, and the head is a scorer"),
        (("mlp",), {"fusion": {}}, "fusion weights the backbones of model.head fused; give that"),
        (("mlp", "simlbr"), {"distillation": {}}, "distillation compares with an earlier detector, which sees no"),
    ],
)
def test_strategies_that_have_nothing_to_act_on(made: Any, strategy: Any, told: str) -> None:
    with pytest.raises(InputError, match=f"experiment_info.strategy: {told}"):
        check_strategies(Strategies.of(strategy), detector(*made), False, False)


def detector(head: Any = "linear", transform: Any = None, name: str = "small_cnn_probe", **more: Any) -> Any:
    torch.manual_seed(0)
    arguments = {"model_input_size": 16, "model_args": {"pretrained": False}, **more}
    return BaseDeepfakeDetectionModel(name, head=head, transform=transform, **arguments)


def test_a_scorer_trains_nothing() -> None:
    made = detector("prototypes")
    assert sum(parameter.numel() for parameter in made.parameters()) == 0
    optimizer = made.optimizer_factory(list(made.parameters()))
    made.idle.sum().backward()
    optimizer.step()


class OwnForward(BaseDeepfakeDetectionModel):
    def forward(self, images: Any) -> Any:
        return super().forward(images)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            lambda: detector("knn", name="small_cnn_tune"),
            "model.head knn: a scorer trains nothing, and the backbone of",
        ),
        (lambda: detector("knn", training_task="multiclass"), "use training_task: binary, found 37 outputs"),
        (lambda: detector("knn", objective="focal"), "model.objective: knn trains nothing, so it has no loss"),
        (lambda: detector("linear", "gate"), "model.transform gate: expected two or more parts of one width"),
        (lambda: detector("linear", "simlbr", objective="uniformity"), "it acts on the features before the head"),
        (
            lambda: OwnForward("small_cnn_probe", model_args={"pretrained": False}, transform="standardise"),
            "model.head, model.transform: OwnForward overrides forward",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(made: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        made()


def test_heads_go_with_tuning_and_classes() -> None:
    made = detector("mlp", "normalise", name="small_cnn_tune", finetune="bias", training_task="multiclass")
    assert made(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).shape == (2, 37)
    assert detector("prototypes", name="small_cnn_tune", finetune="probe").model.needs_rows
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    for head in ("mlp", "knn", "prototypes", "distance"):
        assert detector(head, "normalise").double().eval()(images).dtype == torch.float32, "as one linear layer"


def test_the_page_names_every_option() -> None:
    for name in BUILT_IN:
        assert f"| `{name}`" in PAGE, name
