"""Exporting: what is exported computes what was evaluated, and what it cannot carry is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from inference_harness import Trained

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.data.sources.opening import open_source
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.inference.artefact import read_info
from aigenbench.inference.card import model_card
from aigenbench.inference.detector import Detector
from aigenbench.models import ModelFactoryRegistry
from aigenbench.models.probe import weights_hash

OF_160 = {"model.model_input_size": 160}
AS_THEY_ARE = {"data.class_path": "inference_harness.AsTheyAre"}


def evaluated_files(dataset: Path, experiment: ab.Experiment) -> tuple[list[bytes], np.ndarray]:
    """The evaluated pictures, and the logits they were given."""
    predictions = experiment.predictions(0)
    store = open_source(dataset).table("validation").store
    assert predictions.fused_logits is not None
    return [bytes(store.read(int(row))) for row in predictions.fused_identifiers], predictions.fused_logits


@pytest.mark.parametrize(
    ("model", "size", "strategy"),
    [
        ("small_cnn_tune", 32, "resize"),
        ("small_cnn_probe", 32, "multicrop"),
        ("timm/test_vit_tune", 160, "resize"),
        ("timm/test_vit_probe", 160, "crop"),
        ("timm/test_resnet_tune", 32, "multicrop"),
        ("timm/test_convnext_probe", 32, "crop"),
        ("small_cnn_probe", 32, "mixed"),
        ("small_cnn_tune", 16, "tiles"),
    ],
)
def test_scores_are_those_of_validate(
    model: str, size: int, strategy: str, trained: Trained, small_dataset: Path, tmp_path: Path
) -> None:
    changes = {
        "model.model_name": model,
        "model.model_input_size": size,
        "model.evaluation_cropping_strategy": strategy,
        **({"model.fusion": "learned"} if strategy == "tiles" else {}),
    }
    experiment = trained(AS_THEY_ARE | changes)
    files, expected = evaluated_files(small_dataset, experiment)
    detector = ab.Detector.load(export(experiment, tmp_path / "detector"), device="cpu")
    assert isinstance(detector, Detector)
    assert np.abs(detector.logits(files) - expected).max() < 1e-5
    one = detector.crops(files[0])
    assert one.shape[0] == {"multicrop": 5, "mixed": 6, "tiles": 5}.get(strategy, 1)
    assert one.shape[1:] == (3, size, size)
    answer = next(detector.answers(files[:1]))
    np.testing.assert_allclose(detector.crop_logits(one), answer.crop_logits, atol=1e-6)


def test_a_form_is_run_by_its_name(trained: Trained, small_dataset: Path, tmp_path: Path) -> None:
    experiment = trained(AS_THEY_ARE)
    folder = export(experiment, tmp_path / "detector", formats=("onnx",))
    files, expected = evaluated_files(small_dataset, experiment)
    detector = ab.Detector.load(folder, device="cpu", runtime="onnx")
    assert np.abs(detector.logits(files) - expected).max() < 1e-5
    for place, name, what in (
        (folder, "program", "no model.pt2"),
        (folder, "onxx", "did you mean 'onnx'"),
        (experiment, "onnx", "export it first"),
    ):
        with pytest.raises(InputError, match=what):
            ab.Detector.load(place, device="cpu", runtime=name)


def test_a_detector_of_classes_gives_the_probability_of_all_it_has_seen(
    trained: Trained, small_dataset: Path, tmp_path: Path
) -> None:
    experiment = trained(AS_THEY_ARE | {"model.training_task": "multiclass"})
    files, expected = evaluated_files(small_dataset, experiment)
    detector = Detector.load(export(experiment, tmp_path / "detector"), "cpu")
    assert len(detector.info.model["seen"]) == 3
    assert np.abs(detector.logits(files) - expected).max() < 1e-5


def test_what_was_evaluated_in_a_shorter_precision_is_exported_in_float32(trained: Trained, tmp_path: Path) -> None:
    experiment = trained({"trainer.precision": "bf16-mixed", "model.model_name": "timm/test_vit_tune"} | OF_160)
    folder = export(experiment, tmp_path / "detector")
    assert main(["detector", "check", str(folder), "--device", "cpu"]) == 0


def test_a_further_head_is_an_experiment_like_any_other(trained: Trained, small_dataset: Path, tmp_path: Path) -> None:
    changes = {
        "model.model_name": "timm/test_resnet_probe",
        "experiment_info.heads": [{"name": "other", "lr": 0.5}],
        "data.features": "cache",
    }
    experiment = trained(AS_THEY_ARE | changes)
    other = ab.Experiment(next(experiment.folder.parent.glob("*other*")))
    files, expected = evaluated_files(small_dataset, other)
    detector = Detector.load(export(other, tmp_path / "detector"), "cpu")
    # its evaluation read features that were stored in float16
    assert np.abs(detector.logits(files) - expected).max() < 1e-2
    assert np.abs(detector.logits(files) - evaluated_files(small_dataset, experiment)[1]).max() > 2e-2


def test_the_folder_says_what_the_detector_is(exported: Path, experiment: ab.Experiment) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md",
        "detector.json",
        "model.safetensors",
        "selftest.safetensors",
    ]
    info = read_info(exported)
    assert (info.name, info.window, info.licence) == ("x_window_0", 0, "mit")
    assert info.generators == experiment.predictions(0).windows_timeline[0]
    assert str(info.knows_until) == "2017-07-28"
    assert [point.fpr for point in info.points] == [0.01, 0.05]
    assert all(point.period == "Next" for point in info.points)
    assert info.scores["Next"]["value"] == pytest.approx(experiment.scores().next["auroc"][0])
    assert info.model["arguments"] == {}
    assert info.stands_on.startswith("partial: 6 of 36 generators, 12 fakes. Not the benchmark's evaluation set")
    assert f"Evaluated on: {info.stands_on}\n" in (exported / "README.md").read_text()


@pytest.mark.parametrize("images", ["synthetic: stand-ins for 36 of 36 generators, 576 fakes. Rendered pictures.", ""])
def test_scores_on_other_images_are_not_the_benchmarks(exported: Path, images: str) -> None:
    card = model_card(replace(read_info(exported), stands_on=images))
    dataset = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"][0]["dataset"]
    assert dataset["type"] == "other"
    assert (images.split(". ")[0] or "nobody says which") in dataset["name"]


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
def test_others_may_read_it_where_the_umask_lets_them(exported: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in exported.iterdir()} == {0o666 & ~mask}


def test_the_hub_reads_the_model_card(exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.pipeline_tag) == ("mit", "image-classification")
    results = card.data.eval_results
    assert results is not None
    info = read_info(exported)
    assert [one.metric_value for one in results] == [score["value"] for score in info.scores.values()]
    assert results[1].metric_name is not None
    assert results[1].metric_name.startswith("AUROC, Next (95 %: 0.")
    assert (results[1].dataset_type, "partial: 6 of 36 generators, 12 fakes" in results[1].dataset_name) == (
        "ai-genbench",
        True,
    )
    rate = info.points[0].measured.reals_called_generated
    assert f"| real images called generated | {100 * rate.value:.1f} %" in card.content


def test_the_command_exports_and_checks(
    experiment: ab.Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "detector"
    assert main(["export", str(experiment.folder), "-o", str(folder), "--name", "mine", "--license", "mit"]) == 0
    assert read_info(folder).name == "mine"
    assert "no source states the licence" not in capsys.readouterr().err
    assert main(["detector", "check", str(folder), "--device", "cpu"]) == 0
    assert "self-test passed on cpu: largest difference 0" in capsys.readouterr().out
    assert main(["export", str(experiment.folder), "-o", str(tmp_path / "unlicensed")]) == 0
    assert "no source states the licence of the weights; --license NAME" in capsys.readouterr().err
    assert main(["export", str(experiment.folder), "-o", str(folder)]) == 2
    assert "is there already; name another folder" in capsys.readouterr().err
    assert main(["export", str(experiment.folder), "-o", str(tmp_path / "b"), "--window", "7"]) == 2
    assert "no finished window 7 (finished: 0)" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_window_that_was_not_evaluated_has_no_thresholds(experiment: ab.Experiment, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "experiment_x"
    shutil.copytree(experiment.folder, copy)
    (copy / "window_0" / "predictions_validate_all.npz").unlink()
    with pytest.raises(ab.InputError, match="evaluate the window first, with aigenbench validate"):
        export(copy, tmp_path / "detector")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["experiment_x"]


class Fusing(ab.BaseDeepfakeDetectionModel):
    """Takes the largest score of an image's crops."""

    def scores_fusion(self, crop_scores: torch.Tensor) -> torch.Tensor:
        return crop_scores.max(dim=0).values


class Brightened(ab.BaseDeepfakeDetectionModel):
    """Changes what the model is given where no hook tells."""

    def use_preprocessing(self, preprocessing: Any) -> None:
        super().use_preprocessing(preprocessing)
        self.get_buffer("pixel_mean").add_(0.2)


class Slower(ab.BaseDeepfakeDetectionModel):
    """Trains in a way of its own, which an exported detector need not know."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def test_what_an_export_would_not_carry_is_refused_by_name(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ab.InputError, match="Fusing overrides scores_fusion, and an export carries the model alone"):
        export(trained(detector=Fusing), tmp_path / "detector")
    with pytest.raises(
        ab.InputError, match=r"other logits \(by 0\..*Brightened: its own code changes what is computed"
    ):
        export(trained(detector=Brightened), tmp_path / "detector")
    assert not list(tmp_path.iterdir()), "nothing is left of it"
    assert export(trained(detector=Slower), tmp_path / "detector")


def factory(model_name: str, pretrained: bool = True, num_classes: int = 1, width: int = 4) -> Any:
    if model_name != "own_tune":
        return None
    layers = torch.nn.Conv2d(3, width, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, num_classes))


@pytest.mark.parametrize("name", ["mine/own_tune", "own_tune"])
def test_a_users_own_model_is_built_again_by_its_factory(name: str, trained: Trained, tmp_path: Path) -> None:
    with ModelFactoryRegistry().isolated():
        ModelFactoryRegistry().register_model_factory("mine", factory)
        changes = {"model.model_name": name, "model.model_args": {"pretrained": False, "width": 6}}
        folder = export(trained(changes), tmp_path / "detector")
        assert read_info(folder).model["arguments"] == {"width": 6}
        assert Detector.load(folder, "cpu").network.model[0].out_channels == 6
    with pytest.raises(ab.InputError, match=r"no model '(mine/)?own_tune'"):
        Detector.load(folder, "cpu")


def test_a_published_backbone_can_be_left_out(trained: Trained, tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    changes = {"model.model_name": "timm/test_resnet_probe", "model.model_args": {"weights": str(weights)}}
    experiment = trained(changes)
    whole, small = tmp_path / "whole", tmp_path / "small"
    export(experiment, whole)
    export(experiment, small, backbone="reference")
    assert (small / "model.safetensors").stat().st_size < (whole / "model.safetensors").stat().st_size / 10
    a, b = Detector.load(whole, "cpu"), Detector.load(small, "cpu", backbone_weights=weights)
    assert weights_hash(a.network) == weights_hash(b.network)
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    with pytest.raises(ab.InputError, match="the detector stands on timm/test_resnet with weights"):
        Detector.load(small, "cpu", backbone_weights=weights)
    with pytest.raises(ab.InputError, match="holds its backbone's weights; leave the file"):
        Detector.load(whole, "cpu", backbone_weights=weights)


def test_only_a_probes_backbone_can_be_left_out(experiment: ab.Experiment, tmp_path: Path) -> None:
    with pytest.raises(ab.InputError, match="small_cnn_tune is no probe"):
        export(experiment, tmp_path / "detector", backbone="reference")
    with pytest.raises(ab.InputError, match="did you mean 'reference'"):
        export(experiment, tmp_path / "detector", backbone="referenz")
