"""The DINOv2 backbones (Apache-2.0), with and without register tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aigenbench.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from aigenbench.models.sources.base import Card, Example, ModelSource, built_with, known_arguments
from aigenbench.models.weights.locate import RemoteFile

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.weights.reading import StateDict

_BASE_URL = "https://dl.fbaipublicfiles.com/dinov2"


class _Shape(NamedTuple):
    width: int
    depth: int
    heads: int
    gated: bool = False


_SHAPES = {
    "dinov2_vits14": _Shape(384, 12, 6),
    "dinov2_vitb14": _Shape(768, 12, 12),
    "dinov2_vitl14": _Shape(1024, 24, 16),
    "dinov2_vitg14": _Shape(1536, 40, 24, gated=True),
}
_PREPROCESSING = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, (224, 224), "bicubic")


class DinoV2(ModelSource):
    """``dinov2_vits14``, ``_vitb14``, ``_vitl14``, ``_vitg14``, each also with ``_reg``.

    The features are the normalised class token, at any input size whose sides are multiples of 14.
    """

    name = "dinov2"
    example = Example("dinov2_vits14", (28, 14))

    def names(self) -> Sequence[str]:
        """The eight published models."""
        return [name + suffix for name in _SHAPES for suffix in ("", "_reg")]

    def card(self, name: str) -> Card | None:
        """The file that the authors publish; they give no hash."""
        if name not in self.names():
            return None
        base = name.removesuffix("_reg")
        stem = base + ("_reg4" if name != base else "")
        file = RemoteFile.at(f"{_BASE_URL}/{base}/{stem}_pretrain.pth")
        return Card(name, _PREPROCESSING, (file,), "Apache-2.0")

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The transformer; the mask token, which only its pretraining used, is left out."""
        from aigenbench.models.sources.dinov2_vit import DinoVisionTransformer

        known_arguments(model_args, (), f"dinov2/{card.name}")
        base = card.name.removesuffix("_reg")
        registers = 4 if card.name != base else 0
        if state is not None:
            state = {key: value for key, value in state.items() if key != "mask_token"}
        return built_with(state, lambda: DinoVisionTransformer(*_SHAPES[base], registers=registers))
