"""Heads whose weights are learned: from features to logits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models.heads.rows import Rows, number, whole, width_of
from aigenbench.models.parts import Part


class Head(nn.Module):
    """Gives outputs of features. Its constructor takes the features' layout, the outputs, and arguments of its own."""

    trains = True
    """Whether its weights are learned by gradients."""
    needs_rows = False
    """Whether it does in training what it does not do in an evaluation."""

    def forward(self, features: Tensor) -> Tensor:
        """Outputs float32 (n, outputs) of features float32 (n, D)."""
        raise NotImplementedError

    def training_outputs(self, features: Tensor, rows: Rows) -> list[Tensor]:
        """Outputs that each are given the loss, where ``needs_rows``; the last are what ``forward`` gives."""
        return [self(features)]


def linear(layer: nn.Linear, features: Tensor) -> Tensor:
    """A layer in float32, whatever type its weights are trained in."""
    return F.linear(features.float(), layer.weight.float(), layer.bias.float())


class Linear(Head, nn.Linear):
    """One linear layer."""

    def __init__(self, layout: Sequence[Part], n_outputs: int) -> None:
        nn.Linear.__init__(self, width_of(layout), n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Float32 (n, outputs)."""
        return linear(self, features)


class MLP(Head):
    """A hidden layer with GELU and dropout before the last."""

    def __init__(self, layout: Sequence[Part], n_outputs: int, hidden: int = 512, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = number("model.head: mlp dropout", dropout, 0, 1, below=True)
        self.hidden = nn.Linear(width_of(layout), whole("model.head: mlp hidden", hidden, 1))
        self.last = nn.Linear(hidden, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Float32 (n, outputs)."""
        hidden = F.dropout(F.gelu(linear(self.hidden, features)), self.dropout, self.training)
        return linear(self.last, hidden)


class Fused(Head):
    """A linear head for each backbone, and weights that add up to 1 between their logits.

    Every head is trained by its own loss as if it stood alone; the weights by that of the sum, which goes no further
    back.
    """

    needs_rows = True

    def __init__(self, layout: Sequence[Part], n_outputs: int) -> None:
        super().__init__()
        self.widths = [sum(part.width for part in parts) for _, parts in groupby(layout, lambda part: part.backbone)]
        if len(self.widths) < 2:
            raise InputError(
                f"model.head fused: expected features of two or more backbones (model.backbones), found those of "
                f"{layout[0].backbone or 'one'}"
            )
        self.heads = nn.ModuleList(nn.Linear(width, n_outputs) for width in self.widths)
        self.weight = nn.Parameter(torch.zeros(len(self.widths)))

    def forward(self, features: Tensor) -> Tensor:
        """The weighted sum of the heads' logits: float32 (n, outputs)."""
        return self._sum(self._logits(features))

    def training_outputs(self, features: Tensor, rows: Rows) -> list[Tensor]:
        """Each head's, and their sum."""
        each = self._logits(features)
        return [*each, self._sum([one.detach() for one in each])]

    def _logits(self, features: Tensor) -> list[Tensor]:
        parts = features.split(self.widths, dim=1)
        return [linear(head, part) for head, part in zip(self.heads, parts, strict=True)]  # type: ignore[arg-type]

    def _sum(self, each: Sequence[Tensor]) -> Tensor:
        return torch.einsum("b,bno->no", self.weight.float().softmax(dim=0), torch.stack(list(each)))
