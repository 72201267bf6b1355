"""How far another form of a network is from the network itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

BATCHES = (1, 3)
"""Numbers of crops that a form is tried with."""


def largest_shift(network: nn.Module, form: Callable[[torch.Tensor], torch.Tensor], crops: torch.Tensor) -> float:
    """The largest distance between logits of a network and of another form of it, over ``BATCHES``."""
    largest = 0.0
    with torch.inference_mode():
        for count in BATCHES:
            batch = of_crops(crops, count)
            largest = max(largest, float((network(batch) - form(batch)).abs().max()))
    return largest


def of_crops(crops: torch.Tensor, count: int) -> torch.Tensor:
    """A batch of so many crops; exporters are given two, as one would be taken for a constant."""
    return crops[torch.arange(count) % len(crops)]
