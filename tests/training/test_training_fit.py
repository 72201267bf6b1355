"""Whole runs over two small windows, and what they leave."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import arguments, run

from aigenbench.data.plan import make_plan
from aigenbench.data.sources.mark import SYNTHETIC_MARK
from aigenbench.data.sources.opening import open_source
from aigenbench.evaluation.predictions.record import load_predictions

SUBCLASS = """
from torchvision.transforms import v2
from aigenbench.training import BaseDeepfakeDetectionModel


class Mine(BaseDeepfakeDetectionModel):
    def train_augmentation(self):
        return v2.RandomInvert(), self.training_crop

    def make_eval_crops(self, image):
        whole = super().make_eval_crops(image)[0]
        return [whole, whole[::-1].copy()]

    def evaluation_step(self, batch, batch_idx):
        return super().evaluation_step(batch, batch_idx)

    def scores_fusion(self, crop_scores):
        return crop_scores.max()

    def register_metrics(self):
        super().register_metrics()
        self.add_metric("mean_score", lambda labels, scores: scores.mean())
"""


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


def fit(folder: Path, dataset: Path, *more: str) -> Path:
    code, _ = run(folder, arguments(dataset, folder, *more))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return folder / "experiments_data" / "experiment_x"


def logged(window: Path) -> dict[str, float]:
    with (window / "metrics.csv").open() as lines:
        return {row["name"]: float(row["value"]) for row in csv.DictReader(lines)}


def weights(window: Path) -> dict[str, torch.Tensor]:
    return torch.load(window / "final.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def plain(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(tmp_path_factory.mktemp("plain"), two)


def test_windows_may_be_called_otherwise(two: Path, tmp_path: Path) -> None:
    folder = fit(tmp_path, two, "--experiment_info.window_name_prefix=w")
    assert (folder / "w1" / "predictions_validate_all.npz").is_file()
    assert "Next-period AUROC" in (tmp_path / "log.txt").read_text()


def test_made_up_data_are_recorded_as_such(plain: Path, two: Path, tmp_path: Path) -> None:
    assert "data" not in json.loads((plain / "window_0/run.json").read_text())
    marked = shutil.copytree(two, tmp_path / "marked")
    (marked / "train/dataset_info.json").write_text(json.dumps({"description": SYNTHETIC_MARK}))
    folder = fit(tmp_path, marked, "--experiment_info.sliding_windows_definition.current_window=0")
    assert json.loads((folder / "window_0/run.json").read_text())["data"] == "synthetic"


def test_every_validation_image_is_scored_once_in_order(plain: Path, two: Path) -> None:
    plan = make_plan(open_source(two), 1)
    for k in range(2):
        predictions = load_predictions(plain / f"window_{k}" / "predictions_validate_all.npz")
        assert predictions.fused_identifiers.tolist() == plan.evaluation.ids.tolist()
        assert predictions.pairing.tolist() == plan.evaluation.pairing.tolist()
        assert predictions.windows_timeline == plan.windows
        assert predictions.window == k
        record = json.loads((plain / f"window_{k}" / "run.json").read_text())
        assert record["protocol_fingerprint"] == predictions.protocol_fingerprint
        assert not list((plain / f"window_{k}").glob("epoch_*.ckpt"))
        assert (plain / f"window_{k}" / "config.yaml").is_file()
    assert logged(plain / "window_0")["validate/immediate_future/auroc"] >= 0
    assert "validate/immediate_future/auroc" not in logged(plain / "window_1")


def test_weights_carry_over_between_windows(plain: Path) -> None:
    a, b = weights(plain / "window_0"), weights(plain / "window_1")
    assert any(not torch.equal(a[name], b[name]) for name in a)
    # BatchNorm counts the batches of both windows: 8 images a window, 2 copies, parts of 4
    assert (int(a["model.1.num_batches_tracked"]), int(b["model.1.num_batches_tracked"])) == (4, 12)


def test_another_threshold_changes_neither_weights_nor_auroc(plain: Path, two: Path, tmp_path: Path) -> None:
    other = fit(tmp_path, two, "--model.classification_threshold=0.3")
    for k in range(2):
        a, b = weights(plain / f"window_{k}"), weights(other / f"window_{k}")
        assert all(torch.equal(a[name], b[name]) for name in a)
        one, two_ = logged(plain / f"window_{k}"), logged(other / f"window_{k}")
        assert one["validate/growing/auroc"] == two_["validate/growing/auroc"]
        assert one["validate/all/recall"] <= two_["validate/all/recall"]


def test_a_checkpoints_own_preprocessing_is_used(plain: Path, two: Path) -> None:
    folder = plain.parents[1]
    before = (plain / "window_1" / "predictions_validate_all.npz").read_bytes()
    other = "--model.preprocessing={mean: [0.1, 0.1, 0.1], std: [1, 1, 1]}"
    code, _ = run(folder, [*arguments(two, folder), other], command="validate")
    log = (folder / "log.txt").read_text()
    assert code == 0, log[-3000:]
    assert "trained with another preprocessing" in log
    assert log.count("reproduced, logits differ by at most 0") == 2
    assert (plain / "window_1" / "predictions_validate_all.npz").read_bytes() == before


def test_multiclass_evaluated_as_binary(two: Path, tmp_path: Path) -> None:
    experiment = fit(tmp_path, two, "--model.training_task=multiclass")
    first, last = (load_predictions(experiment / f"window_{k}" / "predictions_validate_all.npz") for k in (0, 1))
    assert first.fused_multiclass_predictions is not None
    assert last.fused_multiclass_predictions is not None
    names = first.generator_id_to_name
    unseen = names.index("Cascaded Refinement Networks")
    assert (first.fused_multiclass_predictions[:, unseen] == 0).all()
    assert (last.fused_multiclass_predictions[:, unseen] > 0).all()
    for predictions in (first, last):
        classes = predictions.fused_multiclass_predictions
        assert classes is not None
        assert np.allclose(classes.sum(axis=1), 1, atol=1e-5)
        assert np.allclose(classes[:, 1:].sum(axis=1), predictions.fused_scores, atol=1e-6)


def test_a_subclass_changes_augmentation_crops_fusion_and_metrics(two: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SUBCLASS)
    experiment = fit(tmp_path, two, "--import=mine.py", "--model.class_path=mine.Mine")
    predictions = load_predictions(experiment / "window_1" / "predictions_validate_all.npz")
    assert len(predictions.crop_scores) == 2 * len(predictions.fused_scores)
    assert np.allclose(predictions.fused_scores, predictions.crop_scores.reshape(-1, 2).max(axis=1), atol=1e-7)
    values = logged(experiment / "window_1")
    assert values["validate/all/mean_score"] == pytest.approx(predictions.fused_scores.mean(), abs=1e-6)


def test_the_whole_data_set_at_once(two: Path, tmp_path: Path) -> None:
    experiment = fit(
        tmp_path, two, "--experiment_info.sliding_windows_definition.benchmark_type=none", "--trainer.max_epochs=2"
    )
    assert [p.name for p in experiment.glob("window_*")] == ["window_0"]
    predictions = load_predictions(experiment / "window_0" / "predictions_validate_all.npz")
    assert predictions.windows_timeline == (("CycleGAN", "Cascaded Refinement Networks"),)
    assert len(list((experiment / "window_0").glob("predictions_validate_step_*.npz"))) == 2


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--trainer.fast_dev_run=true", "trainer.fast_dev_run = True is not supported"),
        ("--trainer.limit_val_batches=3", "use data.validation_subset_size"),
        ("--data.train_batch_size=400", "the largest overall batch that works is 16"),
        ("--dataset_path=nowhere", "no folder nowhere"),
        ("--experiment_info.sliding_windows_definition.current_window=5", "there is no window 5"),
        ("--model.base_weights=nowhere.ckpt", "no checkpoint nowhere.ckpt"),
    ],
)
def test_bad_input_is_one_line(two: Path, tmp_path: Path, argument: str, said: str) -> None:
    code, _ = run(tmp_path, arguments(two, tmp_path, argument))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log[-3000:]
    assert said in log
    assert "Traceback" not in log
