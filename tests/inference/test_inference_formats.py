from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aigenbench.errors import InputError
from aigenbench.inference.formats.onnx import LARGEST_SHIFT, OnnxFacts, onnx_network, write_onnx
from aigenbench.inference.formats.program import program_network, write_program
from aigenbench.inference.quantised import SCALE, quantised, restored
from aigenbench.models import build_model


def crops(size: int, count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, 1, pretrained=False).eval()


MODELS = [
    ("small_cnn_tune", 64),
    ("timm/test_vit_tune", 160),
    ("timm/test_resnet_probe", 160),
    pytest.param("dinov2_vits14_probe", 56, marks=pytest.mark.slow),
    pytest.param("openai/ViT-B/32_probe", 224, marks=pytest.mark.slow),
    pytest.param("RN50_tune", 224, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_onnx_gives_the_networks_logits_for_any_batch(tmp_path, name, size):
    model, images = network(name), crops(size)
    trained = [p.requires_grad for p in model.parameters()]
    facts = write_onnx(model, images, tmp_path / "model.onnx")
    assert isinstance(facts, OnnxFacts)
    assert facts.exporter == "torch.export"
    assert facts.shift < 1e-5
    run = onnx_network(tmp_path / "model.onnx")
    with torch.no_grad():
        for count in (1, 2, 4):
            np.testing.assert_allclose(run(images[:count]), model(images[:count]), atol=1e-5)
    assert [p.requires_grad for p in model.parameters()] == trained
    assert torch.backends.mha.get_fastpath_enabled()
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


class Untraceable(nn.Module):
    """A pixel decides what it computes: one exporter refuses, the other takes what it saw for a constant."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean(dim=(2, 3)).sum(dim=1, keepdim=True)
        return means + 1 if bool(images[-1, 0, 0, 0] > 0) else means


def test_a_network_that_no_exporter_writes_rightly_is_refused(tmp_path):
    images = crops(8)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 1, -1
    with pytest.raises(InputError, match=r"ONNX: this network cannot be written \(torch.export: .*; TorchScript: log"):
        write_onnx(Untraceable().eval(), images, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


class OnlyOlder(nn.Module):
    """A step that the newer exporter cannot trace, and the older one can."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            raise RuntimeError("not by torch.export")
        return images.mean(dim=(2, 3)).sum(dim=1, keepdim=True)


def test_the_older_exporter_where_the_newer_fails(tmp_path):
    facts = write_onnx(OnlyOlder().eval(), crops(8), tmp_path / "model.onnx")
    assert facts.exporter == "TorchScript"
    assert facts.shift <= LARGEST_SHIFT


def test_a_file_that_is_no_onnx(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match="cannot be run by ONNX Runtime"):
        onnx_network(tmp_path / "model.onnx")


@pytest.mark.parametrize(("name", "size"), MODELS[:4])
def test_a_program_of_torch_export(tmp_path, name, size):
    model, images = network(name), crops(size)
    assert write_program(model, images, tmp_path / "model.pt2") <= 1e-5
    run = program_network(tmp_path / "model.pt2")
    with torch.no_grad():
        np.testing.assert_allclose(run(images[:3]), model(images[:3]), atol=1e-5)


def test_a_network_that_cannot_be_traced_gives_no_program(tmp_path):
    with pytest.raises(InputError, match=r"torch\.export: this network cannot be traced"):
        write_program(Untraceable().eval(), crops(8), tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(105, 300), st.floats(1e-6, 1e6), st.integers(0, 2**31))
def test_eight_bits_are_off_by_half_a_step_at_most(channels, width, scale, seed):
    weight = torch.randn(channels, width, generator=torch.Generator().manual_seed(seed)) * scale
    weight[0] = 0
    state = {"a.weight": weight, "a.bias": torch.ones(channels)}
    stored = quantised(state)
    assert stored["a.bias"] is state["a.bias"]
    back = restored(stored)
    assert set(back) == set(state)
    if weight.numel() < 4096:
        assert back["a.weight"] is weight
        return
    assert stored["a.weight"].dtype == torch.int8
    half = weight.abs().amax(dim=1, keepdim=True) / 127 / 2
    assert bool(((back["a.weight"] - weight).abs() <= half * 1.001).all())
    assert bool((back["a.weight"][0] == 0).all())


def test_int8_without_its_scales():
    stored = quantised({"w": torch.randn(64, 3, 8, 8)})
    assert stored["w"].shape == (64, 3, 8, 8)
    assert stored["w" + SCALE].shape == (64,)
    with pytest.raises(InputError, match="has no fitting scales"):
        restored({"w": stored["w"]})
