"""Which factory answers a name, and what is said where none does."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import aigenbench.models as room
from aigenbench.errors import InputError
from aigenbench.models import ModelFactoryRegistry, build_model
from aigenbench.models.probe import Classifier


class Small(nn.Module):
    """A classifier with dropout and BatchNorm, and neither timm's interface nor get_features."""

    def __init__(self, num_classes: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(images))


class WithFeatures(Small):
    def get_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)


class LikeTimm(Small):
    num_features = 4

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return features if pre_logits else self.fc(features)


@pytest.fixture(autouse=True)
def registry() -> Iterator[ModelFactoryRegistry]:
    registry = ModelFactoryRegistry()
    with registry.isolated():
        yield registry


def for_name(known: str, module: type[nn.Module], calls: list[Any] | None = None) -> Any:
    def make(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module | None:
        if calls is not None:
            calls.append((model_name, pretrained, kwargs))
        return module(kwargs["num_classes"]) if model_name == known else None

    return make


def raising(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module:
    raise KeyError(f"no {model_name} here")


def test_registry_is_shared_by_all_instances(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("mine", for_name("my_net", Small))
    assert "mine" in ModelFactoryRegistry().factories()
    assert isinstance(build_model("my_net", 2), Small)


def test_isolation_forgets_only_what_was_registered_inside(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("outer", for_name("a", Small))
    with registry.isolated():
        registry.register_model_factory("inner", for_name("b", Small))
    assert list(registry.factories()) == ["outer"]


def test_factory_gets_the_name_as_written_and_all_arguments(registry: ModelFactoryRegistry) -> None:
    calls: list[Any] = []
    registry.register_model_factory("mine", for_name("My Net/x_tune", Small, calls))
    module = build_model("My Net/x_tune", 3, pretrained=False, width=7)
    assert calls == [("My Net/x_tune", False, {"num_classes": 3, "width": 7})]
    assert type(module) is Small
    assert module.fc.out_features == 3


def test_users_factories_come_before_built_in_sources(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("mine", for_name("resnet18_tune", Small))
    assert type(build_model("resnet18_tune", 1, pretrained=False)) is Small
    assert isinstance(build_model("torchvision/resnet18_tune", 1, pretrained=False), Classifier)


def test_source_prefix_asks_that_source_alone(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("first", for_name("net", Small))
    registry.register_model_factory("second", for_name("net", WithFeatures))
    assert type(build_model("net", 1)) is Small
    assert type(build_model("second/net", 1)) is WithFeatures
    with pytest.raises(InputError, match="no model 'nett' in source 'second'"):
        build_model("second/nett", 1)


def test_order_of_sources() -> None:
    model = build_model("resnet18", 1, pretrained=False)
    assert model.name == "torchvision/resnet18"
    assert build_model("test_vit", 1, pretrained=False).name == "timm/test_vit"
    assert build_model("timm/resnet18", 1, pretrained=False).name == "timm/resnet18"


@pytest.mark.parametrize("decline", [raising, for_name("other", Small)])
def test_none_or_exception_passes_the_name_on(registry: ModelFactoryRegistry, decline: Any) -> None:
    registry.register_model_factory("declines", decline)
    registry.register_model_factory("knows", for_name("net", Small))
    assert type(build_model("net", 1)) is Small


def test_kept_exceptions_are_told_with_their_places(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("broken", raising)
    with pytest.raises(InputError) as caught:
        build_model("resnet81_tune", 1)
    message = str(caught.value)
    assert "\n" not in message
    assert "did you mean 'resnet18'" in message
    assert "broken: KeyError: 'no resnet81_tune here'" in message
    assert f"{__file__}:{raising.__code__.co_firstlineno + 1}" in message


def test_exception_of_the_named_source_is_raised_as_itself(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("broken", raising)
    with pytest.raises(KeyError, match="no net_tune here"):
        build_model("broken/net_tune", 1)


def test_error_of_a_built_in_source_that_knows_the_name_is_not_passed_on() -> None:
    with pytest.raises(InputError, match="resnet18"):
        build_model("resnet18_tune", 1, pretrained=False, no_such_argument=1)


@pytest.mark.parametrize("module", [WithFeatures, LikeTimm])
@pytest.mark.parametrize("name", ["net_probe", "mine/net_probe"])
def test_bare_name_gives_a_probe(registry: ModelFactoryRegistry, module: type[nn.Module], name: str) -> None:
    registry.register_model_factory("mine", for_name("net", module))
    probe = build_model(name, 2)
    assert isinstance(probe, Classifier)
    assert probe.frozen
    assert probe.num_features == 4
    assert [n for n, _ in probe.named_parameters()] == ["head.weight", "head.bias"]
    assert probe(torch.zeros(2, 3, 8, 8)).shape == (2, 2)
    assert probe.backbone_reference is not None
    assert probe.backbone_reference["name"] == "mine/net"


def test_bare_name_serves_tune_as_it_is(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("mine", for_name("net", Small))
    assert type(build_model("net_tune", 1)) is Small


def test_factory_that_answers_the_full_name_is_not_offered_the_bare_one(
    registry: ModelFactoryRegistry,
) -> None:
    registry.register_model_factory("bare", for_name("net", LikeTimm))
    registry.register_model_factory("full", for_name("net_probe", Small))
    assert type(build_model("net_probe", 1)) is Small


@pytest.mark.parametrize("name", ["net_probe", "mine/net_probe"])
def test_module_without_features_is_no_probe(registry: ModelFactoryRegistry, name: str) -> None:
    registry.register_model_factory("mine", for_name("net", Small))
    with pytest.raises(InputError, match=r"'net' of 'mine' cannot be a probe.*get_features"):
        build_model(name, 1)


def test_factory_that_raises_for_the_suffix_is_still_offered_the_bare_name(
    registry: ModelFactoryRegistry,
) -> None:
    def make(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module:
        if model_name != "net":
            raise ValueError(model_name)
        return LikeTimm(kwargs["num_classes"])

    registry.register_model_factory("mine", make)
    assert isinstance(build_model("mine/net_probe", 1), Classifier)
    assert isinstance(build_model("net_probe", 1), Classifier)


def test_two_factories_cannot_share_a_name(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("mine", raising)
    registry.register_model_factory("mine", raising)
    with pytest.raises(InputError, match=r"'mine' is claimed twice, by .*raising and .*make"):
        registry.register_model_factory("mine", for_name("net", Small))


@pytest.mark.parametrize("name", ["timm", "a/b", "", 3])
def test_names_that_cannot_be_registered(registry: ModelFactoryRegistry, name: Any) -> None:
    with pytest.raises(InputError, match="model factory"):
        registry.register_model_factory(name, raising)


def test_factory_must_be_callable(registry: ModelFactoryRegistry) -> None:
    with pytest.raises(InputError, match="expected a function"):
        registry.register_model_factory("mine", "file.py")  # type: ignore[arg-type]


def test_factory_must_return_a_module(registry: ModelFactoryRegistry) -> None:
    registry.register_model_factory("mine", lambda model_name, **kwargs: "text")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="returned a str for 'net'"):
        build_model("mine/net", 1)


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_model_name_must_be_text(name: Any) -> None:
    with pytest.raises(InputError, match="model_name"):
        build_model(name, 1)


@pytest.mark.parametrize("classes", [0, -1, True, "2"])
def test_number_of_classes_must_be_positive(classes: Any) -> None:
    with pytest.raises(InputError, match="num_classes"):
        build_model("resnet18", classes)


def test_file_added_to_the_room_registers_itself(
    registry: ModelFactoryRegistry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "added_model.py").write_text(
        "from aigenbench.models.registry import ModelFactoryRegistry\n"
        "ModelFactoryRegistry().register_model_factory('added', lambda model_name, **kwargs: None)\n"
    )
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    monkeypatch.setattr(ModelFactoryRegistry, "_extensions_loaded", False)
    assert "added" in registry.source_names()


def test_entry_points_register_themselves(registry: ModelFactoryRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("installed", "tests_entry_point_target:make", "aigenbench.models")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: for_name("net", Small))
    monkeypatch.setattr("aigenbench.models.registry.entry_points", lambda group: [entry])
    monkeypatch.setattr(ModelFactoryRegistry, "_extensions_loaded", False)
    assert type(build_model("installed/net", 1)) is Small
