"""Small networks for traces of generation, built from their published descriptions; there are no weights to load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.sources.base import Card, Example, ModelSource, built_with, known_arguments

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.weights.reading import StateDict


class Classical(ModelSource):
    """``npr``, ``tiny_patch`` and ``frequency``: give ``model_args: {pretrained: false}``, and crops.

    Their input is in -1..1. Resizing wipes out what they look for, so the shipped configs train and evaluate on crops.
    """

    name = "classical"
    example = Example("tiny_patch", (32, 32))

    def names(self) -> Sequence[str]:
        """All three."""
        return ("npr", "tiny_patch", "frequency")

    def card(self, name: str) -> Card | None:
        """No weights."""
        if name not in self.names():
            return None
        return Card(name, Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (224, 224)))

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The network without its head; it takes no arguments."""
        from aigenbench.models.sources.classical_networks import NETWORKS

        known_arguments(model_args, (), f"{self.name}/{card.name}")
        return built_with(state, NETWORKS[card.name])
