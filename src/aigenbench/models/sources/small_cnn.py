"""A small forensic network, made for a processor without a GPU: minutes instead of hours, a demonstration only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.sources.base import Card, Example, ModelSource, built_with, known_arguments

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.weights.reading import StateDict


class SmallCNN(ModelSource):
    """One network, ``small_cnn``, without published weights: give ``model_args: {pretrained: false}``."""

    name = "small_cnn"
    example = Example("small_cnn", (32, 32))

    def names(self) -> Sequence[str]:
        """The one."""
        return ("small_cnn",)

    def card(self, name: str) -> Card | None:
        """No weights; the input's size is that of its shipped config."""
        if name not in self.names():
            return None
        return Card(name, Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (96, 96)))

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The network without its head; it takes no arguments."""
        from aigenbench.models.sources.block_spectrum import BlockSpectrum

        known_arguments(model_args, (), f"{self.name}/{card.name}")
        return built_with(state, BlockSpectrum)
