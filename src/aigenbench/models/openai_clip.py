"""The image towers of OpenAI's nine CLIP models, with OpenAI's weights (MIT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from aigenbench.models.registry import known_arguments
from aigenbench.models.source import Card, Example, Source
from aigenbench.models.weights import RemoteFile

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.reading import StateDict

_BASE_URL = "https://openaipublic.azureedge.net/clip/models"


class _Release(NamedTuple):
    architecture: str  # open_clip's name
    size: int  # pixels a side
    sha256: str  # of OpenAI's archive; it is part of the URL
    copy: str  # repository with the same weights as safetensors


_RELEASES = {
    "RN50": _Release(
        "RN50-quickgelu",
        224,
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "timm/resnet50_clip.openai",
    ),
    "RN101": _Release(
        "RN101-quickgelu",
        224,
        "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        "timm/resnet101_clip.openai",
    ),
    "RN50x4": _Release(
        "RN50x4-quickgelu",
        288,
        "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        "timm/resnet50x4_clip.openai",
    ),
    "RN50x16": _Release(
        "RN50x16-quickgelu",
        384,
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "timm/resnet50x16_clip.openai",
    ),
    "RN50x64": _Release(
        "RN50x64-quickgelu",
        448,
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
        "timm/resnet50x64_clip.openai",
    ),
    "ViT-B/32": _Release(
        "ViT-B-32-quickgelu",
        224,
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "timm/vit_base_patch32_clip_224.openai",
    ),
    "ViT-B/16": _Release(
        "ViT-B-16-quickgelu",
        224,
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "timm/vit_base_patch16_clip_224.openai",
    ),
    "ViT-L/14": _Release(
        "ViT-L-14-quickgelu",
        224,
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "timm/vit_large_patch14_clip_224.openai",
    ),
    "ViT-L/14@336px": _Release(
        "ViT-L-14-336-quickgelu",
        336,
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "timm/vit_large_patch14_clip_336.openai",
    ),
}


class OpenAIClip(Source):
    """``RN50`` ``RN101`` ``RN50x4`` ``RN50x16`` ``RN50x64`` ``ViT-B/32`` ``-B/16`` ``-L/14`` ``-L/14@336px``.

    The features are the image embeddings that CLIP compares with text, not normalised. ``image_size`` builds
    a transformer for another size, its position embeddings interpolated.
    """

    name = "openai"
    example = Example("RN50", (32, 32), {"image_size": 32})

    def names(self) -> Sequence[str]:
        """The nine released models, as OpenAI names them."""
        return list(_RELEASES)

    def card(self, name: str) -> Card | None:
        """OpenAI's archive with its published hash, or its copy as safetensors."""
        if name not in _RELEASES:
            return None
        release = _RELEASES[name]
        file = name.replace("/", "-").replace("@", "-") + ".pt"
        return Card(
            name,
            Preprocessing(CLIP_MEAN, CLIP_STD, (release.size, release.size), "bicubic"),
            (
                RemoteFile.at(f"{_BASE_URL}/{release.sha256}/{file}", release.sha256),
                RemoteFile("open_clip_model.safetensors", repo=release.copy),
            ),
            "MIT",
        )

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The image tower; the text tower is left out."""
        from aigenbench.models.clip_towers import ImageTower

        known_arguments(model_args, ("image_size",), f"openai/{card.name}")
        return ImageTower.build(_RELEASES[card.name].architecture, state, **model_args)

    def lookalikes(self, card: Card) -> Sequence[str]:
        """OpenCLIP's models with a tower of the same shapes."""
        from aigenbench.models.openclip import same_shapes

        return same_shapes(_RELEASES[card.name].architecture, f"openai/{card.name}")
