from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models import build_model
from aigenbench.models.finetune import Finetune, PartlyTrained, finetuned
from aigenbench.models.probe import weights_hash

TRANSFORMERS = [
    ("timm/test_vit_tune", (160, 160), {}),
    ("dinov2_vits14_tune", (28, 28), {}),
    ("openai/ViT-B/32_tune", (32, 32), {"image_size": 32}),
    ("torchvision/vit_b_16_tune", (224, 224), {}),
]
CNNS: list[tuple[str, tuple[int, int], dict[str, Any]]] = [
    ("timm/test_resnet_tune", (64, 64), {}),
    ("RN50_tune", (224, 224), {}),
    ("torchvision/mobilenet_v2_tune", (64, 64), {}),
]
KINDS: list[Any] = [
    "layernorm",
    "bias",
    {"lora": {"rank": 2, "alpha": 4}},
    {"lora": {"rank": 1, "where": "mlp"}},
    {"svd": {"rank": 3}},
    {"last_blocks": {"n": 1}},
]


def built(name: str, arguments: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return build_model(name, 1, pretrained=False, **arguments)


def few_of(model: Any, kind: Any, name: str) -> Any:
    return finetuned(model, Finetune.of(kind), name)


def trained(model: torch.nn.Module, images: torch.Tensor, steps: int = 2) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(model(images)[:, 0], torch.tensor([0.0, 1.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize(("name", "size", "arguments"), [TRANSFORMERS[0], TRANSFORMERS[1]])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_starts_as_the_backbone_and_trains_what_it_names(name, size, arguments, kind) -> None:
    images = torch.randn(2, 3, *size)
    base = built(name, arguments).eval()
    with torch.no_grad():
        before = base(images)
    few = few_of(copy.deepcopy(base), kind, name)
    assert isinstance(few, PartlyTrained)
    hashed, start = weights_hash(few.backbone), {key: value.clone() for key, value in few.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(few(images), before, atol=1e-5, rtol=1e-5)
    assert all(p.requires_grad for p in few.parameters())
    few.train()
    assert not few.backbone.training
    trained(few, images)
    assert weights_hash(few.backbone) == hashed, "the backbone's own weights stay"
    assert few.backbone_reference == {"name": base.name, "sha256": hashed}
    moved = [key for key, value in few.state_dict().items() if not torch.equal(value, start[key])]
    assert any(key.startswith("changes.") for key in moved)
    merged = few.exposed()
    with torch.no_grad():
        torch.testing.assert_close(merged(images), few.eval()(images), atol=1e-5, rtol=1e-5)
    assert not isinstance(merged, PartlyTrained)


@pytest.mark.parametrize(("name", "size", "arguments"), [*TRANSFORMERS[2:], *CNNS])
@pytest.mark.parametrize("kind", ["layernorm", "bias", "last_blocks"])
def test_every_source_has_norms_biases_and_blocks(name, size, arguments, kind) -> None:
    few = few_of(built(name, arguments), kind, name)
    share = sum(p.numel() for p in few.changes.parameters()) / sum(p.numel() for p in few.backbone.parameters())
    few_numbers = kind != "last_blocks" and "mobilenet" not in name and "test" not in name
    assert 0 < share < (0.01 if few_numbers else 0.75)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "arguments"), TRANSFORMERS[2:])
def test_matrices_of_every_transformer(name, size, arguments) -> None:
    model = built(name, arguments)
    names = {}
    for where in ("attention", "mlp", "all"):
        names[where] = few_of(copy.deepcopy(model), {"lora": {"where": where}}, name).in_use().keys()
    assert set(names["attention"]) | set(names["mlp"]) == set(names["all"])
    assert len(names["attention"]) == len(names["mlp"]) == 24
    few = few_of(model, "lora", name).eval()
    images = torch.randn(2, 3, *size)
    trained(few, images, 1)
    assert all(p.grad is not None for p in few.parameters())


def test_lora_by_its_definition() -> None:
    few = few_of(built("timm/test_vit_tune", {}), {"lora": {"rank": 2, "alpha": 8}}, "x")
    name = "network.blocks.0.attn.qkv.weight"
    change, fixed = few.changes[name.replace(".", "/")], dict(few.backbone.named_parameters())[name]
    with torch.no_grad():
        change.up.normal_()
    torch.testing.assert_close(few.in_use()[name], fixed + 4 * change.up @ change.down)
    assert change.down.shape == (2, fixed.shape[1])


def test_svd_keeps_the_large_values() -> None:
    few = few_of(built("timm/test_vit_tune", {}), {"svd": {"rank": 4}}, "x")
    name = "network.blocks.0.attn.qkv.weight"
    change, fixed = few.changes[name.replace(".", "/")], dict(few.backbone.named_parameters())[name]
    values = torch.linalg.svdvals(fixed)
    torch.testing.assert_close(change.values.detach(), values[-4:])
    torch.testing.assert_close(torch.linalg.svdvals(change.kept)[: len(values) - 4], values[:-4], atol=1e-4, rtol=1e-4)
    assert not any("kept" in key for key in few.state_dict())


@pytest.mark.parametrize("kind", ["probe", {"lora": {"rank": 0}}, {"svd": {"rank": 0}}], ids=str)
def test_of_rank_0_it_is_the_probe(kind) -> None:
    images = torch.randn(2, 3, 160, 160)
    torch.manual_seed(3)
    probe = build_model("timm/test_vit_probe", 1, pretrained=False)
    torch.manual_seed(3)
    few = few_of(build_model("timm/test_vit_tune", 1, pretrained=False), kind, "x")
    assert few.state_dict().keys() == probe.state_dict().keys()
    for model in (probe, few):
        trained(model.train(), images, 3)
    assert all(torch.equal(a, b) for a, b in zip(probe.state_dict().values(), few.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("timm/test_resnet_tune", "lora", "has no blocks with attention matrices, as convolutional networks have none"),
        ("RN50_tune", {"svd": {"rank": 2}}, "has no blocks with attention matrices"),
        ("timm/test_vit_probe", "bias", "is frozen; use its _tune form"),
        ("timm/test_vit_tune", {"last_blocks": {"n": 7}}, "n 7, but timm/test_vit has 6 blocks"),
        ("timm/test_vit_tune", "lorra", "unknown 'lorra'; .*did you mean 'lora'"),
        ("timm/test_vit_tune", {"lora": {"ranc": 3}}, "lora takes rank, alpha, where; unknown 'ranc'.*'rank'"),
        ("timm/test_vit_tune", {"lora": {"rank": -1}}, "lora rank must be a whole number from 0, found -1"),
        ("timm/test_vit_tune", {"lora": {"rank": True}}, "lora rank must be a whole number"),
        ("timm/test_vit_tune", {"lora": {"alpha": 0}}, "lora alpha must be above 0"),
        ("timm/test_vit_tune", {"svd": {"where": "head"}}, "expected attention, mlp, all, found 'head'"),
        ("timm/test_vit_tune", {"bias": 3}, "bias takes no arguments; 3"),
        ("timm/test_vit_tune", ["bias"], r"expected one of all, probe.*: \['bias'\]"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, kind, said) -> None:
    with pytest.raises(InputError, match=said):
        few_of(built(name, {}), kind, name)


def test_a_module_of_ones_own_has_no_backbone_to_share() -> None:
    module = torch.nn.Linear(2, 1)
    assert few_of(module, "all", "mine") is module
    with pytest.raises(InputError, match="mine is a module of its own"):
        few_of(module, "bias", "mine")
