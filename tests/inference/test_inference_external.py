"""Detectors of any kind, opened and asked for scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from aigenbench.errors import InputError
from aigenbench.inference.detector import Detector
from aigenbench.inference.external.labels import fake_columns
from aigenbench.inference.external.opening import Reading, open_scorer
from aigenbench.inference.external.scorer import UnscoredError, fake_logits

timm = pytest.importorskip("timm")
PICTURES = [np.random.default_rng(i).integers(0, 256, (40 + i, 48, 3), dtype=np.uint8) for i in range(3)]


def logits(detector: Any, **reading: Any) -> np.ndarray:
    scorer = open_scorer(detector, Reading(**reading))
    scored = scorer.score(scorer.prepare(PICTURES))
    assert len(scored) == 3
    return scored.logits


# checkpoints of transformers


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("checkpoints") / "hf"
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label={0: "artificial", 1: "human", 2: "AI-generated"},
        label2id={"artificial": 0, "human": 1, "AI-generated": 2},
    )
    torch.manual_seed(3)
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 24, "width": 20}).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "hf"))


def changed(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_a_checkpoint_of_transformers_with_its_own_processor(checkpoint: Path) -> None:
    import transformers

    network = transformers.AutoModelForImageClassification.from_pretrained(checkpoint).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(checkpoint)
    with torch.no_grad():
        batch = processor(images=[Image.fromarray(p) for p in PICTURES], return_tensors="pt")
        assert batch["pixel_values"].shape == (3, 3, 24, 20)
        p = network(**batch).logits.double().softmax(1).numpy()
    expected = np.log(p[:, 0] + p[:, 2]) - np.log(p[:, 1])
    assert logits(checkpoint) == pytest.approx(expected, abs=1e-5)
    alone = np.log(p[:, 2]) - np.log(p[:, 0] + p[:, 1])
    assert logits(checkpoint, fake_labels=("AI-generated",)) == pytest.approx(alone, abs=1e-5)


def test_weights_that_would_be_random_are_refused(copy: Path) -> None:
    path = copy / "model.safetensors"
    state = load_file(path)
    save_file({k: v for k, v in state.items() if not k.startswith("classifier")}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"2 weights .* are not in its files \(classifier.*would be random"):
        open_scorer(copy, Reading())


def test_a_checkpoint_that_would_run_code_is_refused(copy: Path) -> None:
    changed(copy, auto_map={"AutoModelForImageClassification": "modeling.Mine"})
    with pytest.raises(InputError, match="names code of its own"):
        open_scorer(copy, Reading())
    changed(copy, auto_map=None)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no weights \(\*.safetensors\); pytorch_model.bin is a pickle"):
        open_scorer(copy, Reading())


def test_half_a_checkpoint_says_what_is_missing(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"no preprocessor_config\.json: how its images are prepared"):
        open_scorer(copy, Reading())
    (copy / "model.safetensors").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    )
    with pytest.raises(InputError, match="is a Git LFS pointer"):
        open_scorer(copy, Reading())


# models of timm


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(4)
    network = timm.create_model("test_resnet", num_classes=2).eval()
    path = tmp_path_factory.mktemp("timm") / "net.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def expected_of_timm(network: torch.nn.Module, **changes: Any) -> np.ndarray:
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config(pretrained_cfg={**network.pretrained_cfg, **changes})
    )
    with torch.no_grad():
        outputs = network(torch.stack([transform(Image.fromarray(p)) for p in PICTURES])).double()
    return (outputs[:, 0] - outputs[:, 1]).numpy()


def test_a_model_of_timm_by_name_and_weights(network: tuple[torch.nn.Module, Path], tmp_path: Path) -> None:
    expected = expected_of_timm(network[0])
    assert logits("timm/test_resnet", weights=network[1], fake_labels=("0",)) == pytest.approx(expected, abs=1e-5)
    # as training scripts save them
    torch.save({"state_dict": {f"module.{k}": v for k, v in network[0].state_dict().items()}}, tmp_path / "net.pth")
    found = logits("timm/test_resnet", weights=tmp_path / "net.pth", fake_labels=("0",))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_folder_of_timm_with_its_own_preprocessing_and_labels(
    network: tuple[torch.nn.Module, Path], tmp_path: Path
) -> None:
    changes = {"mean": [0.1, 0.2, 0.3], "input_size": [3, 96, 96], "interpolation": "nearest"}
    config = {
        "architecture": "test_resnet",
        "num_classes": 2,
        "pretrained_cfg": changes,
        "label_names": ["fake", "real"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copy(network[1], tmp_path / "model.safetensors")
    assert logits(tmp_path) == pytest.approx(expected_of_timm(network[0], **changes), abs=1e-5)
    assert not np.allclose(expected_of_timm(network[0], **changes), expected_of_timm(network[0]))


def test_weights_that_are_not_of_the_model_are_refused(network: tuple[torch.nn.Module, Path], tmp_path: Path) -> None:
    state = dict(network[0].state_dict())
    cases = [
        ({k: v for k, v in state.items() if k != "bn1.weight"}, "missing bn1.weight"),
        (state | {"other": torch.zeros(1)}, "unknown other"),
        ({k: v for k, v in state.items() if not k.startswith("fc.")}, "has no classifier"),
        (state | {"bn1.weight": torch.full_like(state["bn1.weight"], float("nan"))}, "are NaN or infinite"),
        (state | {"bn1.weight": torch.zeros(3)}, "are not of timm's test_resnet"),
    ]
    path = tmp_path / "net.safetensors"
    for content, said in cases:
        save_file(content, path)
        with pytest.raises(InputError, match=said):
            open_scorer("timm/test_resnet", Reading(weights=path, fake_labels=("0",)))
    with pytest.raises(InputError, match="timm has no model 'test_resnett'; did you mean 'test_resnet'"):
        open_scorer("timm/test_resnett", Reading(weights=network[1], fake_labels=("0",)))


# labels


def test_which_label_is_fake_is_told_by_its_name_or_asked() -> None:
    assert fake_columns(["REAL", "FAKE"], (), "x") == [1]
    assert fake_columns(["AiArtData", "RealArt"], ("AiArtData",), "x") == [0]
    assert fake_columns(["ai-generated", "human", "deepfake"], (), "x") == [0, 2]
    for labels in (["LABEL_0", "LABEL_1"], ["not_fake", "fake"], ["fake", "synthetic"], ["fake", "cat"], ["fake"]):
        with pytest.raises(InputError, match="which do not tell fake from real: say which stands for fake"):
            fake_columns(labels, (), "x")
    assert fake_columns(["LABEL_0"], ("LABEL_0",), "x") == [0]
    with pytest.raises(InputError, match="has no label 'fak'; it has 'real', 'fake'; did you mean 'fake'"):
        fake_columns(["real", "fake"], ("fak",), "x")
    with pytest.raises(InputError, match="names every label"):
        fake_columns(["real", "fake"], ("fake", "real"), "x")


def test_the_logit_of_several_classes_is_that_of_their_probability() -> None:
    outputs = torch.tensor([[100.0, -900.0, 3.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    found = fake_logits(outputs, [0, 1])
    p = outputs[1].softmax(0)
    assert found[1] == pytest.approx(float(torch.log((p[0] + p[1]) / p[2])))
    assert found[0] == pytest.approx(97.0)
    assert fake_logits(outputs[:, :1], [0]).tolist() == [100.0, 0.0]


# functions


def of(function: Any, scores: str = "probability", pictures: Sequence[np.ndarray] = PICTURES) -> Any:
    scorer = open_scorer(function, Reading(scores=scores))
    return scorer.score(scorer.prepare(pictures)).logits


def test_a_function_gets_pil_images_and_returns_numbers_of_any_kind() -> None:
    def shares(images: list[Image.Image]) -> list[float]:
        assert [image.mode for image in images] == ["RGB"] * 3
        return [image.size[1] / 100 for image in images]

    expected = np.log([0.4 / 0.6, 0.41 / 0.59, 0.42 / 0.58])
    for kind in (list, tuple, np.array, torch.tensor, lambda v: torch.tensor(v)[:, None], lambda v: np.float32(v)):
        assert of(lambda images, kind=kind: kind(shares(images))) == pytest.approx(expected, abs=1e-6)
    assert of(lambda images: [-3, 0.5, 7], "logit").tolist() == [-3.0, 0.5, 7.0]


def test_probabilities_of_zero_and_one_keep_their_order_and_stay_finite() -> None:
    found = of(lambda images: [0.0, 1 - 1e-15, 1.0])
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize(
    ("function", "position", "said"),
    [
        (lambda images: [0.1, 1.7, 0.2], 1, "its score is 1.7, expected a probability in 0..1; .* say --scores logit"),
        (lambda images: [0.1, 0.2, float("nan")], 2, "its score is nan"),
        (lambda images: [0.1, 0.2], 0, "given 3 images from here on and returned 2 numbers"),
        (lambda images: np.zeros((3, 2)), 0, r"returned ndarray of shape \(3, 2\), no list of numbers"),
        (lambda images: None, 0, "returned NoneType, no list of numbers"),
        (lambda images: ["real"] * 3, 0, "no list of numbers"),
        (lambda images: [1 / (image.size[1] - 41) for image in images], 1, "failed: ZeroDivisionError"),
        (lambda images: [1 / (len(images) - 3)], 0, "failed with 3 images from here on, though not with each alone"),
    ],
)
def test_what_a_function_does_wrong_is_told_with_the_image(function: Any, position: int, said: str) -> None:
    with pytest.raises(UnscoredError, match=said) as caught:
        of(function)
    assert caught.value.position == position


def test_logits_must_be_finite() -> None:
    with pytest.raises(UnscoredError, match="its score is -inf, expected a finite logit") as caught:
        of(lambda images: [0.0, -np.inf, 1.0], "logit")
    assert caught.value.position == 1


def test_a_function_of_a_file_is_named_with_it(tmp_path: Path) -> None:
    path = tmp_path / "own_net_of_a_test.py"
    path.write_text("def predict(images):\n    return [0.5 for _ in images]\nnumber = 3\n")
    scorer = open_scorer(f"{path}:predict", Reading())
    assert (scorer.name, scorer.identity["function"]) == ("own_net_of_a_test", "predict")
    assert scorer.score(scorer.prepare(PICTURES)).logits.tolist() == [0.0, 0.0, 0.0]
    for wrong, said in (
        (f"{path}:predct", "has no function 'predct'; did you mean 'predict'"),
        (f"{path}:number", "has no function 'number'"),
        (str(path), r"which function\? give it as .*own_net_of_a_test.py:NAME"),
        (f"{tmp_path}/none.py:predict", "no Python file to import"),
    ):
        with pytest.raises(InputError, match=said):
            open_scorer(wrong, Reading())


# exported detectors


def test_an_exported_detector_scores_as_it_does_itself(exported: Path, detector: Detector) -> None:
    assert logits(exported) == pytest.approx(detector.logits(PICTURES), abs=1e-6)
    scorer = open_scorer(exported, Reading())
    assert scorer.knowledge is not None
    assert scorer.knowledge.trained_on == detector.info.generators


# what is none


def test_options_that_say_nothing_of_a_kind_are_refused(
    exported: Path, network: tuple[torch.nn.Module, Path], tmp_path: Path
) -> None:
    cases = [
        (exported, {"scores": "logit"}, "--scores says nothing of an exported detector"),
        (exported, {"fake_labels": ("fake",)}, "--fake-label says nothing"),
        (len, {"weights": network[1]}, "--weights says nothing of a function"),
        ("timm/test_resnet", {}, "say with --weights FILE"),
        ("timm/test_resnet", {"weights": network[1]}, "has the labels '0', '1', which do not tell"),
        (len, {"scores": "logits"}, "--scores: one of probability, logit, found 'logits'; did you mean 'logit'"),
        (tmp_path / "none", {}, "no detector at"),
        ("owner/model", {}, "downloaded first"),
        (tmp_path, {}, "neither detector.json nor config.json"),
    ]
    for detector, reading, said in cases:
        with pytest.raises(InputError, match=said):
            open_scorer(detector, Reading(**reading))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"names neither a model_type \(transformers\) nor an architecture"):
        open_scorer(tmp_path, Reading())
