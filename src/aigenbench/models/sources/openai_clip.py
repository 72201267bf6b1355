"""The image towers of OpenAI's nine CLIP models, with OpenAI's weights (MIT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from aigenbench.models.sources.base import Card, Example, ModelSource, known_arguments
from aigenbench.models.sources.clip_releases import OPENAI_RELEASES, openai_archive, same_shapes
from aigenbench.models.weights.locate import RemoteFile

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.weights.reading import StateDict


class OpenAIClip(ModelSource):
    """``RN50`` ``RN101`` ``RN50x4`` ``RN50x16`` ``RN50x64`` ``ViT-B/32`` ``-B/16`` ``-L/14`` ``-L/14@336px``.

    The features are the image embeddings that CLIP compares with text, not normalised. ``image_size`` builds
    a transformer for another size, its position embeddings interpolated.
    """

    name = "openai"
    example = Example("RN50", (32, 32), {"image_size": 32})

    def names(self) -> Sequence[str]:
        """The nine released models, as OpenAI names them."""
        return list(OPENAI_RELEASES)

    def card(self, name: str) -> Card | None:
        """OpenAI's archive with its published hash, or its copy as safetensors."""
        if name not in OPENAI_RELEASES:
            return None
        release = OPENAI_RELEASES[name]
        return Card(
            name,
            Preprocessing(CLIP_MEAN, CLIP_STD, (release.size, release.size), "bicubic"),
            (openai_archive(name), RemoteFile("open_clip_model.safetensors", repo=f"timm/{release.copy}.openai")),
            "MIT",
        )

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The image tower; the text tower is left out."""
        from aigenbench.models.sources.clip_towers import ImageTower

        known_arguments(model_args, ("image_size",), f"openai/{card.name}")
        return ImageTower.build(OPENAI_RELEASES[card.name].architecture, state, **model_args)

    def lookalikes(self, card: Card) -> Sequence[str]:
        """OpenCLIP's models with a tower of the same shapes."""
        return same_shapes(OPENAI_RELEASES[card.name].architecture, f"openai/{card.name}")
