"""Recipes, views and fusion in a run: what is learned on Past alone, and then used by all that scores."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training_tasks import Bare, plan
from training_harness import Events, arguments, outcome, run

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.fusion import Fusion
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions
from aigenbench.inference.detector import Detector
from aigenbench.protocol.pairing import EvaluationSet
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.detector.tasks import BinaryTask
from aigenbench.training.window.collect import make_predictions

TILES = "{tiles: {n: 3, choose: texture}}"
LEARNED = "{learned: {inputs: [mean, max, thumbnail]}}"
RECIPE = "steps:\n  - patch_shuffle: {probability: 0.5, sides: 8}\n  - jpeg: {qualities: [60, 90]}\n"


def predictions(logits: np.ndarray, generators: list[int], fusion: str = "learned", window: int = 0) -> Predictions:
    """Of images of these generators and as many paired reals, from their crops' logits (2n, crops)."""
    n, crops = len(generators), logits.shape[1]
    of = np.array([*generators, *[0] * n])
    ids = np.arange(2 * n) + 5
    chosen = EvaluationSet(ids, of, np.array([*[-1] * n, *generators]))
    rows = {
        "logits": logits.reshape(-1).astype(np.float32),
        "labels": np.repeat((of > 0).astype(np.int64), crops),
        "generator_ids": np.repeat(of, crops),
        "identifiers": np.repeat(ids, crops),
        "losses": np.zeros(2 * n * crops, np.float32),
    }
    detector = Bare(BinaryTask())
    detector.fusion = Fusion.of(fusion)
    return make_predictions(detector, rows, chosen, plan(), window, "f" * 16)


def drawn(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((2 * n, 3)) + np.repeat([1.0, 0.0], n)[:, None]


def past_and_next() -> tuple[int, int]:
    """A generator of the first window, one of the second."""
    names = plan().windows
    ids = plan().timeline.ids
    return ids[names[0][0]], ids[names[1][0]]


def test_the_rule_is_fitted_on_past_alone(tmp_path: Path) -> None:
    past, coming = past_and_next()
    generators = [past] * 40 + [coming] * 40
    logits = drawn(80)
    made = predictions(logits, generators)
    rule = made.rule_of_fusion()
    of_next = np.array(generators * 2) == coming
    others = logits.copy()
    others[of_next] = 7 - 3 * others[of_next]
    assert predictions(others, generators).rule_of_fusion() == rule
    assert predictions(logits, generators, window=1).rule_of_fusion() != rule
    changed = logits.copy()
    changed[~of_next] *= 2
    assert predictions(changed, generators).rule_of_fusion() != rule
    # by hand
    p = 1 / (1 + np.exp(-made.crop_logits.astype(float).reshape(-1, 3)))
    looked_at = np.column_stack([np.log(p.mean(1) / (1 - p.mean(1))), logits.max(1)])
    np.testing.assert_allclose(made.fused_logits, looked_at @ rule.weights + rule.offset, atol=1e-5)
    save_predictions(tmp_path / "p.npz", made)
    read = load_predictions(tmp_path / "p.npz")
    assert read.rule_of_fusion() == rule
    (note,) = ExperimentPredictions("e", "validate", {0: read}, 1).about
    assert "fitted on the Past period" in note


def test_without_past_it_is_told() -> None:
    _, coming = past_and_next()
    with pytest.raises(InputError, match="no Past period to fit the rule on; use mean or max"):
        predictions(drawn(4), [coming] * 4)


def test_max_and_mean(tmp_path: Path) -> None:
    past, _ = past_and_next()
    logits = drawn(4)
    largest, mean = (predictions(logits, [past] * 4, kind) for kind in ("max", "mean"))
    np.testing.assert_array_equal(largest.fused_logits, logits.max(1).astype(np.float32))
    assert (largest.fusion, mean.fusion) == ('"max"', None)
    broken = replace(mean, fusion='{"kind": "learned", "inputs": ["mean"], "weights": [], "offset": 0}')
    with pytest.raises(InputError, match=r"fusion is no rule of fusion: a learned rule .* with 0 weights for mean"):
        save_predictions(tmp_path / "p.npz", broken)


def test_hooks_beside_the_options_are_refused() -> None:
    class Own(BaseDeepfakeDetectionModel):
        def scores_fusion(self, crop_scores: torch.Tensor) -> torch.Tensor:
            return crop_scores.min()

    class OwnCrops(BaseDeepfakeDetectionModel):
        def make_eval_crops(self, image):
            return [image, image]

    class OwnRecipe(BaseDeepfakeDetectionModel):
        def train_augmentation(self):
            return None, self.training_crop

    given = {"model_name": "small_cnn_tune", "model_args": {"pretrained": False}, "model_input_size": 16}
    with pytest.raises(InputError, match=r"model\.fusion max: Own overrides scores_fusion"):
        Own(**given, fusion="max", evaluation_cropping_strategy="mixed")
    with pytest.raises(InputError, match=r"model\.recipe: OwnRecipe overrides train_augmentation"):
        OwnRecipe(**given, recipe="baseline")
    assert OwnCrops(**given, fusion="max").fusion.kind == "max"


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def command(dataset: Path, folder: Path, *more: str) -> list[str]:
    argv = arguments(dataset, folder, "--model.recipe=mine.yaml", "--data.augmentation_factor=1", *more)
    (folder / "mine.yaml").write_text(RECIPE)
    return [*argv, f"--model.evaluation_cropping_strategy={TILES}", f"--model.fusion={LEARNED}"]


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()[-3000:]


@pytest.fixture(scope="module")
def undisturbed(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder, command(three, folder))[0] == 0, log(folder)
    return folder


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(undisturbed: Path, three: Path, tmp_path: Path) -> None:
    argv = command(three, tmp_path)
    for kill_at in (60, 100, 80):
        assert run(tmp_path, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    # its content is in the experiment's configuration
    assert "patch_shuffle" in (tmp_path / "experiments_data" / "experiment_x" / "config.yaml").read_text()
    assert run(tmp_path, argv)[0] == 0, log(tmp_path)
    assert outcome(tmp_path) == outcome(undisturbed)


@pytest.mark.slow
def test_stored_views_change_nothing(undisturbed: Path, three: Path, tmp_path: Path) -> None:
    assert run(tmp_path, command(three, tmp_path, "--data.cache=evaluation"))[0] == 0, log(tmp_path)
    assert outcome(tmp_path) == outcome(undisturbed)


@pytest.mark.slow
def test_what_scores_uses_the_rule_of_its_window(undisturbed: Path, tmp_path: Path) -> None:
    experiment = undisturbed / "experiments_data" / "experiment_x"
    rules = [
        load_predictions(experiment / f"window_{k}" / "predictions_validate_all.npz").rule_of_fusion() for k in range(3)
    ]
    assert len(set(rules)) == 3
    assert all(rule.inputs == ("mean", "max", "thumbnail") for rule in rules)
    pictures = [np.random.default_rng(i).integers(0, 255, (70 + 9 * i, 90, 3), np.uint8) for i in range(4)]
    for window, rule in enumerate(rules):
        own = ab.Detector.load(experiment, window, "cpu", trust_imports=True)
        assert own.module.fusion == rule
    detector = Detector.load(export(experiment, tmp_path / "detector", trust_imports=True), "cpu")
    assert detector.info.fusion == rules[2]
    np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5)
    assert [len(answer.crop_logits) for answer in detector.answers(pictures)] == [4] * 4
    alone = tmp_path / "final.ckpt"
    alone.write_bytes((experiment / "window_2" / "final.ckpt").read_bytes())
    with pytest.raises(InputError, match=r"model\.fusion learned: the rule of .*final.ckpt lies with the results"):
        ab.Detector.load(alone, device="cpu", trust_imports=True)


@pytest.mark.slow
def test_perturbed_images_are_fused_by_the_rule_of_the_clean_ones(undisturbed: Path) -> None:
    argv = ["experiments_data/experiment_x", "--windows", "0", "--families", "double_jpeg"]
    assert run(undisturbed, argv, command="robustness")[0] == 0, log(undisturbed)
    experiment = undisturbed / "experiments_data" / "experiment_x"
    clean = load_predictions(experiment / "window_0" / "predictions_validate_all.npz")
    perturbed = [load_predictions(p) for p in experiment.glob("robustness/*/window_0/predictions_validate_all.npz")]
    assert len(perturbed) == 2
    assert {p.fusion for p in perturbed} == {clean.fusion}


@pytest.mark.slow
def test_an_evaluation_with_other_views_is_kept_apart(undisturbed: Path, three: Path) -> None:
    argv = [one for one in command(three, undisturbed) if "cropping" not in one and "fusion" not in one]
    for views in ("mixed", "{tiles: {n: 3, choose: grid}}"):
        more = [f"--model.evaluation_cropping_strategy={views}", f"--model.fusion={LEARNED}"]
        assert run(undisturbed, [*argv, *more], command="validate")[0] == 0, log(undisturbed)
    found = sorted((undisturbed / "experiments_data" / "experiment_x" / "evaluations").glob("*/window_2/*.npz"))
    assert len(found) == 2
    assert len({load_predictions(path).fused_logits.tobytes() for path in found}) == 2
    record = json.loads(found[0].with_suffix(".json").read_text())
    assert record["own"] is True or record["own"] is False
