"""DINOv2 against timm's transformer on the same weights, and against the authors' interpolation by its formula."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models import build_model, check_input_size
from aigenbench.models.sources import dinov2
from aigenbench.models.sources.dinov2_vit import DinoVisionTransformer

WIDTH, DEPTH = 384, 2


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small model with two of its twelve blocks, all of which are alike."""
    monkeypatch.setitem(dinov2._SHAPES, "dinov2_vits14", dinov2._SHAPES["dinov2_vits14"]._replace(depth=DEPTH))


def published(tmp_path: Path, name: str) -> tuple[Path, dict[str, torch.Tensor]]:
    """Random weights in a file as the authors': their names, the mask token, no registers unless asked."""
    model: Any = build_model(f"{name}_tune", 1, pretrained=False).backbone
    generator = torch.Generator().manual_seed(0)
    state = {
        key: value + 0.05 * torch.randn(value.shape, generator=generator) for key, value in model.state_dict().items()
    }
    state["mask_token"] = torch.zeros(1, WIDTH)
    path = tmp_path / dinov2.DinoV2().card(name).weights[0].filename  # type: ignore[union-attr]
    torch.save(state, path)
    return path, state


def timm_model(name: str, state: dict[str, torch.Tensor], size: int) -> torch.nn.Module:
    import timm

    variant = "vit_small_patch14_reg4_dinov2" if name.endswith("_reg") else "vit_small_patch14_dinov2"
    return timm.create_model(
        variant,
        pretrained=True,
        num_classes=0,
        depth=DEPTH,
        img_size=size,
        global_pool="token",
        pretrained_cfg_overlay={"state_dict": dict(state), "num_classes": 0},
    ).eval()


def cubic(t: float) -> float:
    """Keys' convolution kernel with a = -0.75."""
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def weights_along_a_side(source: int, target: int, offset: float) -> np.ndarray:
    """(target, source): each output position as a cubic mixture of its four neighbours, edges repeated."""
    scale = (target + offset) / source
    rows = np.zeros((target, source))
    for i in range(target):
        position = (i + 0.5) / scale - 0.5
        left = math.floor(position)
        for j in range(left - 1, left + 3):
            rows[i, min(max(j, 0), source - 1)] += cubic(position - j)
    return rows


def plain_positions(state: dict[str, torch.Tensor], rows: int, columns: int) -> torch.Tensor:
    """The authors' table for models without registers: scale factor (size + 0.1) / 37, no antialiasing."""
    table = state["pos_embed"][0].double().numpy()
    grid = table[1:].reshape(37, 37, -1)
    down, across = weights_along_a_side(37, rows, 0.1), weights_along_a_side(37, columns, 0.1)
    patches = np.einsum("ri,cj,ijd->rcd", down, across, grid).reshape(rows * columns, -1)
    return torch.from_numpy(np.concatenate([table[:1], patches])).float()[None]


@pytest.mark.parametrize("name", ["dinov2_vits14", "dinov2_vits14_reg"])
def test_equals_timm_at_the_published_size(name: str, tmp_path: Path) -> None:
    _, state = published(tmp_path, name)
    model: Any = build_model(f"{name}_probe", 1, weights_dir=tmp_path)
    images = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert (model.features(images) - timm_model(name, state, 518)(images)).abs().max() < 2e-4


def test_at_224_positions_are_the_authors(tmp_path: Path) -> None:
    _, state = published(tmp_path, "dinov2_vits14")
    model: Any = build_model("dinov2_vits14_probe", 1, weights_dir=tmp_path)
    expected = plain_positions(state, 16, 16)
    assert (model.backbone.positions(16, 16) - expected).abs().max() < 1e-5
    without_offset = F.interpolate(
        state["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2), size=(16, 16), mode="bicubic"
    )
    assert (without_offset.flatten(2).transpose(1, 2) - expected[:, 1:]).abs().max() > 1e-3
    reference = timm_model("dinov2_vits14", {**state, "pos_embed": expected}, 224)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert (model.features(images) - reference(images)).abs().max() < 2e-4
        antialiased = timm_model("dinov2_vits14", state, 224)(images)
        assert (model.features(images) - antialiased).abs().max() > 1e-3


def test_positions_of_a_rectangle(tmp_path: Path) -> None:
    _, state = published(tmp_path, "dinov2_vits14")
    model: Any = build_model("dinov2_vits14_probe", 1, weights_dir=tmp_path)
    expected = plain_positions(state, 10, 18)
    assert (model.backbone.positions(10, 18) - expected).abs().max() < 1e-5
    assert model.features(torch.zeros(1, 3, 140, 252)).shape == (1, WIDTH)


def test_with_registers_positions_are_antialiased(tmp_path: Path) -> None:
    _, state = published(tmp_path, "dinov2_vits14_reg")
    model: Any = build_model("dinov2_vits14_reg_probe", 1, weights_dir=tmp_path)
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    patches = F.interpolate(grid, size=(16, 16), mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
    assert torch.equal(model.backbone.positions(16, 16), torch.cat([state["pos_embed"][:, :1], patches], dim=1))


@pytest.mark.parametrize("rows", [1, 2, 5, 16, 36, 37, 38, 64, 100])
def test_scale_factor_gives_exactly_the_asked_grid(rows: int) -> None:
    model = DinoVisionTransformer(8, 1, 1)
    assert model.positions(rows, 7).shape == (1, 1 + 7 * rows, 8)


def test_every_parameter_gets_a_gradient() -> None:
    model = DinoVisionTransformer(8, 2, 2, gated=True, registers=4)
    model(torch.randn(2, 3, 28, 42)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_gradient_checkpointing_changes_nothing() -> None:
    torch.manual_seed(0)
    model = DinoVisionTransformer(8, 2, 2)
    images = torch.randn(2, 3, 28, 42)
    gradients = []
    for enabled in (False, True):
        model.set_grad_checkpointing(enabled)
        model.zero_grad()
        model(images).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*gradients)


def test_sides_must_be_multiples_of_14() -> None:
    model: Any = build_model("dinov2_vits14_tune", 1, pretrained=False)
    check_input_size(model, (28, 42))
    with pytest.raises(InputError, match=r"multiples of 14, found 225 x 224; set model_input_size to 224"):
        check_input_size(model, (225, 224))


def test_weights_of_another_size_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = published(tmp_path, "dinov2_vits14")
    monkeypatch.setitem(dinov2._SHAPES, "dinov2_vitb14", dinov2._SHAPES["dinov2_vitb14"]._replace(depth=DEPTH))
    with pytest.raises(InputError, match=r"are not those of dinov2/dinov2_vitb14: other shapes .*cls_token") as caught:
        build_model("dinov2_vitb14_tune", 1, weights=path)
    assert len(str(caught.value)) < 900
    with pytest.raises(InputError, match="missing register_tokens"):
        build_model("dinov2_vits14_reg_tune", 1, weights=path)
