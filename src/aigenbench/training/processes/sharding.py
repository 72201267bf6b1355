"""Fully sharded training (FSDP): each process keeps its part of every weight, gradient and optimizer state.

Checkpoints are those of any other run: whole tensors, which one process, DDP or another number of devices reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from aigenbench.errors import InputError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class ShardedStrategy(DDPStrategy):
    """What ``trainer.strategy: fsdp`` stands for.

    A frozen backbone of a probe is no part of what is sharded: each process holds it whole, and the head is small.
    Evaluations within a fit gather the weights once: processes may then score unequal numbers of batches.
    """

    def setup(self, trainer: pl.Trainer) -> None:
        """Move the detector to its device and shard it, once; it stays sharded for the trainers that follow."""
        assert self.accelerator is not None
        assert self.lightning_module is not None
        self.accelerator.setup(trainer)
        detector, fitting = self.lightning_module, trainer.state.fn == TrainerFn.FITTING
        if not is_sharded(detector):
            self.precision_plugin.convert_module(detector)
            self.model_to_device()
            if fitting:
                shard(detector, self.root_device.type, self.world_size)
        elif not fitting:
            keep_whole(detector, True)
        if fitting:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def teardown(self) -> None:
        """Leave a sharded detector where it is: its parts cannot move to the processor and back."""
        detector = self.lightning_module
        if detector is None or not is_sharded(detector):
            super().teardown()
            return
        keep_whole(detector, False)
        self.precision_plugin.teardown()
        assert self.accelerator is not None
        self.accelerator.teardown()


def is_sharded(detector: nn.Module) -> bool:
    """Whether each process holds a part of the detector's weights only."""
    return any(isinstance(module, FSDPModule) for module in detector.modules())


def shard(detector: pl.LightningModule, device: str, world: int) -> None:
    """Shard ``detector.model``, block by block, over all processes; every one holds the same weights before.

    Raises:
        InputError: it has BatchNorm, whose statistics would differ, or there are weights outside ``model``.
    """
    model: Any = detector.model
    inside = {id(parameter) for parameter in model.parameters()}
    outside = [name for name, parameter in detector.named_parameters() if id(parameter) not in inside]
    if outside:
        raise InputError(f"trainer.strategy fsdp shards the detector's model alone, found {outside[0]}; use ddp")
    if any(isinstance(module, BATCH_NORMS) for module in model.modules()):
        raise InputError("trainer.strategy fsdp is for models without BatchNorm, such as the large ViTs; use ddp")
    mesh = init_device_mesh(device, (world,))
    for block in _blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that repeat in a list, such as a transformer's blocks."""
    children = list(module.children())
    if (
        isinstance(module, (nn.ModuleList, nn.Sequential))
        and len(children) > 1
        and len({type(child) for child in children}) == 1
        and all(next(child.parameters(), None) is not None for child in children)
    ):
        yield from children
        return
    for child in children:
        yield from _blocks(child)


def keep_whole(detector: nn.Module, whole: bool) -> None:
    """Gather a sharded detector's weights for a time, or give them up again; all processes must call it."""
    for module in detector.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(not whole, recurse=False)
            if whole:
                module.unshard()
            else:
                module.reshard()


def gathered(state: Any, keep: bool = True) -> Any:
    """Nested containers of tensors, whole and on the CPU; where anything is sharded, all processes must call it.

    Args:
        state: such as an optimizer's state.
        keep: whether this process wants the result; else it lends its parts and gets None in their place.
    """
    if isinstance(state, DTensor):
        full = state.full_tensor()
        return full.cpu() if keep else None
    if isinstance(state, Tensor):
        return state.detach().cpu() if keep else None
    if isinstance(state, Mapping):
        return {key: gathered(value, keep) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(gathered(value, keep) for value in state)
    return state


def spread_like(own: Tensor, value: Any) -> Any:
    """A whole tensor cut as ``own`` is; everything else unchanged. All processes must call it, with equal values."""
    if isinstance(own, DTensor) and isinstance(value, Tensor) and value.shape == own.shape:
        return distribute_tensor(value.to(own.device), own.device_mesh, own.placements)
    return value


def spread_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's whole state, cut as the weights it belongs to are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    cut = {
        number: {name: spread_like(parameters[number], value) for name, value in of_one.items()}
        for number, of_one in state["state"].items()
    }
    return {**state, "state": cut}
