"""What features cost whoever computed them: kept beside them, for whoever uses them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from aigenbench.data.store import Store
from aigenbench.errors import InputError
from aigenbench.files import read_json, write_json
from aigenbench.models.parts import Part
from aigenbench.training.lightning.counting import backbones_of
from aigenbench.training.lightning.internals import is_compiled
from aigenbench.training.lightning.operations import Count, Operations, added, scaled
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.processes.energy import Energy

COST_FILE = "cost.json"
"""In a store: what its backbone took for the rows that some process has computed, and how many these are."""


class EmbeddingCost:
    """Counts what each backbone takes while it is entered, by the first images of each size.

    Seconds and joules are shared out over the backbones by their FLOPs. Of what is compiled, nothing is counted.

    Args:
        model: with the backbones.
        device: where they run.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        found = backbones_of(model)
        self._backbones = {name: one for name, one in found.items() if not any(map(is_compiled, one.modules()))}
        self._known: dict[tuple[str, torch.Size], int] = {}
        self._counts = {name: {"images": 0, "forward_passes": 0, "backward_passes": 0, "flops": 0} for name in found}
        self._energy, self._started, self._hooks, self._look = (
            Energy(device),
            time.monotonic(),
            ExitStack(),
            ExitStack(),
        )
        self._operations = Operations()

    def __enter__(self) -> EmbeddingCost:
        for name, backbone in self._backbones.items():
            for handle in (
                backbone.register_forward_pre_hook(lambda _, args, name=name: self._enter(name, args[0])),
                backbone.register_forward_hook(lambda _, args, __, name=name: self._leave(name, args[0])),
            ):
                self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *_: Any) -> None:
        self._look.close()
        self._hooks.close()

    def _enter(self, name: str, images: Tensor) -> None:
        if (name, images.shape) not in self._known:
            self._operations = self._look.enter_context(Operations())

    def _leave(self, name: str, images: Tensor) -> None:
        if (name, images.shape) not in self._known:
            self._look.close()
            self._known[name, images.shape] = self._operations.flops
        self._counts[name]["forward_passes"] += len(images)
        self._counts[name]["flops"] += self._known[name, images.shape]
        self._energy.look()

    def embedded(self, parts: Iterable[Part], rows: int) -> None:
        """Take note of rows that are made."""
        for name in {part.backbone for part in parts}:
            self._counts[name]["images"] += rows

    def keep(self, stores: Mapping[Part, Store]) -> None:
        """Say beside the rows what they took, before any of them is stored: whoever reads them may ask."""
        flops = sum(count["flops"] for count in self._counts.values())
        joules = self._energy.joules()
        spent = {"device_seconds": time.monotonic() - self._started} | ({} if joules is None else {"joules": joules})
        for part, store in stores.items() if is_first_process() else ():
            if count := self._counts[part.backbone] if part.backbone in self._backbones else None:
                share = count["flops"] / flops if flops else 1 / len(self._backbones)
                write_json(store.folder / COST_FILE, count | {k: round(v * share, 3) for k, v in spent.items()})


def scaled_cost(stores: Mapping[Part, Store], rows: int) -> Count:
    """What so many rows cost, each backbone once, by the stores' records; where one has none, how many they are.

    Raises:
        InputError: a record is damaged.
    """
    paths: dict[str, Any] = {}
    for part, store in stores.items():
        path = store.folder / COST_FILE
        paths[part.backbone] = paths.get(part.backbone) or (path if path.is_file() else None)
    total: Count = {}
    for path in paths.values():
        total = added(total, {"images": rows} if path is None else _scaled(path, rows))
    return total | {"images": rows}


def _scaled(path: Any, rows: int) -> Count:
    cost = read_json(path)
    if not all(isinstance(n, int | float) for n in cost.values()) or not cost.get("images"):
        raise InputError(f"{path} is damaged: expected numbers, images among them; remove it to go on without it")
    return scaled(cost, rows / cost["images"])
