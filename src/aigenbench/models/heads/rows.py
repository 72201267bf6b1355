"""What transforms and heads have in common: the rows of a training batch, statistics of them, arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError, nearest
from aigenbench.models.parts import Part


def _alone(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tensors


class Rows(NamedTuple):
    """What is known of the rows of a training batch beside their features.

    Attributes:
        labels: 0 real, 1 fake; int64 (n,).
        generator_ids: 0 real; int64 (n,).
        everyones: gives tensors with a row each as those of all processes that share the batch, in order.
    """

    labels: Tensor
    generator_ids: Tensor
    everyones: Callable[..., tuple[Tensor, ...]] = _alone


class Statistics(nn.Module):
    """A module that gathers numbers from training rows into buffers, without gradients.

    They keep their type: counts and sums of a module that is made bfloat16 would come to a standstill.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        return super()._apply(lambda tensor: tensor.to(fn(tensor.new_empty(0)).device), recurse)


def merged_mean(mean: Tensor, count: Tensor, new: Tensor, n: Tensor | int) -> tuple[Tensor, Tensor]:
    """The mean of ``count`` rows after ``n`` more whose mean is ``new``, and what the old one lacks of ``new``."""
    gap = new - mean
    return mean + gap * (n / (count + n).clamp(min=1)), gap


def number(name: str, value: Any, low: float, high: float = math.inf, below: bool = False) -> float:
    """An argument that must be a number from ``low`` to ``high``, or below that.

    Raises:
        InputError: it is not.
    """
    fits = not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high
    if not fits or (below and value == high):
        upto = "" if high == math.inf else f" {'to below' if below else 'to'} {high:g}"
        raise InputError(f"{name} must be a number from {low:g}{upto}, found {value!r}")
    return float(value)


def whole(name: str, value: Any, least: int) -> int:
    """An argument that must be a whole number; raises as ``number``."""
    if type(value) is not int or value < least:
        raise InputError(f"{name} must be a whole number from {least}, found {value!r}")
    return value


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """An argument that must be one of a few words; raises as ``number``."""
    if value not in known:
        hint = nearest(str(value), known)
        raise InputError(f"{name}: expected {' or '.join(known)}, found {value!r}{hint}")
    return str(value)


def zeros(*shape: int) -> Tensor:
    """A buffer of float32 numbers that rows will fill."""
    return torch.zeros(*shape, dtype=torch.float32)


def width_of(layout: Sequence[Part]) -> int:
    """D of features that are concatenated from these parts."""
    return sum(part.width for part in layout)
