"""Every torchvision classifier, and the smallest member of every timm family, as tune and as probe."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from aigenbench.errors import InputError
from aigenbench.models import build_model
from aigenbench.models.probe import Classifier
from aigenbench.models.sources.base import on_meta

CLASSIFIERS = torchvision_models.list_models(module=torchvision_models)

#: The smallest member of each of torchvision's families, and the smallest images that it takes.
SMALLEST = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "swin_t": 32,
    "swin_v2_t": 32,
    "vgg11_bn": 32,
    "vit_b_32": 224,
    "wide_resnet50_2": 32,
}

#: A small member of each of timm's families.
TIMM = """
beit_base_patch16_224 halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext
cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deepseek_vit_412m
deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0
test_efficientnet efficientvim_m1 efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224 fasternet_t0 fastvit_t8
focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 sam2_hiera_tiny
hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small
levit_128s lowformer_b0 test_mambaout coatnet_pico_rw_224 poolformer_s12 gmlp_ti16_224 mobilenetv3_small_050
mobilenetv5_base mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge nest_tiny nextvit_small
test_nfnet pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050 repvit_m1
res2next50 resnest14d test_resnet resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1
skresnet18 starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224 swinv2_tiny_window16_256 swinv2_cr_tiny_224
tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny test_vit
vit_tiny_r_s16_p8_224 test_vit_relpos vit_relpos_small_patch16_224 samvit_base_patch16_224 vitamin_small_224
volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p xcit_nano_12_p16_224
""".split()  # noqa: SIM905 - a hundred lines otherwise


def build(name: str, **arguments: Any) -> Any:
    torch.manual_seed(0)
    model = build_model(name, 3, pretrained=False, **arguments)
    assert isinstance(model, Classifier)
    return model


def check_pair(name: str, size: tuple[int, int], **arguments: Any) -> None:
    """Tune trains every parameter; the probe gives the same logits in eval mode and holds its head alone."""
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    tune, probe = build(f"{name}_tune", **arguments), build(f"{name}_probe", **arguments)
    assert list(probe.state_dict()) == ["head.weight", "head.bias"]
    with torch.no_grad():
        logits = probe.eval()(images)
        assert logits.shape == (2, 3)
        assert torch.allclose(tune.eval()(images), logits, atol=1e-5)
    tune.train()(images).sum().backward()
    unused = [n for n, p in tune.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == [], "parameters without gradient would stop distributed training"


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_torchvision_classifier_builds_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # RegNets are built with real memory: their widths are computed with tensors
    for initialise in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, initialise, lambda tensor, *args, **kwargs: tensor)
    tune, probe = (on_meta(partial(build, f"torchvision/{name}_{s}")) for s in ("tune", "probe"))
    assert list(probe.state_dict()) == ["head.weight", "head.bias"]
    assert tune.num_features == probe.num_features
    weights = torchvision_models.get_model_weights(name).DEFAULT
    backbone = sum(p.numel() for n, p in tune.named_parameters() if not n.startswith("head."))
    last = (tune.num_features + (name != "maxvit_t")) * 1000  # whose last layer has no bias
    auxiliary = {"inception_v3": 27_161_264 - 23_834_568}.get(name, 0)
    assert backbone + last + auxiliary == weights.meta["num_params"]
    if next(tune.parameters()).is_meta:
        for model in (tune.train(), probe):
            assert model(torch.empty(2, 3, *tune.preprocessing.input_size, device="meta")).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SMALLEST))
def test_smallest_of_every_torchvision_family_runs(name: str) -> None:
    check_pair(f"torchvision/{name}", (SMALLEST[name], SMALLEST[name]))


@pytest.mark.slow
def test_torchvision_transformer_of_another_size_interpolates_its_positions(tmp_path: Path) -> None:
    state = torchvision_models.vit_b_32().state_dict()
    nn.init.normal_(state["encoder.pos_embedding"])
    save_file(state, tmp_path / "vit.safetensors")
    model: Any = build_model("vit_b_32_probe", 1, weights=tmp_path / "vit.safetensors", image_size=96)
    positions = model.backbone.encoder.pos_embedding
    assert positions.shape == (1, 10, 768)
    assert torch.equal(positions[:, 0], state["encoder.pos_embedding"][:, 0])
    assert model.preprocessing.input_size == (96, 96)


def test_every_torchvision_family_is_run() -> None:
    module = {name: torchvision_models.get_model_builder(name).__module__ for name in CLASSIFIERS}
    assert {module[name] for name in SMALLEST} == set(module.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_every_timm_family_builds_both_ways(name: str, tmp_path: Path) -> None:
    tune, probe = (on_meta(partial(build, f"timm/{name}_{s}")) for s in ("tune", "probe"))
    assert list(probe.state_dict()) == ["head.weight", "head.bias"]
    images = torch.empty(2, 3, *tune.preprocessing.input_size, device="meta")
    assert probe(images).shape == (2, 3)
    tune.train()(images).sum().backward()
    unused = [n for n, p in tune.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == [], "parameters without gradient would stop distributed training"
    save_file({"stranger.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=f"are not those of timm/{name}: "):
        on_meta(lambda: build_model(f"timm/{name}", 3, weights=tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["dla46x_c", "inception_v3"])
def test_families_that_load_leniently_still_refuse_other_weights(name: str, tmp_path: Path) -> None:
    save_file({"stranger.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=f"not those of timm/{name}: missing .*stranger"):
        on_meta(lambda: build_model(f"timm/{name}", 3, weights=tmp_path / "other.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TIMM if name.startswith("test_")])
def test_timm_models_made_for_tests_run(name: str) -> None:
    size = build(f"timm/{name}").preprocessing.input_size
    check_pair(f"timm/{name}", size)


def test_every_timm_family_is_built() -> None:
    import timm

    known = {module: set(timm.list_models(module=module)) for module in timm.list_modules()}
    assert [module for module, names in known.items() if not names & set(TIMM)] == []
