"""Objectives: losses and terms against plain definitions, what is refused, and runs that train with them."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_harness import Events, arguments, outcome, run

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.evaluation.report.seeds import recipe_of
from aigenbench.inference.detector import Detector
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.detector import objectives
from aigenbench.training.detector.objectives import Objective
from aigenbench.training.detector.tasks import BinaryTask, MulticlassTask
from aigenbench.training.detector.terms import Alignment, Auxiliary, Contrastive, Rows, Uniformity

TINY = ("--model.model_args.pretrained=false", "--model.model_input_size=160", "--data.augmentation_factor=1")
EVERYTHING = (
    "{label_smoothing: null, focal: null, auxiliary: null, contrastive: {by: generator}, alignment: null, "
    "uniformity: null}"
)
PAGE = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
batches = st.lists(st.integers(0, 3), min_size=1, max_size=9)


def rows_of(generators: list[int], seed: int = 0, seen: tuple[int, ...] = ()) -> Rows:
    """Float64 features, drawn anew."""
    made = torch.Generator().manual_seed(seed)
    ids = torch.tensor(generators)
    features = torch.randn(len(ids), 5, generator=made, dtype=torch.float64, requires_grad=True)
    outputs = torch.randn(len(ids), 1, generator=made, dtype=torch.float64)
    return Rows(outputs, features, (ids > 0).long(), ids, seen)


def directions(rows: Rows) -> np.ndarray:
    assert rows.features is not None
    features = rows.features.detach().numpy()
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def checked(term: torch.nn.Module, rows: Rows, expected: float) -> None:
    value = term(rows)
    assert value.item() == pytest.approx(expected, abs=2e-5)
    value.backward()
    assert rows.features is not None
    assert rows.features.grad is not None
    assert rows.features.grad.isfinite().all()


@settings(max_examples=30, deadline=None)
@given(batches, st.sampled_from(["label", "generator"]))
def test_contrastive(generators: list[int], by: str) -> None:
    rows = rows_of(generators)
    z, classes = directions(rows), (rows.labels if by == "label" else rows.generator_ids).tolist()
    each = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        alike = [j for j in others if classes[j] == classes[i]]
        total = sum(np.exp(z[i] @ z[j] / 0.2) for j in others)
        if alike:
            each.append(-np.mean([np.log(np.exp(z[i] @ z[j] / 0.2) / total) for j in alike]))
    checked(Contrastive(5, temperature=0.2, by=by), rows, np.mean(each) if each else 0.0)


@settings(max_examples=30, deadline=None)
@given(batches, st.sampled_from(["label", "generator"]))
def test_alignment_and_uniformity(generators: list[int], by: str) -> None:
    rows = rows_of(generators)
    z, classes = directions(rows), (rows.labels if by == "label" else rows.generator_ids).tolist()
    pairs = [(i, j) for i in range(len(z)) for j in range(i)]
    squared = {(i, j): np.sum((z[i] - z[j]) ** 2) for i, j in pairs}
    alike = [squared[i, j] for i, j in pairs if classes[i] == classes[j]]
    checked(Alignment(5, by=by), rows, np.mean(alike) if alike else 0.0)
    spread = np.log(np.mean([np.exp(-3 * d) for d in squared.values()])) if pairs else 0.0
    checked(Uniformity(5, t=3.0), rows_of(generators), spread)


@settings(max_examples=20, deadline=None)
@given(batches)
def test_the_auxiliary_head_tells_apart_what_was_seen(generators: list[int]) -> None:
    seen = (0, *{one for one in generators if one}, 6)
    rows, term = rows_of(generators, seen=seen), Auxiliary(5, n_classes=8)
    assert rows.features is not None
    weight, bias = (p.detach().numpy().astype(float) for p in (term.head.weight, term.head.bias))
    logits = (rows.features.detach().numpy() @ weight.T + bias)[:, sorted(set(seen))]
    places = [sorted(set(seen)).index(one) for one in generators]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    checked(term, rows, -np.mean(np.log(shares[np.arange(len(places)), places])))
    assert term.head.weight.grad is not None
    assert not term.head.weight.grad[[i for i in range(8) if i not in seen]].any(), "of classes to come"


@pytest.mark.parametrize("changes", [{"label_smoothing": {"epsilon": 0.3}}, {"focal": {"gamma": 0.5}}, None])
@pytest.mark.parametrize("multiclass", [False, True])
def test_changes_of_the_own_loss(changes: dict[str, Any] | None, multiclass: bool) -> None:
    changes = changes or {"label_smoothing": {"epsilon": 0.2}, "focal": {"gamma": 3}}
    ids = torch.tensor([0, 1, 3, 0])
    labels = (ids > 0).long()
    outputs = torch.randn(4, 5 if multiclass else 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    task = MulticlassTask(5, (1, 3)) if multiclass else BinaryTask()
    if multiclass:
        p, target, seen = np.exp(outputs.numpy()), ids.tolist(), [0, 1, 3]
        p /= p.sum(axis=1, keepdims=True)
    else:
        fake = 1 / (1 + np.exp(-outputs.numpy()[:, 0]))
        p, target, seen = np.stack([1 - fake, fake], axis=1), labels.tolist(), [0, 1]
    expected = []
    for row, true in zip(p, target, strict=True):
        epsilon = changes.get("label_smoothing", {}).get("epsilon", 0)
        aim = {k: (1 - epsilon) * (k == true) + epsilon / len(seen) for k in seen}
        power = changes.get("focal", {}).get("gamma", 0)
        expected.append((1 - row[true]) ** power * -sum(aim[k] * np.log(row[k]) for k in seen))
    found = Objective.of(changes).losses(task, outputs, labels, ids)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_a_focal_loss_of_certain_rows_has_finite_slopes() -> None:
    outputs = torch.tensor([[200.0], [-200.0], [200.0]], requires_grad=True)
    labels = torch.tensor([1, 0, 0])
    Objective.of({"focal": {"gamma": 0.5}}).losses(BinaryTask(), outputs, labels, labels).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert outputs.grad[2] > 0.9


def detector(objective: Any, name: str = "small_cnn_tune", **more: Any) -> BaseDeepfakeDetectionModel:
    torch.manual_seed(0)
    arguments = {"model_input_size": 16, "model_args": {"pretrained": False}, **more}
    return BaseDeepfakeDetectionModel(name, objective=objective, **arguments)


def test_by_default_nothing_is_added_or_drawn() -> None:
    plain, more = detector("cross_entropy").state_dict(), detector({"auxiliary": None}).state_dict()
    assert {key for key in more if key not in plain} == {
        f"objective_terms.auxiliary.head.{name}" for name in ("weight", "bias")
    }
    assert all(torch.equal(more[key], plain[key]) for key in plain), "the model starts as without"


class OwnStep(BaseDeepfakeDetectionModel):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    ("objective", "more", "told"),
    [
        ("focall", {}, "unknown 'focall'; .*; did you mean 'focal'"),
        ({"focal": {"gama": 2}}, {}, "focal takes gamma; unknown 'gama'; did you mean 'gamma'"),
        ({"cross_entropy": {"a": 1}}, {}, "cross_entropy takes no arguments"),
        ({"focal": 2}, {}, "focal takes gamma; 2"),
        ({}, {}, "expected one of cross_entropy, "),
        ({"focal": {"gamma": -1}}, {}, "focal gamma must be a number above 0"),
        ({"label_smoothing": {"epsilon": 1}}, {}, "epsilon must be below 1"),
        ({"alignment": {"weight": 0}}, {}, "alignment weight must be a number above 0"),
        ({"contrastive": {"temperature": "hot"}}, {}, "contrastive temperature must be a number above 0, found 'hot'"),
        ({"contrastive": {"by": "lable"}}, {}, "contrastive by: expected label or generator, found 'lable'; did you"),
        ({"auxiliary": {"n_classes": 1}}, {}, "auxiliary n_classes must be a whole number from 2, found 1"),
        ("auxiliary", {"training_task": "multiclass"}, "auxiliary: a multiclass detector has these classes"),
        ("uniformity", {"name": "small_cnn_probe"}, "uniformity: it acts on the features .* use a _tune form"),
        ("contrastive", {"finetune": "probe"}, "contrastive: it acts on the features before the head"),
    ],
)
def test_what_cannot_be_is_refused_by_name(objective: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"model\.objective.*{told}"):
        detector(objective, **more)


def test_hooks_that_would_leave_it_without_effect_are_refused() -> None:
    arguments = {"model_input_size": 16, "model_args": {"pretrained": False}}
    with pytest.raises(InputError, match=r"model\.objective: OwnStep overrides training_step"):
        OwnStep("small_cnn_tune", objective="focal", **arguments)
    OwnStep("small_cnn_tune", **arguments)


def test_terms_have_names_of_their_own() -> None:
    with pytest.raises(InputError, match="register_term: 'focal' is one of"):
        objectives.register_term("focal", Alignment)


def test_more_generators_than_the_auxiliary_head_has_classes() -> None:
    with pytest.raises(
        InputError, match=r"auxiliary has 3 classes, .* hold generator 5; set its n_classes to at least 6"
    ):
        Auxiliary(5, n_classes=3)(rows_of([0, 1], seen=(0, 1, 5)))


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def argv_of(three: Path, folder: Path, objective: str, *more: str) -> list[str]:
    named = ("--model.model_name=timm/test_vit_tune", "--model.finetune=bias", f"--model.objective={objective}")
    return arguments(three, folder, *TINY, *named, *more)


def fitted(folder: Path, argv: list[str]) -> Path:
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return folder / "experiments_data" / "experiment_x"


def weights(experiment: Path, window: int) -> dict[str, torch.Tensor]:
    path = next((experiment / f"window_{window}").rglob("*final.ckpt"))
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(three: Path, tmp_path: Path) -> None:
    experiment = fitted(tmp_path / "undisturbed", argv_of(three, tmp_path / "undisturbed", EVERYTHING))
    name = "objective_terms.auxiliary.head.weight"
    assert not torch.equal(weights(experiment, 0)[name], weights(experiment, 2)[name]), "windows train on"
    folder = tmp_path / "killed"
    argv = argv_of(three, folder, EVERYTHING)
    for kill_at in (60, 100, 80):
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fitted(folder, argv)
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


def test_what_is_exported_has_no_terms_and_another_objective_goes_on_from_it(three: Path, tmp_path: Path) -> None:
    experiment = fitted(tmp_path, argv_of(three, tmp_path, "{auxiliary: {weight: 0.5}}"))
    own = ab.Detector.load(experiment, device="cpu", trust_imports=True)
    detector = Detector.load(export(experiment, tmp_path / "detector", trust_imports=True), "cpu")
    pictures = [np.random.default_rng(i).integers(0, 255, (170, 180, 3), np.uint8) for i in range(3)]
    np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5)
    assert b"objective_terms" not in b"".join(p.read_bytes() for p in (tmp_path / "detector").glob("*.safetensors"))
    start = next((experiment / "window_0").rglob("*final.ckpt"))
    for number, objective in enumerate(("focal", "auxiliary")):
        folder = tmp_path / str(number)
        first = "--experiment_info.sliding_windows_definition.current_window=0"
        fitted(folder, argv_of(three, folder, objective, f"--model.base_weights={start}", first))


def test_the_own_loss_changes_on_stored_features(three: Path, tmp_path: Path) -> None:
    probe = ("--model.model_name=timm/test_vit_probe", "--model.finetune=all", "--data.features=cache")
    heads, recipes = [], set()
    for objective in ("cross_entropy", "focal"):
        folder = tmp_path / objective
        experiment = fitted(folder, argv_of(three, folder, objective, *probe))
        heads.append(weights(experiment, 2)["model.head.weight"])
        recipes.add(recipe_of((experiment / "config.yaml").read_text().replace(str(folder), "")))
    assert not torch.equal(*heads)
    assert len(recipes) == 2, "runs of another objective are no seeds of one recipe"


def test_a_users_own_module_has_no_features(three: Path, tmp_path: Path) -> None:
    argv = argv_of(three, tmp_path, "alignment", "--model.model_name=tiny_tune", "--model.finetune=all")
    assert run(tmp_path, argv)[0] == 2
    assert "model.objective alignment: tiny_tune is a module of its own" in (tmp_path / "log.txt").read_text()


def test_the_page_names_every_objective() -> None:
    for name in objectives._BUILT_IN:
        assert f"| `{name}" in PAGE or f"| `{{{name}" in PAGE, name


def test_the_pages_own_term_runs(three: Path, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(program.splitlines()) < 40
    (tmp_path / "my_terms.py").write_text(program)
    argv = argv_of(three, tmp_path, "{margin: {weight: 0.3, margin: 2.0}}", f"--import={tmp_path / 'my_terms.py'}")
    logged = "--trainer.logger={class_path: CSVLogger, init_args: {save_dir: logs}}"
    fitted(tmp_path, [*(one for one in argv if one != "--trainer.logger=false"), logged])
    logs = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "train/margin" in logs
    wrong = argv_of(three, tmp_path, "{margin: {margn: 2.0}}", f"--import={tmp_path / 'my_terms.py'}")
    assert run(tmp_path, wrong)[0] == 2
    assert "margin takes weight, margin; unknown 'margn'" in (tmp_path / "log.txt").read_text()
