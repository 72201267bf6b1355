"""Weights that are named: used, or refused, and what of them is used is said."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.models import build_model, ensure_weights
from aigenbench.models.registry import built_in_source


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """OpenAI's and OpenCLIP's ViT-B/16 made tiny; the weights that fit both."""
    import open_clip

    from aigenbench.models.sources import clip_releases

    tower = {"image_size": 32, "width": 16, "patch_size": 16, "head_width": 8, "layers": 1}
    text = {"context_length": 5, "vocab_size": 5, "width": 8, "heads": 1, "layers": 1}
    for name, quick in (("tiny", False), ("tiny-quickgelu", True)):
        config = {"embed_dim": 12, "vision_cfg": tower, "text_cfg": text, "quick_gelu": quick}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    releases, shorthands = clip_releases.OPENAI_RELEASES, clip_releases.OPENCLIP_SHORTHANDS
    monkeypatch.setitem(releases, "ViT-B/16", releases["ViT-B/16"]._replace(architecture="tiny-quickgelu"))
    b16 = shorthands["clipB16laion2B"]._replace(architecture="tiny")
    monkeypatch.setitem(shorthands, "clipB16laion2B", b16)
    torch.manual_seed(0)
    state = build_model("openai/ViT-B/16_tune", 1, pretrained=False).backbone.state_dict()  # type: ignore[union-attr]
    return {name: tensor.clone() for name, tensor in state.items()}


OPENAI, LAION = "openai/ViT-B/16_probe", "openclip/clipB16laion2B_probe"


def saved(path: Path, state: dict[str, torch.Tensor], **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata=metadata or None)
    return path


@pytest.mark.parametrize(
    ("model", "name", "metadata", "place"),
    [
        (LAION, "openai_clip_vitb16.safetensors", {}, "name"),
        (OPENAI, "CLIP-ViT-B-16-laion2B-s34B.safetensors", {}, "name"),
        (LAION, "a.safetensors", {"source": "OpenAI ViT-B/16"}, "metadata"),
        (LAION, "models--timm--vit_base_patch16_clip_224.openai/snapshots/0/model.safetensors", {}, "folder"),
    ],
)
def test_a_file_that_says_it_is_anothers_is_refused(
    tiny: dict[str, torch.Tensor], tmp_path: Path, model: str, name: str, metadata: dict[str, str], place: str
) -> None:
    path = saved(tmp_path / name, tiny, **metadata)
    with pytest.raises(InputError, match=f"by its {place} it is of ") as caught:
        build_model(model, 1, weights=path)
    assert (OPENAI if model == LAION else LAION).removesuffix("_probe") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_content_of_openais_own_is_refused_under_any_name(tiny: dict[str, torch.Tensor], tmp_path: Path) -> None:
    entries = {name: torch.tensor(5) for name in ("input_resolution", "context_length", "vocab_size")}
    path = saved(tmp_path / "my_laion2b.safetensors", {**tiny, **entries})
    with pytest.raises(InputError, match="by its content it is of openai"):
        build_model(LAION, 1, weights=path)


def test_a_file_that_does_not_say_is_told(
    tiny: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path / "mine.safetensors", tiny)
    with caplog.at_level(logging.INFO, "aigenbench"):
        build_model(LAION, 1, weights=path)
    assert "do not say which model they are of" in caplog.text
    assert "openai/ViT-B/16" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "aigenbench"):
        build_model(OPENAI, 1, weights=saved(tmp_path / "openai.safetensors", tiny))
    assert "do not say" not in caplog.text


def test_timms_tags_are_compared_too(tmp_path: Path) -> None:
    from aigenbench.models.weights.origin import check_origin

    card = built_in_source("timm").card("vit_base_patch16_clip_224.laion2b")
    assert card is not None
    path = saved(tmp_path / "openai.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(InputError, match="by its name it is of openai"):
        check_origin("timm/vit_base_patch16_clip_224.laion2b", card, path, ["a"], [])
    assert built_in_source("timm").lookalikes(card) == ["timm/vit_base_patch16_clip_quickgelu_224"]


def test_a_published_files_name_with_other_content_is_refused(tmp_path: Path) -> None:
    import torchvision

    (file,) = built_in_source("torchvision").card("mnasnet0_5").weights  # type: ignore[union-attr]
    torch.save(torchvision.models.mnasnet0_5().state_dict(), tmp_path / file.filename)
    with pytest.raises(InputError, match="is not the file published under that name"):
        build_model("mnasnet0_5_tune", 1, weights_dir=tmp_path)
    # as a file of one's own it is what it is
    assert build_model("mnasnet0_5_tune", 1, weights=tmp_path / file.filename)


def test_how_many_tensors_were_used_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import torchvision

    state = torchvision.models.mnasnet0_5().state_dict()
    torch.save(state, tmp_path / "mine.pth")
    with caplog.at_level(logging.INFO, "aigenbench"):
        build_model("mnasnet0_5_tune", 1, weights=str(tmp_path / "mine.pth"))
    said = f"{len(state) - 2} of {len(state)} tensors of {tmp_path / 'mine.pth'} used; 2 left out: classifier.1.weight"
    assert said in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    state = build_model("small_cnn_tune", 1, pretrained=False).backbone.state_dict()  # type: ignore[union-attr]
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name].view(-1)[0] = value
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=rf"bad\.pt: 1 of [\d,]+ numbers of {name} are NaN or infinite"):
        build_model("small_cnn_tune", 1, weights=tmp_path / "bad.pt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pretrained": False, "weights": "x.pt"}, r"pretrained: false .* weights: x\.pt"),
        ({"pretrained": "laion2b"}, "pretrained: expected true or false, found 'laion2b'"),
        ({"weights": True}, "weights: expected the path of a file, found True"),
        ({"weights": "nothere.safetensors"}, r"no file nothere\.safetensors"),
    ],
)
def test_arguments_that_contradict_each_other(arguments: dict[str, Any], said: str) -> None:
    for call in (ensure_weights, lambda name, **given: build_model(name, 1, **given)):
        with pytest.raises(InputError, match=said):
            call("small_cnn_tune", **arguments)


@pytest.mark.parametrize("key", ["checkpoint_path", "pretrained_cfg_overlay"])
def test_timms_own_ways_of_naming_weights_are_refused(key: str) -> None:
    arguments: dict[str, Any] = {key: "x"}
    with pytest.raises(InputError, match=f"{key} is not taken; name a file by weights: FILE"):
        build_model("timm/test_vit_tune", 1, pretrained=False, **arguments)


def test_a_detectors_checkpoint_is_no_backbones_weights(tmp_path: Path) -> None:
    torch.save({"schema": 1, "model_name": "RN50_tune", "state_dict": {"a": torch.zeros(1)}}, tmp_path / "final.ckpt")
    with pytest.raises(InputError, match=r"checkpoint of a detector \(RN50_tune\).*model\.base_weights"):
        build_model("RN50_tune", 1, weights=tmp_path / "final.ckpt")


def test_real_weights_as_what_they_are_and_are_not() -> None:
    import os

    folder = os.environ.get("AIGENBENCH_REAL_WEIGHTS")
    if not folder or not Path(folder, "openai_clip_vitb16.safetensors").is_file():
        pytest.skip("AIGENBENCH_REAL_WEIGHTS names no folder with openai_clip_vitb16.safetensors")
    path = Path(folder, "openai_clip_vitb16.safetensors")
    assert build_model(OPENAI, 1, weights=path)
    with pytest.raises(InputError, match="it is of openai"):
        build_model(LAION, 1, weights=path)
