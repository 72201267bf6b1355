"""The image towers of OpenCLIP models, by shorthands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from aigenbench.models.registry import known_arguments
from aigenbench.models.source import Card, Example, Source
from aigenbench.models.weights import RemoteFile

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.reading import StateDict

_CLIP = Preprocessing(CLIP_MEAN, CLIP_STD, (224, 224), "bicubic")
_HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (224, 224), "bicubic")
_IMAGENET = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (224, 224), "bilinear")

_OPENAI_SHA256 = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
_OPENAI = RemoteFile.at(f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/ViT-L-14.pt", _OPENAI_SHA256)
_LAION400M = RemoteFile.at(
    "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights/vit_l_14-laion400m_e32-3d133497.pt",
    "3d133497",
)


class _Shorthand(NamedTuple):
    architecture: str  # open_clip's name
    repo: str  # on the hub
    licence: str
    preprocessing: Preprocessing = _CLIP
    elsewhere: tuple[RemoteFile, ...] = ()


_SHORTHANDS = {
    "clipL14openai": _Shorthand(
        "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", "MIT", elsewhere=(_OPENAI,)
    ),
    "clipL14laion400m": _Shorthand(
        "ViT-L-14", "timm/vit_large_patch14_clip_224.laion400m_e32", "MIT", elsewhere=(_LAION400M,)
    ),
    "clipL14laion2B": _Shorthand("ViT-L-14", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT", _HALF),
    "clipL14datacomp": _Shorthand("ViT-L-14", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "MIT"),
    "clipL14commonpool": _Shorthand("ViT-L-14", "laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K", "MIT"),
    "clipaL14datacomp": _Shorthand("ViT-L-14-CLIPA", "UCSC-VLAA/ViT-L-14-CLIPA-datacomp1B", "Apache-2.0", _IMAGENET),
    "cocaL14laion2B": _Shorthand("coca_ViT-L-14", "laion/CoCa-ViT-L-14-laion2B-s13B-b90k", "MIT"),
    "clipg14laion2B": _Shorthand("ViT-g-14", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "MIT"),
    "eva2L14merged2b": _Shorthand("EVA02-L-14", "timm/eva02_large_patch14_clip_224.merged2b_s4b_b131k", "MIT"),
    "clipB16laion2B": _Shorthand("ViT-B-16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "MIT"),
}


class OpenClip(Source):
    """``clipL14openai``, ``clipL14commonpool`` ... (``names()``); features are L2-normalised image embeddings.

    ``image_size`` builds a tower for another size, its position embeddings interpolated.
    """

    name = "openclip"
    example = Example("clipB16laion2B", (32, 32), {"image_size": 32})
    head_std = 0.02

    def names(self) -> Sequence[str]:
        """The shorthands."""
        return list(_SHORTHANDS)

    def card(self, name: str) -> Card | None:
        """On the hub, safetensors before the pickle; elsewhere after both."""
        if name not in _SHORTHANDS:
            return None
        shorthand = _SHORTHANDS[name]
        on_hub = (
            RemoteFile("open_clip_model.safetensors", repo=shorthand.repo),
            RemoteFile("open_clip_pytorch_model.bin", repo=shorthand.repo),
        )
        return Card(name, shorthand.preprocessing, on_hub + shorthand.elsewhere, shorthand.licence)

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The image tower with normalised embeddings; the text tower is left out."""
        from aigenbench.models.clip_towers import ImageTower

        known_arguments(model_args, ("image_size",), f"openclip/{card.name}")
        return ImageTower.build(_SHORTHANDS[card.name].architecture, state, normalised=True, **model_args)

    def lookalikes(self, card: Card) -> Sequence[str]:
        """Models of OpenAI's and OpenCLIP's with a tower of the same shapes."""
        return same_shapes(_SHORTHANDS[card.name].architecture, f"openclip/{card.name}")


def same_shapes(architecture: str, but: str) -> list[str]:
    """``source/name`` of the CLIP models here and of OpenAI's whose towers have the shapes of ``architecture``'s.

    They differ in activation, pixel values, or whether embeddings are normalised.
    """
    from aigenbench.models.openai_clip import _RELEASES

    named = {f"openai/{name}": release.architecture for name, release in _RELEASES.items()}
    named |= {f"openclip/{name}": shorthand.architecture for name, shorthand in _SHORTHANDS.items()}
    stem = architecture.removesuffix("-quickgelu")
    return [name for name, other in named.items() if name != but and other.removesuffix("-quickgelu") == stem]
