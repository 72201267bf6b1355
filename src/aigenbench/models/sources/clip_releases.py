"""The CLIP models that were released, OpenAI's and OpenCLIP's: architectures, files, hashes and preprocessing."""

from __future__ import annotations

from typing import NamedTuple

from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from aigenbench.models.weights.locate import RemoteFile


class OpenAIRelease(NamedTuple):
    """One of OpenAI's models."""

    architecture: str  # open_clip's name
    size: int  # pixels a side
    copy: str  # what timm calls its copy of the weights
    sha256: str  # of OpenAI's archive; it is part of the URL


OPENAI_RELEASES = {
    "RN50": OpenAIRelease(
        "RN50-quickgelu", 224, "resnet50_clip", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
    ),
    "RN101": OpenAIRelease(
        "RN101-quickgelu", 224, "resnet101_clip", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"
    ),
    "RN50x4": OpenAIRelease(
        "RN50x4-quickgelu", 288, "resnet50x4_clip", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"
    ),
    "RN50x16": OpenAIRelease(
        "RN50x16-quickgelu", 384, "resnet50x16_clip", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"
    ),
    "RN50x64": OpenAIRelease(
        "RN50x64-quickgelu", 448, "resnet50x64_clip", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"
    ),
    "ViT-B/32": OpenAIRelease(
        "ViT-B-32-quickgelu",
        224,
        "vit_base_patch32_clip_224",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    "ViT-B/16": OpenAIRelease(
        "ViT-B-16-quickgelu",
        224,
        "vit_base_patch16_clip_224",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    "ViT-L/14": OpenAIRelease(
        "ViT-L-14-quickgelu",
        224,
        "vit_large_patch14_clip_224",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    ),
    "ViT-L/14@336px": OpenAIRelease(
        "ViT-L-14-336-quickgelu",
        336,
        "vit_large_patch14_clip_336",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    ),
}


def openai_archive(name: str) -> RemoteFile:
    """OpenAI's own file of one of its models."""
    sha256, file = OPENAI_RELEASES[name].sha256, name.replace("/", "-").replace("@", "-") + ".pt"
    return RemoteFile.at(f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}", sha256)


_CLIP = Preprocessing(CLIP_MEAN, CLIP_STD, (224, 224), "bicubic")
_HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (224, 224), "bicubic")
_IMAGENET = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (224, 224), "bilinear")

_LAION400M = RemoteFile.at(
    "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights/vit_l_14-laion400m_e32-3d133497.pt",
    "3d133497",
)


class OpenClipModel(NamedTuple):
    """A model of OpenCLIP's under its short name."""

    architecture: str  # open_clip's name
    repo: str  # on the hub
    licence: str
    preprocessing: Preprocessing = _CLIP
    elsewhere: tuple[RemoteFile, ...] = ()


OPENCLIP_SHORTHANDS = {
    "clipL14openai": OpenClipModel(
        "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", "MIT", elsewhere=(openai_archive("ViT-L/14"),)
    ),
    "clipL14laion400m": OpenClipModel(
        "ViT-L-14", "timm/vit_large_patch14_clip_224.laion400m_e32", "MIT", elsewhere=(_LAION400M,)
    ),
    "clipL14laion2B": OpenClipModel("ViT-L-14", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT", _HALF),
    "clipL14datacomp": OpenClipModel("ViT-L-14", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "MIT"),
    "clipL14commonpool": OpenClipModel("ViT-L-14", "laion/CLIP-ViT-L-14-CommonPool.XL-s13B-b90K", "MIT"),
    "clipaL14datacomp": OpenClipModel("ViT-L-14-CLIPA", "UCSC-VLAA/ViT-L-14-CLIPA-datacomp1B", "Apache-2.0", _IMAGENET),
    "cocaL14laion2B": OpenClipModel("coca_ViT-L-14", "laion/CoCa-ViT-L-14-laion2B-s13B-b90k", "MIT"),
    "clipg14laion2B": OpenClipModel("ViT-g-14", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "MIT"),
    "eva2L14merged2b": OpenClipModel("EVA02-L-14", "timm/eva02_large_patch14_clip_224.merged2b_s4b_b131k", "MIT"),
    "clipB16laion2B": OpenClipModel("ViT-B-16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "MIT"),
}


def same_shapes(architecture: str, but: str) -> list[str]:
    """``source/name`` of the CLIP models here and of OpenAI's whose towers have the shapes of ``architecture``'s.

    They differ in activation, pixel values, or whether embeddings are normalised.
    """
    named = {f"openai/{name}": release.architecture for name, release in OPENAI_RELEASES.items()}
    named |= {f"openclip/{name}": shorthand.architecture for name, shorthand in OPENCLIP_SHORTHANDS.items()}
    stem = architecture.removesuffix("-quickgelu")
    return [name for name, other in named.items() if name != but and other.removesuffix("-quickgelu") == stem]
