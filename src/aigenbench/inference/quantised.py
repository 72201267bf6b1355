"""Weights in eight bits: an int8 number for each, and a scale for each output channel; arithmetic stays float32."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aigenbench.errors import InputError

SCALE = ".int8_scale"
"""Suffix of the tensor of scales beside an int8 tensor."""
LEAST = 4096
"""Numbers in a tensor below which it stays as it is: the first and the last layer's are worth their bytes."""


def quantised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with each matrix and kernel as int8 of its shape, and float32 scales (channels,) beside it.

    Symmetric: a channel's largest absolute value becomes 127. Vectors and small tensors are kept.

    Args:
        state: floats, such as a network's ``state_dict``.
    """
    found: dict[str, Tensor] = {}
    for name, weight in state.items():
        if weight.ndim < 2 or weight.numel() < LEAST or not weight.is_floating_point():
            found[name] = weight
            continue
        rows = weight.float().flatten(1)
        scale = rows.abs().amax(dim=1) / 127
        steps = rows / torch.where(scale > 0, scale, 1.0)[:, None]
        found[name] = steps.round().clamp(-127, 127).to(torch.int8).view(weight.shape).contiguous()
        found[name + SCALE] = scale
    return found


def restored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What ``quantised`` gave, as float32 weights.

    Raises:
        InputError: an int8 tensor has no scales, or as many as do not fit it.
    """
    found = {}
    for name, weight in state.items():
        if name.endswith(SCALE):
            continue
        if weight.dtype != torch.int8:
            found[name] = weight
            continue
        scale = state.get(name + SCALE)
        if scale is None or scale.shape != weight.shape[:1]:
            raise InputError(f"int8 weights: {name} {tuple(weight.shape)} has no fitting scales beside it")
        found[name] = weight.float() * scale.view(-1, *[1] * (weight.ndim - 1))
    return found
