"""Parts of backbones against plain definitions: which layer, which tokens, the final norm, several side by side."""

from __future__ import annotations

import copy
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aigenbench.errors import InputError
from aigenbench.models import ModelFactoryRegistry, build_model, check_input_size
from aigenbench.models.composing import build_with_parts
from aigenbench.models.finetune import Finetune, finetuned
from aigenbench.models.parts import Features, Further
from aigenbench.models.probe import Classifier, weights_hash
from aigenbench.models.tapping import SideBySide

VIT, RESNET, CLIP = "timm/test_vit", "timm/test_resnet", "openai/ViT-B/32"
SMALL = {"image_size": 64}


def built(name: str, features: Any = None, backbones: Any = None, **arguments: Any) -> Any:
    torch.manual_seed(0)
    return build_with_parts(name, 1, {"pretrained": False, **arguments}, features, backbones).eval()


def images(size: int = 160, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(5))


def split(model: Any, features: torch.Tensor) -> dict[str, torch.Tensor]:
    widths = [part.width for part in model.layout]
    return {part.name: vector for part, vector in zip(model.layout, features.split(widths, 1), strict=True)}


# against plain definitions


def test_the_default_is_the_model_as_it_was() -> None:
    for value in (None, {}, {"layers": "last"}, {"layers": "last", "tokens": "default"}):
        model = built(f"{VIT}_probe", value)
        assert not isinstance(model.backbone, SideBySide)
        (part,) = model.layout
        assert (part.name, part.width, part.layer) == (VIT, 64, None)


def test_tokens_of_a_timm_transformer_are_its_own_after_the_final_norm() -> None:
    model = built(f"{VIT}_probe", {"layers": [1, -2, -1], "tokens": "both"})
    network: Any = model.backbone.backbones[0].module.network
    with torch.no_grad():
        found = split(model, model.features(images()))
        tokens = network.patch_embed(images())
        tokens = network.norm_pre(network.patch_drop(network._pos_embed(tokens)))
        for i, block in enumerate(network.blocks):
            tokens = block(tokens)
            normed = network.norm(tokens)
            if i in (1, 4, 5):
                assert torch.equal(found[f"{VIT} layer {i} cls"], normed[:, 0])
                assert torch.equal(found[f"{VIT} layer {i} patches"], normed[:, 1:].mean(dim=1))
    assert len(found) == 6


@pytest.mark.parametrize(("tokens", "pool"), [("cls", "token"), ("patches", "avg")])
def test_after_the_last_layer_they_are_what_the_model_pools(tokens: str, pool: str) -> None:
    last = {"layers": "last", "tokens": tokens}
    for more in ({}, {"fc_norm": True}):
        plain, model = (built(f"{VIT}_probe", features, global_pool=pool, **more) for features in (None, last))
        with torch.no_grad():
            torch.testing.assert_close(model.features(images()), plain.features(images()))


def test_of_dinov2_the_last_class_token_is_its_own_output() -> None:
    name, size = "dinov2_vits14_reg_probe", 28
    model = built(name, {"layers": [3, -1], "tokens": "both"})
    network = model.backbone.backbones[0].module
    tokens: list[torch.Tensor] = []
    network.blocks[3].register_forward_hook(lambda _m, _i, output: tokens.append(output))
    with torch.no_grad():
        own = network(images(size))
        found = split(model, model.features(images(size)))
        normed = network.norm(tokens[0])
    stem = "dinov2/dinov2_vits14_reg layer"
    assert torch.equal(found[f"{stem} 11 cls"], own)
    assert torch.equal(found[f"{stem} 3 cls"], normed[:, 0])
    # a class token and four registers
    assert torch.equal(found[f"{stem} 3 patches"], normed[:, 5:].mean(dim=1))


@pytest.mark.parametrize("name", ["openai/ViT-B/32", "openclip/clipB16laion2B"])
def test_of_clip_they_are_open_clips_own_intermediates(name: str) -> None:
    model = built(f"{name}_probe", {"layers": [0, 7], "tokens": "both"}, image_size=32)
    visual: Any = model.backbone.backbones[0].module.visual
    with torch.no_grad():
        found = split(model, model.features(images(32)))
        given = visual.forward_intermediates(
            images(32), indices=[0, 7], normalize_intermediates=True, output_extra_tokens=True, output_fmt="NLC"
        )
    for i, layer in enumerate((0, 7)):
        assert torch.equal(found[f"{name} layer {layer} cls"], given["image_intermediates_prefix"][i][:, 0])
        assert torch.equal(found[f"{name} layer {layer} patches"], given["image_intermediates"][i].mean(dim=1))


@pytest.mark.parametrize(
    ("name", "at", "size"),
    [
        (RESNET, "module.network.layer{}", 64),
        ("openai/RN50", "module.visual.layer{}", 64),
        ("torchvision/resnet18", "module.layer{}", 64),
        ("torchvision/mobilenet_v2", "module.features.{}", 64),
        # its rectifiers write into the maps before them
        ("torchvision/squeezenet1_1", "module.features.{}", 64),
        ("torchvision/shufflenet_v2_x0_5", "module.stage{}", 64),
    ],
)
def test_of_convolutional_networks_they_are_means_of_stages(name: str, at: str, size: int) -> None:
    layer = 0
    model = built(f"{name}_probe", {"layers": [layer, -1]}, **({"image_size": 224} if "RN50" in name else {}))
    size = 224 if "RN50" in name else size
    tapped = model.backbone.backbones[0]
    number = layer + {"features": 0, "stage": 2}.get(at.split(".")[1].rstrip("{}"), 1)
    maps: list[torch.Tensor] = []
    tapped.get_submodule(at.format(number)).register_forward_hook(lambda _m, _i, output: maps.append(output.clone()))
    with torch.no_grad():
        found = split(model, model.features(images(size)))
    torch.testing.assert_close(found[f"{name} layer 0"], maps[0].mean(dim=(2, 3)))
    assert len(found) == 2


def test_maps_with_the_channels_last_are_read_so() -> None:
    for name in ("torchvision/swin_t", "timm/swin_tiny_patch4_window7_224"):
        assert [part.width for part in built(f"{name}_probe", {"layers": [0, -1]}).layout] == [96, 768]


# one forward pass, whoever asks


def test_one_forward_pass_gives_all_and_leaves_no_hooks() -> None:
    model = built(f"{VIT}_probe", {"layers": [0, 2, 5], "tokens": "both"})
    module = model.backbone.backbones[0].module
    passes: list[int] = []
    module.register_forward_hook(lambda *_: passes.append(1))
    before = [len(one._forward_hooks) for one in module.modules()]
    model.features(images())
    assert len(passes) == 1
    assert [len(one._forward_hooks) for one in module.modules()] == before


def test_threads_that_share_a_model_do_not_disturb_each_other() -> None:
    model = built(f"{VIT}_probe", {"layers": [0, -1]})
    batches = [images(n=n) for n in (1, 2, 3, 4)]
    expected = [model.features(batch) for batch in batches]
    alike: list[bool] = []

    def work(i: int) -> None:
        alike.extend(torch.equal(model.features(batches[i]), expected[i]) for _ in range(5))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alike) == 20
    assert all(alike)


@pytest.mark.parametrize("name", [VIT, RESNET])
def test_what_the_layers_do_not_depend_on_does_not_train(name: str) -> None:
    model = built(f"{name}_tune", {"layers": [1, 2]}).train()
    model(images(64)).sum().backward()
    idle = model.backbone.idle
    assert idle, "what comes after the last layer that is read"
    for path, parameter in model.named_parameters():
        is_idle = path.removeprefix("backbone.") in idle
        assert (parameter.grad is None, parameter.requires_grad) == (is_idle, not is_idle), path


@pytest.mark.parametrize("name", [VIT, "dinov2_vits14", CLIP])
def test_gradients_through_layers_are_the_same_under_checkpointing(name: str) -> None:
    layers, arguments = {"layers": [1, 2], "tokens": "both"}, SMALL if name == CLIP else {}
    plain, saved = (built(f"{name}_tune", layers, gradient_checkpointing=on, **arguments) for on in (False, True))
    for model in (plain, saved):
        model.train()(images(56 if "dino" in name else 64)).sum().backward()
    for (path, one), other in zip(plain.named_parameters(), saved.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, msg=path)
    assert plain.backbone.idle == saved.backbone.idle
    with pytest.raises(InputError, match="test_resnet run in pieces under gradient_checkpointing; leave it out"):
        built(f"{RESNET}_tune", layers | {"tokens": "default"}, gradient_checkpointing=True)


@pytest.mark.parametrize("kind", ["layernorm", "bias", {"lora": {"rank": 2}}], ids=str)
def test_few_weights_train_under_layers(kind: Any) -> None:
    few: Any = finetuned(built(f"{VIT}_tune", {"layers": [0, 2], "tokens": "both"}), Finetune.of(kind), VIT)
    loss = few.train()(images()).sum()
    loss.backward()
    # of blocks after the last that is read, nothing trains
    assert all(p.grad is not None for p in few.parameters())
    assert not any(f"blocks/{i}" in name for name, _ in few.named_parameters() for i in (3, 4, 5))
    with torch.no_grad():
        for parameter in few.parameters():
            parameter.add_(0.01)
        few.eval()
        torch.testing.assert_close(few.exposed()(images()), few(images()), atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="has no such weights that its features depend on"):
        finetuned(built(f"{VIT}_tune", {"layers": [2]}), Finetune.of("last_blocks"), VIT)


def test_under_autocast_parts_come_as_the_backbone_computes_them() -> None:
    model = built(f"{VIT}_probe", {"layers": [0, -1], "tokens": "both"})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = model.features(images())
        logits = model(images())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(features.float(), model.features(images()), atol=0.2, rtol=0.1)


def test_copies_and_moves_take_all_backbones_along() -> None:
    model = built(f"{VIT}_probe", None, [RESNET])
    assert list(model.state_dict()) == ["head.weight", "head.bias"]
    other = copy.deepcopy(model)
    assert torch.equal(other(images()), model(images()))
    assert {p.dtype for p in other.double().exposed().parameters()} == {torch.float64}
    assert other.features(images().double()).dtype == torch.float64


# several backbones


def test_backbones_side_by_side_see_their_own_pixels() -> None:
    levels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    own = [built(f"{name}_probe").preprocessing for name in (CLIP, RESNET)]
    model = built(f"{CLIP}_probe", {"layers": [2]}, [{f"{RESNET}_probe": {"features": {"layers": [-1]}}}], **SMALL)
    assert [part.name for part in model.layout] == [f"{CLIP} layer 2 cls", f"{RESNET} layer 3"]
    assert model.name == f"{CLIP} + {RESNET}"
    vit, resnet = model.backbone.backbones
    assert own[0].mean != own[1].mean

    def seen(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
        return (levels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.no_grad():
        expected = torch.cat([*vit(seen(own[0].mean, own[0].std)), *resnet(seen(own[1].mean, own[1].std))], 1)
        torch.testing.assert_close(model.features(seen(own[0].mean, own[0].std)), expected, atol=1e-5, rtol=1e-5)
        # the first's are overridden: the others' are made of what they are now
        model.images_are(own[1])
        found = model.features(seen(own[1].mean, own[1].std))[:, 768:]
        assert torch.equal(found, resnet(seen(own[1].mean, own[1].std))[0])


def test_references_name_all_backbones() -> None:
    alone, layers = built(f"{VIT}_probe"), built(f"{VIT}_probe", {"layers": [0]})
    assert layers.backbone_reference == alone.backbone_reference
    both = built(f"{VIT}_probe", None, [RESNET])
    assert both.backbone_reference["name"] == f"{VIT} + {RESNET}"
    assert weights_hash(both.backbone) not in (weights_hash(one.module) for one in both.backbone.backbones)


def test_a_size_that_one_cannot_take_is_told_of_it() -> None:
    with pytest.raises(InputError, match=r"dinov2_vits14.*160|160.*dinov2|multiples of 14"):
        check_input_size(built(f"{VIT}_probe", None, ["dinov2_vits14"]), (160, 160))
    with pytest.raises(InputError, match=r"openai/ViT-B/32 cannot take images of 160 x 160 .*made for 64 x 64"):
        check_input_size(built(f"{RESNET}_probe", None, [{CLIP: {"model_args": SMALL}}]), (160, 160))


# what is refused


@pytest.mark.parametrize(
    ("name", "features", "said"),
    [
        (VIT, {"layers": [6]}, r"timm/test_vit has no layer 6; it has 6, from 0 to 5 \(or -6 to -1\)"),
        (VIT, {"layers": [-7]}, "has no layer -7"),
        (VIT, {"layers": [5, -1]}, "layer -1 of timm/test_vit is named twice, as 5 of 6"),
        (VIT, {"layers": []}, "layers: expected last, or a list of blocks"),
        (VIT, {"layers": 3}, "layers: expected last, or a list of blocks.*found 3"),
        (VIT, {"layers": [True]}, "layers: expected last"),
        (VIT, {"layer": [3]}, "model.features: unknown 'layer'; it takes layers, tokens.*'layers'"),
        (VIT, {"tokens": "class"}, "tokens: expected one of default, cls, patches, both, found 'class'"),
        (VIT, "cls", "model.features: expected layers, tokens with their values, found 'cls'"),
        (RESNET, {"tokens": "cls"}, "timm/test_resnet has no tokens: cls; its layers give a map, whose mean is"),
        ("timm/vit_base_patch16_siglip_224", {"tokens": "both"}, "has no tokens: both; its layers give tokens: patche"),
        ("small_cnn", {"layers": [0]}, "small_cnn/small_cnn has no blocks or stages"),
        ("timm/cait_xxs24_224", {"layers": [0]}, "cannot be read after layer 0, which gives neither"),
        # its stages are never called, only what is in them
        ("timm/twins_pcpvt_small", {"layers": [0]}, "cannot be read after layer 0, which gives neither"),
    ],
)
def test_layers_and_tokens_that_a_backbone_lacks_are_refused_by_name(name: str, features: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        built(f"{name}_probe", features)


@pytest.mark.parametrize(
    ("name", "backbones", "said"),
    [
        (f"{VIT}_tune", [RESNET], "timm/test_vit is to be tuned; of several backbones none trains: use its _probe"),
        (f"{VIT}_probe", [f"{RESNET}_tune"], "test_resnet_tune: further backbones are frozen; write timm/test_resnet$"),
        (f"{VIT}_probe", [VIT], "model.backbones: timm/test_vit is named twice"),
        (f"{VIT}_probe", RESNET, "model.backbones: expected a list of models' names"),
        (f"{VIT}_probe", [{RESNET: {"feature": {}}}], "unknown 'feature'; it takes features, model_args.*'features'"),
        (f"{VIT}_probe", [{RESNET: {"features": {"layers": [9]}}}], "timm/test_resnet has no layer 9; it has 4"),
        (f"{VIT}_probe", [{RESNET: {"model_args": 3}}], "test_resnet: model_args: expected arguments"),
        (f"{VIT}_probe", [3], "expected names, or .*found 3"),
        (f"{VIT}_probe", ["timm/test_resnett"], "no model 'test_resnett_probe' in source 'timm'"),
    ],
)
def test_backbones_that_cannot_stand_beside_are_refused_by_name(name: str, backbones: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        built(name, None, backbones)


def test_compiled_layers_are_refused_and_so_are_a_users_own() -> None:
    with pytest.raises(InputError, match="timm/test_vit cannot be compiled where layers are read"):
        built(f"{VIT}_probe", {"layers": [0]}, compile=True)

    def factory(model_name: str, num_classes: int = 1, **_: Any) -> nn.Module | None:
        if model_name == "whole":
            return nn.Flatten()
        body: Any = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
        body.num_features = 4
        return Classifier(body, num_classes, True, name="mine/body") if "body" in model_name else None

    with ModelFactoryRegistry().isolated():
        ModelFactoryRegistry().register_model_factory("mine", factory)
        with pytest.raises(InputError, match="the layers of mine/body_probe, a model of yours, are not known"):
            built("mine/body_probe", {"layers": [0]})
        with pytest.raises(InputError, match="mine/whole is a module of its own, not a backbone with a head"):
            built("mine/whole", None, [VIT])
        beside = built(f"{VIT}_probe", None, ["mine/body"])
        assert [part.name for part in beside.layout] == [VIT, "mine/body"]
        assert beside.features(images()).shape == (2, 68)


def test_what_a_config_says_is_read_without_building() -> None:
    (further,) = Further.all_of([{"timm/x_probe": {"features": {"layers": [1]}, "model_args": {"img_size": 64}}}])
    assert (further.name, further.features) == ("timm/x", Features((1,)))
    assert further.arguments == {"img_size": 64}
    assert Further.all_of(None) == ()


# the real ones


def real(name: str) -> Path:
    path = Path(os.environ.get("AIGENBENCH_REAL_WEIGHTS", "/nowhere")) / name
    if not path.is_file():
        pytest.skip(f"no {path}: AIGENBENCH_REAL_WEIGHTS names the folder")
    return path


@pytest.mark.slow
def test_of_the_real_clip_they_are_open_clips_own() -> None:
    path = real("openai_clip_vitb16.safetensors")
    layers = [0, 3, 6, -1]
    of = {"weights": real("mobilenet_v2-b0353104.pth")}
    mobile = {"torchvision/mobilenet_v2": {"model_args": of, "features": {"layers": [3, -1]}}}
    wanted = {"layers": layers, "tokens": "both"}
    model: Any = build_with_parts("openai/ViT-B/16_probe", 1, {"weights": path}, wanted, [mobile])
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(4))
    given, theirs = ((pixels - torch.tensor(p.mean).view(3, 1, 1)) / torch.tensor(p.std).view(3, 1, 1)
                     for p in model.backbone.preprocessings)  # fmt: skip
    plain: Any = build_model("torchvision/mobilenet_v2_probe", 1, weights=real("mobilenet_v2-b0353104.pth"))
    with torch.no_grad():
        found = split(model, model.features(given))
        expected = model.backbone.backbones[0].module.visual.forward_intermediates(
            given, indices=[0, 3, 6, 11], normalize_intermediates=True, output_extra_tokens=True, output_fmt="NLC"
        )
        maps: dict[int, torch.Tensor] = {}
        for layer in (3, 18):
            plain.backbone.features[layer].register_forward_hook(
                lambda _m, _i, output, layer=layer: maps.update({layer: output.mean(dim=(2, 3))})
            )
        plain.features(theirs)
    for layer, expected_map in maps.items():
        stage = found[f"torchvision/mobilenet_v2 layer {layer}"]
        torch.testing.assert_close(stage, expected_map, atol=1e-4, rtol=1e-4)
    for i, layer in enumerate((0, 3, 6, 11)):
        cls, patches = (found[f"openai/ViT-B/16 layer {layer} {kind}"] for kind in ("cls", "patches"))
        torch.testing.assert_close(cls, expected["image_intermediates_prefix"][i][:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(patches, expected["image_intermediates"][i].mean(dim=1), atol=1e-5, rtol=1e-5)
