"""OpenAI's archives through the loader, against a forward pass written here from the architecture's description."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models import build_model
from aigenbench.models.sources import clip_releases, openai_clip
from aigenbench.models.weights.locate import RemoteFile

State = dict[str, torch.Tensor]
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


class Tree(nn.Module):
    """Parameters and buffers under dotted names; a program that a TorchScript archive can hold."""

    def __init__(self, tensors: State) -> None:
        super().__init__()
        for child in {name.partition(".")[0] for name in tensors if "." in name}:
            inside = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(child + ".")}
            self.add_module(child, Tree(inside))
        for name, tensor in tensors.items():
            if "." not in name and tensor.is_floating_point() and "running" not in name:
                self.register_parameter(name, nn.Parameter(tensor))
            elif "." not in name:
                self.register_buffer(name, tensor)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def write_archive(path: Path, tower: State) -> str:
    """A TorchScript archive as OpenAI's: half precision, both towers, the extra numbers. Returns its SHA-256."""
    text = {
        "positional_embedding": torch.randn(77, 8).half(),
        "token_embedding.weight": torch.randn(50, 8).half(),
        "transformer.resblocks.0.ln_1.weight": torch.randn(8).half(),
        "text_projection": torch.randn(8, 8).half(),
        "logit_scale": torch.tensor(4.6).half(),
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(50),
    }
    tree = Tree({f"visual.{name}": tensor for name, tensor in tower.items()} | text)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.save(torch.jit.trace(tree, torch.zeros(1)), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def random_half(shapes: dict[str, tuple[int, ...]]) -> State:
    """Values of a size that keeps activations moderate; gains and variances around one."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
            continue
        gain = name.endswith(("running_var", "ln_1.weight", "ln_2.weight", "ln_pre.weight", "ln_post.weight"))
        if gain or (".bn" in f".{name}" and name.endswith("weight")) or name.endswith("downsample.1.weight"):
            values = 1 + 0.1 * values.abs()
        elif len(shape) > 1:
            values = values / max(1, values[0].numel()) ** 0.5
        else:
            values = 0.1 * values
        state[name] = values.half()
    return state


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


def attention(x: torch.Tensor, heads: int, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Self-attention (N, T, D) before its output projection, by the formula."""
    n, t, d = x.shape
    q, k, v = (x @ weight.T + bias).view(n, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-1, -2)) / (d // heads) ** 0.5
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, t, d)


def plain_vit(
    s: State, images: torch.Tensor, heads: int, activation: Callable[[torch.Tensor], torch.Tensor] = quick_gelu
) -> torch.Tensor:
    """CLIP's vision transformer."""

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], s[f"{name}.weight"], s[f"{name}.bias"], 1e-5)

    kernel = s["conv1.weight"]
    x = F.conv2d(images, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([s["class_embedding"].expand(len(x), 1, -1), x], dim=1) + s["positional_embedding"]
    x = normed(x, "ln_pre")
    for i in range(sum(name.endswith("ln_1.weight") for name in s)):
        block = f"transformer.resblocks.{i}"
        mixed = attention(
            normed(x, f"{block}.ln_1"),
            heads,
            s[f"{block}.attn.in_proj_weight"],
            s[f"{block}.attn.in_proj_bias"],
        )
        x = x + mixed @ s[f"{block}.attn.out_proj.weight"].T + s[f"{block}.attn.out_proj.bias"]
        hidden = normed(x, f"{block}.ln_2") @ s[f"{block}.mlp.c_fc.weight"].T + s[f"{block}.mlp.c_fc.bias"]
        x = x + activation(hidden) @ s[f"{block}.mlp.c_proj.weight"].T + s[f"{block}.mlp.c_proj.bias"]
    return normed(x[:, 0], "ln_post") @ s["proj"]


def plain_resnet(s: State, images: torch.Tensor, heads: int) -> torch.Tensor:
    """CLIP's modified ResNet: three-convolution stem, average pools for strides, attention pooling."""

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = s[f"{name}.running_mean"], s[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, s[f"{name}.weight"], s[f"{name}.bias"], eps=1e-5)

    x = images
    for i, stride in ((1, 2), (2, 1), (3, 1)):
        x = F.relu(normed(F.conv2d(x, s[f"conv{i}.weight"], stride=stride, padding=1), f"bn{i}"))
    x = F.avg_pool2d(x, 2)
    for layer in range(1, 5):
        for i in range(sum(n.startswith(f"layer{layer}.") and n.endswith("conv1.weight") for n in s)):
            block = f"layer{layer}.{i}"
            stride = 2 if layer > 1 and i == 0 else 1
            y = F.relu(normed(F.conv2d(x, s[f"{block}.conv1.weight"]), f"{block}.bn1"))
            y = F.relu(normed(F.conv2d(y, s[f"{block}.conv2.weight"], padding=1), f"{block}.bn2"))
            y = F.avg_pool2d(y, stride) if stride > 1 else y
            y = normed(F.conv2d(y, s[f"{block}.conv3.weight"]), f"{block}.bn3")
            if i == 0:
                x = F.avg_pool2d(x, stride) if stride > 1 else x
                x = normed(F.conv2d(x, s[f"{block}.downsample.0.weight"]), f"{block}.downsample.1")
            x = F.relu(x + y)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + s["attnpool.positional_embedding"]
    weight = torch.cat([s[f"attnpool.{part}_proj.weight"] for part in "qkv"])
    bias = torch.cat([s[f"attnpool.{part}_proj.bias"] for part in "qkv"])
    pooled = attention(x, heads, weight, bias)[:, 0]
    return pooled @ s["attnpool.c_proj.weight"].T + s["attnpool.c_proj.bias"]


CASES = {"ViT-B/32": (12, plain_vit), "RN50": (32, plain_resnet)}


#: Layers of a tower that has all kinds of the real one's; None is the real one.
FEWER = {"ViT-B/32": 2, "RN50": [2, 1, 1, 1]}


def use_layers(name: str, layers: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, ...]]:
    """Let ``name`` mean its architecture with so many layers, everything else as it is; return its tower's shapes."""
    import open_clip

    release = clip_releases.OPENAI_RELEASES[name]
    config = copy.deepcopy(open_clip.get_model_config(release.architecture))
    if layers is not None:
        config["vision_cfg"]["layers"] = layers
    fewer = f"{folder.name}-{release.architecture}"
    (folder / f"{fewer}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    monkeypatch.setitem(clip_releases.OPENAI_RELEASES, name, release._replace(architecture=fewer))
    with torch.device("meta"):
        model = open_clip.create_model(fewer, load_weights=False, device="meta")
    return {key: tuple(value.shape) for key, value in model.visual.state_dict().items()}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_archive_gives_the_features_of_a_plain_forward(
    name: str, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = random_half(use_layers(name, None if whole else FEWER[name], tmp_path, monkeypatch))
    file = openai_clip.OpenAIClip().card(name).weights[0].filename  # type: ignore[union-attr]
    sha256 = write_archive(tmp_path / file, state)
    monkeypatch.setitem(
        clip_releases.OPENAI_RELEASES, name, clip_releases.OPENAI_RELEASES[name]._replace(sha256=sha256)
    )
    model: Any = build_model(f"{name}_probe", 1, weights_dir=tmp_path)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    heads, plain = CASES[name]
    state = {key: value.float() for key, value in state.items()}
    with torch.no_grad():
        features, expected = model.features(images), plain(state, images, heads)
        assert features.dtype == torch.float32
        scale = expected.abs().mean()
        assert (features - expected).abs().max() < 1e-4 * scale
        if plain is plain_vit:
            swapped = plain_vit(state, images, heads, activation=F.gelu)
            assert (features - swapped).abs().max() > 1e-2 * scale


def tiny_archive(path: Path) -> str:
    return write_archive(path, {"conv1.weight": torch.zeros(1, 3, 1, 1).half()})


def test_archive_whose_hash_is_not_published_is_refused(tmp_path: Path) -> None:
    sha256 = tiny_archive(tmp_path / "RN50.pt")
    with pytest.raises(InputError, match=f"TorchScript.*{sha256[:12]}.*trusted: true"):
        build_model("RN50_tune", 1, weights_dir=tmp_path)
    with pytest.raises(InputError, match="TorchScript"):
        build_model("RN50_tune", 1, weights=tmp_path / "RN50.pt")


def test_trust_is_for_the_users_own_file_alone(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "RN50.pt")
    with pytest.raises(InputError, match="are not those of openai/RN50: missing"):
        build_model("RN50_tune", 1, weights=tmp_path / "RN50.pt", trusted=True)
    with pytest.raises(InputError, match="TorchScript"):
        build_model("RN50_tune", 1, weights_dir=tmp_path, trusted=True)


def test_truncated_archive(tmp_path: Path) -> None:
    path = tmp_path / "RN50.pt"
    tiny_archive(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"RN50.pt is half a file: it ends after"):
        build_model("RN50_tune", 1, weights=path, trusted=True)


def test_prefix_of_a_hash_does_not_open_an_archive(tmp_path: Path) -> None:
    from aigenbench.models.weights.reading import read_weights

    sha256 = tiny_archive(tmp_path / "a.pt")
    with pytest.raises(InputError, match="not the published one"):
        read_weights(tmp_path / "a.pt", [RemoteFile("a.pt", sha256=sha256[:8])])
    assert "visual.conv1.weight" in read_weights(tmp_path / "a.pt", [RemoteFile("a.pt", sha256=sha256)])


def test_transformer_of_another_size_interpolates_its_positions() -> None:
    model: Any = build_model("ViT-B/32_tune", 1, pretrained=False, image_size=64)
    assert model.backbone.visual.positional_embedding.shape == (5, 768)
    assert model.preprocessing.input_size == (64, 64)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1)
