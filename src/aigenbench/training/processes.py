"""Which of several processes this is, and what they agree on."""

from __future__ import annotations

import os
import sys
from typing import Any

from aigenbench.errors import InputError

RANK_VARIABLES = ("LOCAL_RANK", "SLURM_PROCID", "RANK", "NODE_RANK", "GROUP_RANK")


class SharedError(InputError):
    """Raised by all processes that share the work at the same place, and told by the first."""


def is_first_process() -> bool:
    """Whether this is the process that speaks and writes, known before any group of processes is formed."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANK_VARIABLES)


def largest(value: int) -> int:
    """The largest of a number's values over the processes that share the work; all of them must ask.

    It is the number itself where there is one process, or before the group of processes is formed.
    """
    distributed = _group()
    if distributed is None:
        return value
    import torch

    device = "cuda" if "nccl" in distributed.get_backend() else "cpu"
    of_all = torch.tensor(value, device=device)
    distributed.all_reduce(of_all, op=distributed.ReduceOp.MAX)
    return int(of_all)


def everyones(values: list[Any]) -> list[Any]:
    """The lists of all processes that share the work, one after the other; all of them must ask."""
    distributed = _group()
    if distributed is None:
        return values
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, values)
    return [value for of_one in gathered for value in of_one]


def _group() -> Any:
    """``torch.distributed`` where the processes have formed a group; else None."""
    # whoever has not imported torch has not formed one
    distributed = sys.modules.get("torch.distributed")
    formed = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if formed else None
