"""Which of several processes this is, and what they agree on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from aigenbench.errors import InputError

RANK_VARIABLES = ("LOCAL_RANK", "SLURM_PROCID", "RANK", "NODE_RANK", "GROUP_RANK")
_LAUNCHER_VARIABLES = ("RANK", "MASTER_ADDR", "MASTER_PORT")
_KEY = "aigenbench/handed_out"
_STORES: list[Any] = []


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


def handed_out(make: Callable[[], str]) -> str:
    """What the first process makes, given to all that a launcher such as torchrun started at once.

    It goes over the launcher's own store: the processes have formed no group yet.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) == 1 or not all(name in os.environ for name in _LAUNCHER_VARIABLES):
        return make()
    from torch.distributed import rendezvous

    store, rank, _ = next(rendezvous("env://"))
    # it ends with its last reference, and others may still have to ask
    _STORES.append(store)
    # a launcher that starts its processes again keeps its store
    if rank == 0 and not store.check([_KEY]):
        store.set(_KEY, make())
    return str(store.get(_KEY).decode())


def everyones(values: list[Any]) -> list[Any]:
    """The lists of all processes that share the work, one after the other; all of them must ask."""
    distributed = _group()
    if distributed is None:
        return values
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, values)
    return [value for of_one in gathered for value in of_one]


def post(name: str, value: int) -> None:
    """Tell the processes that share the work a number above 0; they read it by ``posted`` when they like."""
    if (distributed := _group()) is not None:
        distributed.distributed_c10d._get_default_store().set(f"aigenbench {name}", str(value))


def posted(name: str) -> int:
    """What a process has told by ``post``; 0 where none has."""
    if (distributed := _group()) is None:
        return 0
    store, key = distributed.distributed_c10d._get_default_store(), f"aigenbench {name}"
    return int(store.get(key)) if store.check([key]) else 0


def have_met() -> bool:
    """Whether the processes that share the work have formed a group."""
    return _group() is not None


def _group() -> Any:
    """``torch.distributed`` where the processes have formed a group; else None."""
    # whoever has not imported torch has not formed one
    distributed = sys.modules.get("torch.distributed")
    formed = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if formed else None
