"""What a frozen backbone promises, and that freezing is all that sets a probe apart."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from aigenbench.models import build_model
from aigenbench.models.probe import Classifier, weights_hash


class Body(nn.Module):
    """Features with dropout and BatchNorm, which behave differently in training."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.drop(self.norm(self.conv(images))).mean(dim=(2, 3))


def make(frozen: bool, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return Classifier(Body(), 1, frozen, name="test/body")


def images(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def test_frozen_backbone_is_hidden_everywhere() -> None:
    probe = make(frozen=True)
    assert [name for name, _ in probe.named_parameters()] == ["head.weight", "head.bias"]
    assert list(probe.state_dict()) == ["head.weight", "head.bias"]
    assert not list(probe.buffers())
    assert probe.backbone not in list(probe.modules())
    assert list(dict(probe.named_children())) == ["head"]
    assert not any(p.requires_grad for p in probe.backbone.parameters())


def test_probe_and_tune_differ_in_nothing_but_freezing() -> None:
    probe, tune = make(frozen=True), make(frozen=False)
    assert torch.equal(probe.head.weight, tune.head.weight)
    assert weights_hash(probe.backbone) == weights_hash(tune.backbone)
    assert torch.equal(probe.eval()(images()), tune.eval()(images()))


def test_resnet_probe_and_tune_give_the_same_logits() -> None:
    logits = []
    for name in ("resnet18_probe", "resnet18_tune"):
        torch.manual_seed(3)
        model = build_model(name, 1, pretrained=False).eval()
        assert model.num_features == 512
        with torch.no_grad():
            logits.append(model(torch.ones(1, 3, 64, 64)))
    assert torch.equal(*logits)


def test_training_a_probe_leaves_the_backbone_bit_exact() -> None:
    probe = make(frozen=True)
    before = {name: tensor.clone() for name, tensor in probe.backbone.state_dict().items()}
    features = probe.features(images())
    head = probe.head.weight.clone()
    optimizer = torch.optim.SGD(probe.parameters(), lr=1.0, momentum=0.9)
    for _ in range(3):
        probe.train()
        optimizer.zero_grad()
        probe(images()).sum().backward()
        optimizer.step()
    for name, tensor in probe.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not torch.equal(probe.head.weight, head)
    assert torch.equal(probe.features(images()), features)  # dropout is off as well
    assert all(p.grad is None for p in probe.backbone.parameters())
    assert len(optimizer.state) == 2


def test_training_a_tuned_model_changes_the_backbone() -> None:
    tune = make(frozen=False).train()
    tune(images()).sum().backward()
    assert all(p.grad is not None for p in tune.parameters())
    assert tune.backbone.norm.num_batches_tracked == 1


def test_train_and_apply_do_not_reach_the_frozen_backbone() -> None:
    probe = make(frozen=True).train()
    assert probe.training
    assert not any(module.training for module in probe.backbone.modules())
    before = weights_hash(probe.backbone)
    probe.apply(lambda module: nn.init.zeros_(module.weight) if hasattr(module, "weight") else None)
    assert weights_hash(probe.backbone) == before


def test_features_of_a_probe_carry_no_gradient() -> None:
    assert not make(frozen=True).features(images()).requires_grad
    assert make(frozen=False).features(images()).requires_grad


@pytest.mark.parametrize("frozen", [True, False])
def test_backbone_moves_along(frozen: bool) -> None:
    model = make(frozen)
    assert model.to("meta").backbone.conv.weight.device.type == "meta"
    assert make(frozen).half().backbone.conv.weight.dtype == torch.float16
    assert make(frozen).to(torch.float64).backbone.norm.running_mean.dtype == torch.float64
    moved = make(frozen).to(memory_format=torch.channels_last)
    assert moved.backbone.conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles_own_their_backbone(duplicate: object) -> None:
    probe = make(frozen=True).eval()
    other = duplicate(probe)  # type: ignore[operator]
    assert other.backbone is not probe.backbone
    assert torch.equal(other(images()), probe(images()))
    assert list(other.state_dict()) == ["head.weight", "head.bias"]
    with torch.no_grad():
        other.backbone.conv.weight.zero_()
    assert probe.backbone.conv.weight.abs().sum() > 0


@pytest.mark.parametrize("frozen", [True, False])
def test_head_is_float32_outside_autocast(frozen: bool) -> None:
    model = make(frozen).eval()
    seen: list[torch.dtype] = []
    model.backbone.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images())
        features = model.features(images())
    assert logits.dtype == torch.float32
    expected = features.double() @ model.head.weight.double().T + model.head.bias.double()
    assert torch.allclose(logits.double(), expected, atol=1e-6)


def test_head_computes_in_float32_where_the_model_is_half() -> None:
    model = make(frozen=True).bfloat16()
    assert model(images().bfloat16()).dtype == torch.float32


def test_reference_names_and_hashes_the_backbone() -> None:
    probe = make(frozen=True)
    reference = probe.backbone_reference
    assert reference == {"name": "test/body", "sha256": weights_hash(probe.backbone)}
    assert make(frozen=True, seed=0).backbone_reference == reference
    assert make(frozen=True, seed=1).backbone_reference != reference
    assert make(frozen=False).backbone_reference is None


def test_hash_sees_every_tensor_but_not_the_layout() -> None:
    body = make(frozen=False).backbone
    before = weights_hash(body)
    assert weights_hash(copy.deepcopy(body).to(memory_format=torch.channels_last)) == before
    body.norm.running_mean[2] += 1e-3
    assert weights_hash(body) != before


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_exposed_view_shares_tensors_and_can_be_traced() -> None:
    probe = make(frozen=True).eval()
    view = probe.exposed()
    assert any(name.startswith("backbone.") for name in view.state_dict())
    assert view.backbone.conv.weight is probe.backbone.conv.weight
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(view, images()), stream)
    stream.seek(0)
    assert torch.allclose(torch.jit.load(stream)(images()), probe(images()), atol=1e-6)
    tune = make(frozen=False)
    assert tune.exposed() is tune


def test_head_initialisation() -> None:
    torch.manual_seed(0)
    wide = nn.Identity()
    head = Classifier(wide, 64, num_features=512, head_std=0.02).head
    assert isinstance(head, nn.Linear)
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert head.weight.mean().item() == pytest.approx(0.0, abs=5e-4)
