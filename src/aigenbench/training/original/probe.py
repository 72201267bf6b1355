"""The original framework's probe around a user's own backbone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class GenericModelProbe(nn.Module):
    """A frozen backbone and a head that is trained.

    The backbone is hidden: in evaluation mode always, no part of ``parameters`` and ``state_dict``, run without
    gradients.

    Args:
        backbone: images (n, 3, H, W) to features (n, embedding_size).
        embedding_size: of the features.
        num_classes: outputs of the head.
        new_head: in place of a linear layer.
    """

    def __init__(
        self, backbone: nn.Module, embedding_size: int, num_classes: int, new_head: nn.Module | None = None
    ) -> None:
        super().__init__()
        backbone.eval().requires_grad_(False)
        # past nn.Module's registration
        object.__setattr__(self, "backbone", backbone)
        self.embedding_size, self.num_classes = embedding_size, num_classes
        self.head = nn.Linear(embedding_size, num_classes) if new_head is None else new_head

    def _apply(self, fn: Any, recurse: bool = True) -> GenericModelProbe:
        # devices and precision reach the hidden backbone too
        self._hidden()._apply(fn)
        return super()._apply(fn, recurse)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs (n, num_classes)."""
        with torch.no_grad():
            features = self._hidden()(images)
        return self.head(features)

    def _hidden(self) -> nn.Module:
        backbone: Any = self.backbone
        return backbone
