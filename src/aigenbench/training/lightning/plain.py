"""What a checkpoint may hold: tensors and plain values, so that it loads without running code."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from aigenbench.errors import InputError

_ARRAY = "aigenbench_array"
_CONTAINERS = (dict, OrderedDict, Counter, list, tuple)
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
        kept = {plain_values(key, where): plain_values(item, f"{where}, {key!r}") for key, item in value.items()}
        # such as MultiStepLR's milestones, which it asks what a dict does not know
        of: Any = type(value) if type(value) in _CONTAINERS else dict
        return of(kept)
    if isinstance(value, (list, tuple)):
        items = [plain_values(item, f"{where}, item {i}") for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise _refused(value, where)


def packed(value: Any, where: str) -> Any:
    """As ``plain_values``, of what ``unpacked`` gives back in the very types it had.

    Raises:
        InputError: something in it is neither a tensor nor a plain value, or in a container of another type.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {_ARRAY: plain_values(value, where)}
    if isinstance(value, (Mapping, list, tuple)) and type(value) not in _CONTAINERS:
        raise _refused(value, where)
    if isinstance(value, Mapping):
        kept = {plain_values(key, where): packed(item, f"{where}, {key!r}") for key, item in value.items()}
        of: Any = type(value)
        return of(kept)
    if isinstance(value, (list, tuple)):
        return type(value)(packed(item, f"{where}, item {i}") for i, item in enumerate(value))
    return plain_values(value, where)


def unpacked(value: Any) -> Any:
    """What was given to ``packed``."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return value[_ARRAY].numpy()
        return type(value)({key: unpacked(item) for key, item in value.items()})
    return type(value)(unpacked(item) for item in value) if isinstance(value, (list, tuple)) else value


def _refused(value: Any, where: str) -> InputError:
    return InputError(
        f"{where}: a {type(value).__module__}.{type(value).__qualname__} cannot be kept in a checkpoint, which holds "
        "tensors, arrays, numbers and text, in dicts and lists; return such values from state_dict, or leave it out"
    )
