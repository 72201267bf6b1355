"""The image towers of OpenCLIP models, by shorthands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aigenbench.models.sources.base import Card, Example, ModelSource, known_arguments
from aigenbench.models.sources.clip_releases import OPENCLIP_SHORTHANDS, same_shapes
from aigenbench.models.weights.locate import RemoteFile

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.weights.reading import StateDict


class OpenClip(ModelSource):
    """``clipL14openai``, ``clipL14commonpool`` ... (``names()``); features are L2-normalised image embeddings.

    ``image_size`` builds a tower for another size, its position embeddings interpolated.
    """

    name = "openclip"
    example = Example("clipB16laion2B", (32, 32), {"image_size": 32})
    head_std = 0.02

    def names(self) -> Sequence[str]:
        """The shorthands."""
        return list(OPENCLIP_SHORTHANDS)

    def card(self, name: str) -> Card | None:
        """On the hub, safetensors before the pickle; elsewhere after both."""
        if name not in OPENCLIP_SHORTHANDS:
            return None
        shorthand = OPENCLIP_SHORTHANDS[name]
        on_hub = (
            RemoteFile("open_clip_model.safetensors", repo=shorthand.repo),
            RemoteFile("open_clip_pytorch_model.bin", repo=shorthand.repo),
        )
        return Card(name, shorthand.preprocessing, on_hub + shorthand.elsewhere, shorthand.licence)

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The image tower with normalised embeddings; the text tower is left out."""
        from aigenbench.models.sources.clip_towers import ImageTower

        known_arguments(model_args, ("image_size",), f"openclip/{card.name}")
        return ImageTower.build(OPENCLIP_SHORTHANDS[card.name].architecture, state, normalised=True, **model_args)

    def lookalikes(self, card: Card) -> Sequence[str]:
        """Models of OpenAI's and OpenCLIP's with a tower of the same shapes."""
        return same_shapes(OPENCLIP_SHORTHANDS[card.name].architecture, f"openclip/{card.name}")
