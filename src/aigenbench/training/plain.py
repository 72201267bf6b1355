"""What a checkpoint may hold: tensors and plain values, so that it loads without running code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from aigenbench.errors import InputError

_PLAIN = (torch.Tensor, str, bytes, bool, int, float, type(None), torch.dtype, torch.device)


def plain_values(value: Any, where: str) -> Any:
    """A copy of nested containers as dicts, lists and tuples; NumPy's numbers and arrays as Python's and tensors.

    Args:
        value: what is to be kept.
        where: names it, for messages.

    Raises:
        InputError: something in it is neither a tensor nor a plain value; with its place.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {plain_values(key, where): plain_values(item, f"{where}, {key!r}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [plain_values(item, f"{where}, item {i}") for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise InputError(
        f"{where}: a {type(value).__module__}.{type(value).__qualname__} cannot be kept in a checkpoint, which holds "
        "tensors, numbers and text; return such values from state_dict, or leave it out"
    )
