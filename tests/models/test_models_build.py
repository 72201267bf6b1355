"""Building with options: speed, preprocessing, input sizes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from aigenbench.errors import InputError
from aigenbench.models import (
    ModelFactoryRegistry,
    Preprocessing,
    build_model,
    check_input_size,
    preprocessing_of,
)

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def tiny(name: str = "timm/test_vit3_tune", seed: int = 0, classes: int = 1, **arguments: Any) -> Any:
    torch.manual_seed(seed)
    return build_model(name, classes, pretrained=False, **arguments)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.scale = torch.ones(2)  # neither parameter nor buffer, so a run on shapes alone fails

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.conv(images).mean((2, 3)) * self.scale).sum(1, keepdim=True)


@pytest.fixture
def mine() -> Iterator[None]:
    with ModelFactoryRegistry().isolated():
        ModelFactoryRegistry().register_model_factory(
            "mine", lambda model_name, **kwargs: Plain() if model_name == "plain" else None
        )
        yield


@pytest.mark.parametrize("name", ["timm/test_resnet_tune", "timm/test_resnet_probe"])
def test_channels_last_changes_the_layout_alone(name: str) -> None:
    plain, fast = tiny(name).eval(), tiny(name, channels_last=True).eval()
    convolution = next(m for m in fast.backbone.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert not convolution.weight.is_contiguous()
    assert list(plain.state_dict()) == list(fast.state_dict())
    with torch.no_grad():
        assert torch.allclose(plain(IMAGES), fast(IMAGES), atol=1e-5)
    assert fast.backbone_reference == plain.backbone_reference


def test_gradient_checkpointing_computes_again_and_keeps_the_gradients() -> None:
    gradients = []
    for enabled in (False, True):
        model = tiny(gradient_checkpointing=enabled, img_size=64).train()
        calls: list[int] = []
        block = next(m for n, m in model.named_modules() if n.endswith("blocks.0"))
        block.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        model(IMAGES).sum().backward()
        assert len(calls) == 1 + enabled  # the backward pass computes the block again
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["mnasnet0_5", "RN50_tune", "timm/selecsls42"])
def test_gradient_checkpointing_where_it_is_not_to_be_had(name: str) -> None:
    with pytest.raises(InputError, match=f"gradient_checkpointing: {name} cannot do it"):
        tiny(name, gradient_checkpointing=True)


def test_frozen_backbones_need_no_checkpointing() -> None:
    tiny("mnasnet0_5_probe", gradient_checkpointing=True)  # a frozen backbone keeps nothing anyway


@pytest.mark.parametrize("name", ["timm/test_vit3_tune", "timm/test_vit3_probe"])
def test_compiling_keeps_names_and_reaches_the_backbone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    model = tiny(name, compile=True)
    assert compiled == [model.backbone]
    assert list(model.state_dict()) == list(tiny(name).state_dict())


@pytest.mark.slow
def test_compiled_model_gives_the_same_logits() -> None:
    plain, compiled = tiny("timm/test_vit3_probe").eval(), tiny("timm/test_vit3_probe", compile=True).eval()
    images = torch.randn(2, 3, 96, 96)
    plain, compiled = (tiny("timm/test_vit3_probe", img_size=96, compile=c).eval() for c in (False, True))
    check_input_size(compiled, (96, 96))
    with torch.no_grad():
        assert torch.allclose(plain(images), compiled(images), atol=1e-5)
        assert torch.allclose(copy.deepcopy(compiled)(images), plain(images), atol=1e-5)


@pytest.mark.usefixtures("mine")
def test_speed_options_reach_users_modules_too() -> None:
    model: Any = build_model("plain", 1, channels_last=True)
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(InputError, match="gradient_checkpointing"):
        build_model("plain", 1, gradient_checkpointing=True)


def test_sizes_a_model_takes_and_does_not() -> None:
    model = tiny("vit_b_32_tune")
    model.backbone.requires_grad_(True)
    check_input_size(model, (224, 224))
    with pytest.raises(InputError) as caught:
        check_input_size(model, (256, 224))
    message = str(caught.value)
    assert "torchvision/vit_b_32 cannot take images of 256 x 224" in message
    assert "made for 224 x 224" in message
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_checking_a_size_leaves_statistics_and_modes() -> None:
    model = tiny("timm/test_resnet_probe").train()
    before = copy.deepcopy(model.backbone.state_dict())
    check_input_size(model, (64, 64))
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.state_dict().items())
    assert model.training
    assert not model.backbone.training


@pytest.mark.usefixtures("mine")
def test_module_that_cannot_run_on_shapes_is_tried_on_an_image() -> None:
    model = build_model("plain", 1)
    check_input_size(model, (8, 8))
    with pytest.raises(InputError, match="Plain cannot take images of 1 x 1"):
        check_input_size(model, (1, 1))


@pytest.mark.usefixtures("mine")
def test_preprocessing_of_users_modules() -> None:
    model: Any = build_model("plain", 1)
    assert preprocessing_of(model) is None
    model.preprocessing = {"mean": [0.5, 0.5, 0.5]}
    assert preprocessing_of(model) == Preprocessing(mean=(0.5, 0.5, 0.5))
    del model.preprocessing
    model.pretrained_cfg = {"mean": (0.1,) * 3, "std": (0.2,) * 3, "input_size": (3, 96, 64), "interpolation": "odd"}
    assert preprocessing_of(model) == Preprocessing((0.1,) * 3, (0.2,) * 3, (96, 64), "bicubic")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"men": [0, 0, 0]}, "unknown field 'men'.*did you mean 'mean'"),
        ({"mean": [0.5, 0.5]}, "mean must be three finite numbers"),
        ({"mean": "abc"}, "mean must be three"),
        ({"std": [0.5, 0.0, 0.5]}, "std must be positive"),
        ({"std": [0.5, float("nan"), 0.5]}, "std must be three finite"),
        ({"input_size": 0}, "input_size must be"),
        ({"input_size": [224, 224, 3]}, "input_size must be"),
        ({"input_size": True}, "input_size must be"),
        ({"interpolation": "bicubc"}, "did you mean 'bicubic'"),
        ([1], "expected fields and their values"),
    ],
)
def test_preprocessing_that_cannot_be(record: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Preprocessing.from_dict(record)


def test_single_fields_are_overridden() -> None:
    own = Preprocessing((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (96, 64), "bicubic")
    changed = own.overridden({"mean": [0.5, 0.5, 0.5], "input_size": 32})
    assert changed == Preprocessing((0.5, 0.5, 0.5), (0.4, 0.5, 0.6), (32, 32), "bicubic")


number = st.floats(-3, 3, allow_nan=False)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"interpolation": "bicubic"}, r"preprocessing\.interpolation: 'bicubic' would change nothing"),
        ({"input_size": 96}, r"preprocessing\.input_size: \[96, 96\] contradicts model_input_size \[64, 32\]"),
        ({"interpolations": "x"}, "did you mean 'interpolation'"),
    ],
)
def test_what_a_detector_cannot_honour_is_refused_by_name(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Preprocessing().for_detector((64, 32), overrides)


def test_a_detectors_own_size_mean_and_std() -> None:
    own = Preprocessing(interpolation="bicubic").for_detector((64, 32), {"mean": [0.1] * 3, "input_size": [64, 32]})
    assert own == Preprocessing(mean=(0.1,) * 3, input_size=(64, 32), interpolation="bicubic")
    assert Preprocessing().for_detector((9, 9), None).input_size == (9, 9)


@given(
    st.tuples(number, number, number),
    st.tuples(*[st.floats(0.01, 3)] * 3),
    st.tuples(st.integers(1, 999), st.integers(1, 999)),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_preprocessing_survives_its_dictionary(mean: Any, std: Any, size: Any, interpolation: str) -> None:
    import json

    record = Preprocessing(mean, std, size, interpolation)
    assert Preprocessing.from_dict(json.loads(json.dumps(record.to_dict()))) == record
