"""What holds for every registered source, run on its cheapest model; and the widths and sizes that are published."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.models import Preprocessing, build_model, check_input_size, preprocessing_of
from aigenbench.models.probe import Classifier
from aigenbench.models.registry import BUILT_IN, built_in_source
from aigenbench.models.sources.base import ModelSource, on_meta
from aigenbench.models.speed import apply_speed_options

every_source = pytest.mark.parametrize("source", [built_in_source(name) for name in BUILT_IN], ids=list(BUILT_IN))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of the sources that have no tiny model, made with tiny architectures."""
    import open_clip

    from aigenbench.models.sources import clip_releases, dinov2

    vision = {"image_size": 224, "width": 16, "patch_size": 16, "head_width": 8, "layers": 2}
    resnet = {"image_size": 224, "width": 8, "patch_size": None, "layers": [1, 1, 1, 1]}
    text = {"context_length": 5, "vocab_size": 5, "width": 8, "heads": 1, "layers": 1}
    for name, tower in (("tiny-vit", vision), ("tiny-resnet", resnet)):
        config = {"embed_dim": 12, "vision_cfg": tower, "text_cfg": text}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    releases, shorthands = clip_releases.OPENAI_RELEASES, clip_releases.OPENCLIP_SHORTHANDS
    monkeypatch.setitem(releases, "RN50", releases["RN50"]._replace(architecture="tiny-resnet"))
    b16 = shorthands["clipB16laion2B"]._replace(architecture="tiny-vit")
    monkeypatch.setitem(shorthands, "clipB16laion2B", b16)
    monkeypatch.setitem(dinov2._SHAPES, "dinov2_vits14", dinov2._Shape(16, 2, 2))


def example(source: ModelSource, suffix: str, seed: int = 0, **arguments: object) -> Classifier:
    torch.manual_seed(seed)
    name = f"{source.name}/{source.example.name}{suffix}"
    model = build_model(name, 2, **{"pretrained": False, **source.example.model_args, **arguments})
    assert isinstance(model, Classifier)
    return model


def batch(source: ModelSource) -> torch.Tensor:
    return torch.randn(2, 3, *source.example.input_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("small")
@every_source
def test_tuned_model_trains_evaluates_saves_and_reloads(source: ModelSource, tmp_path: Path) -> None:
    model = example(source, "_tune").train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    logits = model(batch(source))
    assert logits.shape == (2, 2)
    assert logits.dtype == torch.float32
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    optimizer.step()
    torch.save(model.eval().state_dict(), tmp_path / "checkpoint.pt")
    again = example(source, "_tune", seed=1).eval()
    with torch.no_grad():
        assert not torch.equal(again(batch(source)), model(batch(source)))
        again.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
        assert torch.equal(again(batch(source)), model(batch(source)))


@pytest.mark.usefixtures("small")
@every_source
def test_probe_freezes_everything_but_the_head(source: ModelSource) -> None:
    probe = example(source, "_probe")
    before = {name: tensor.clone() for name, tensor in probe.backbone.state_dict().items()}
    optimizer = torch.optim.SGD(probe.train().parameters(), lr=0.1)
    features = probe.features(batch(source))
    probe(batch(source)).sum().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in probe.backbone.state_dict().items())
    assert torch.equal(probe.features(batch(source)), features)
    assert list(probe.state_dict()) == ["head.weight", "head.bias"]
    assert features.shape == (2, probe.num_features)


def published_state(source: ModelSource) -> dict[str, torch.Tensor]:
    """Random weights under the names that the source's files have; a new source's are its backbone's own."""
    name = source.example.name
    if source.name == "torchvision":
        import torchvision

        return torchvision.models.get_model(name).state_dict()
    if source.name == "timm":
        import timm

        return timm.create_model(name).state_dict()
    state = example(source, "_tune", seed=7).backbone.state_dict()
    if source.name == "dinov2":
        state["mask_token"] = torch.zeros(1, 16)
    if source.name in ("openai", "openclip"):
        state["token_embedding.weight"] = torch.zeros(5, 4)
    return state


@pytest.mark.usefixtures("small")
@every_source
def test_weights_given_as_a_file_are_the_backbones(source: ModelSource, tmp_path: Path) -> None:
    torch.manual_seed(7)
    state = {name: tensor.contiguous() for name, tensor in published_state(source).items()}
    save_file(state, tmp_path / "weights.safetensors")
    arguments = {"pretrained": True, "weights": tmp_path / "weights.safetensors"}
    models = [example(source, "_probe", seed=seed, **arguments) for seed in (0, 1)]
    unloaded = example(source, "_probe", seed=0)
    first, second, other = (model.features(batch(source)) for model in (*models, unloaded))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert models[0].backbone_reference == models[1].backbone_reference


@pytest.mark.usefixtures("small")
@every_source
def test_weights_of_another_architecture_name_the_first_keys(source: ModelSource, tmp_path: Path) -> None:
    save_file({"some.weight": torch.zeros(2), "other.bias": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError) as caught:
        example(source, "_tune", pretrained=True, weights=tmp_path / "other.safetensors")
    message = str(caught.value)
    assert "other.safetensors" in message
    assert "\n" not in message
    assert len(message) < 700
    assert "missing" in message
    assert "unexpected" in message


@pytest.mark.usefixtures("small")
@every_source
def test_unknown_names_and_arguments(source: ModelSource) -> None:
    assert source.card("no_such_model") is None
    assert source("no_such_model_tune") is None
    with pytest.raises(InputError, match="no_such_argument"):
        example(source, "_tune", no_such_argument=1)


@pytest.mark.usefixtures("small")
@every_source
def test_names_are_unique_and_have_cards(source: ModelSource) -> None:
    names = list(source.names())
    assert len(names) == len(set(names))
    for name in names[:: max(1, len(names) // 25)]:
        card = source.card(name)
        assert card is not None
        assert isinstance(card.preprocessing, Preprocessing)


@pytest.mark.usefixtures("small")
@every_source
def test_preprocessing_comes_along(source: ModelSource) -> None:
    own = preprocessing_of(example(source, "_tune"))
    assert own is not None
    assert own == preprocessing_of(example(source, "_probe"))


@pytest.mark.usefixtures("small")
@every_source
def test_gradient_checkpointing_keeps_gradients_or_is_refused(source: ModelSource) -> None:
    gradients = []
    for enabled in (False, True):
        model = example(source, "_tune").train()
        if enabled:
            with suppress(InputError):  # not every network can
                apply_speed_options(model, "x", False, False, gradient_checkpointing=True)
        torch.manual_seed(0)
        model(batch(source)).sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))


@pytest.mark.usefixtures("small")
@every_source
def test_example_takes_its_size(source: ModelSource) -> None:
    for suffix in ("_tune", "_probe"):
        check_input_size(example(source, suffix), source.example.input_size)


@pytest.mark.parametrize(
    ("name", "millions", "features"),
    [
        ("openai/RN50", 38.3, 1024),
        ("openai/RN101", 56.3, 512),
        ("openai/RN50x4", 87.1, 640),
        ("openai/RN50x16", 167.3, 768),
        ("openai/RN50x64", 420.4, 1024),
        ("openai/ViT-B/32", 87.8, 512),
        ("openai/ViT-B/16", 86.2, 512),
        ("openai/ViT-L/14", 304.0, 768),
        ("openai/ViT-L/14@336px", 304.3, 768),
        ("openclip/clipL14commonpool", 304.0, 768),
        ("openclip/clipaL14datacomp", 304.0, 768),
        ("openclip/cocaL14laion2B", 306.7, 768),
        ("openclip/clipg14laion2B", 1012.6, 1024),
        ("openclip/eva2L14merged2b", 304.1, 768),
        ("openclip/clipB16laion2B", 86.2, 512),
        ("dinov2/dinov2_vits14", 22.1, 384),
        ("dinov2/dinov2_vitb14", 86.6, 768),
        ("dinov2/dinov2_vitl14", 304.4, 1024),
        ("dinov2/dinov2_vitl14_reg", 304.4, 1024),
        ("dinov2/dinov2_vitg14", 1136.5, 1536),
        ("timm/dinov3_vitl16", 303.1, 1024),
        ("timm/siglip2_so400m14", 427.7, 1152),
        ("timm/metaclip2_h14", 630.8, 1280),
        ("timm/pe_core_l14_336", 316.1, 1024),
        ("torchvision/resnet50", 23.5, 2048),
    ],
)
def test_parameters_and_features_are_the_published_ones(name: str, millions: float, features: int) -> None:
    source_name, _, model_name = name.partition("/")
    source = built_in_source(source_name)
    card = source.card(model_name)
    assert card is not None
    backbone = on_meta(lambda: source.backbone(card, None)).eval()
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    assert backbone.num_features == features
    with torch.no_grad():
        image = torch.empty(1, 3, *card.preprocessing.input_size, device="meta")
        assert backbone(image).shape == (1, features)


# shorthand -> open_clip's tag of the weights that the benchmark names
OPENCLIP_TAGS = {
    "clipL14openai": "openai",
    "clipL14laion400m": "laion400m_e32",
    "clipL14laion2B": "laion2b_s32b_b82k",
    "clipL14datacomp": "datacomp_xl_s13b_b90k",
    "clipL14commonpool": "commonpool_xl_s13b_b90k",
    "clipaL14datacomp": "datacomp1b",
    "cocaL14laion2B": "laion2b_s13b_b90k",
    "clipg14laion2B": "laion2b_s34b_b88k",
    "eva2L14merged2b": "merged2b_s4b_b131k",
    "clipB16laion2B": "laion2b_s34b_b88k",
}


def test_openclip_cards_are_what_open_clip_knows() -> None:
    from open_clip.pretrained import get_pretrained_cfg

    from aigenbench.models.sources.clip_releases import OPENCLIP_SHORTHANDS

    assert list(OPENCLIP_SHORTHANDS) == list(OPENCLIP_TAGS)
    source = built_in_source("openclip")
    for name, tag in OPENCLIP_TAGS.items():
        card = source.card(name)
        known = get_pretrained_cfg(OPENCLIP_SHORTHANDS[name].architecture, tag)
        assert card is not None
        assert card.weights[0].repo + "/" == known["hf_hub"]
        assert [file.url for file in card.weights if file.url] == [url for url in [known["url"]] if url]
        own = card.preprocessing
        assert (own.mean, own.std, own.interpolation) == (
            tuple(known["mean"]),
            tuple(known["std"]),
            known["interpolation"],
        )


def test_openai_cards_are_what_open_clip_knows() -> None:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    from aigenbench.models.sources.clip_releases import OPENAI_RELEASES

    source = built_in_source("openai")
    assert len(source.names()) == 9
    for name, release in OPENAI_RELEASES.items():
        card = source.card(name)
        known = get_pretrained_cfg(release.architecture, "openai")
        config = open_clip.get_model_config(release.architecture)
        assert card is not None
        assert card.weights[0].url == known["url"]
        assert f"/{card.weights[0].sha256}/" in known["url"]
        assert len(card.weights[0].sha256) == 64
        assert card.weights[1].repo + "/" == known["hf_hub"]
        assert config["quick_gelu"] is True
        assert card.preprocessing.input_size == (config["vision_cfg"]["image_size"],) * 2


def test_short_names_are_weights_that_timm_has() -> None:
    import timm

    from aigenbench.models.sources.timm_zoo import SHORT_NAMES

    published = set(timm.list_pretrained())
    assert set(SHORT_NAMES.values()) <= published
    assert not set(SHORT_NAMES) & set(timm.list_models())


@pytest.mark.usefixtures("small")
def test_openclip_features_have_unit_length_and_heads_start_small() -> None:
    source = built_in_source("openclip")
    model = example(source, "_probe")
    assert model.features(batch(source)).norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)
    assert isinstance(model.head, torch.nn.Linear)
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.15)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.features(batch(source)).norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)


def test_auxiliary_classifiers_are_gone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and torchvision's warning about initialisation is not shown
        model = build_model("googlenet_tune", 3, pretrained=False).train()
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)
    assert not any("aux" in name for name, _ in model.named_parameters())
