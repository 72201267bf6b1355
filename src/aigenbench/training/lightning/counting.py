"""What a Trainer's batches cost: FLOPs and passes, seen while the first batch of each size is computed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from math import prod
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from aigenbench.data.samples.collation import Batch
from aigenbench.models.probe import Classifier
from aigenbench.models.tapping import SideBySide
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.lightning.internals import is_compiled
from aigenbench.training.lightning.operations import Count, Operations, added, scaled
from aigenbench.training.processes.energy import Energy

MOST_SIZES = 8
"""Sizes of batches that are looked at; images of further sizes count as those of the last, by their pixels."""


def backbones_of(model: nn.Module) -> dict[str, nn.Module]:
    """A model's backbones by name; a user's own module is its own, without a name."""
    if not isinstance(model, Classifier):
        return {"": model}
    if isinstance(model.backbone, SideBySide):
        return {one.name: one.module for one, _ in model.backbone.each}
    return {model.layout[0].backbone: model.backbone}


class _Passes:
    """Counts images through modules like the backbones while it is entered: a teacher's copy of one counts too."""

    def __init__(self, backbones: Iterable[nn.Module]) -> None:
        self._like = set(map(_alike, backbones))
        self.forward = self.backward = 0
        self._inside: nn.Module | None = None
        self._hooks = ExitStack()

    def __enter__(self) -> _Passes:
        for handle in (
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ):
            self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *_: Any) -> None:
        self._hooks.close()

    def _enter(self, module: nn.Module, args: Any) -> None:
        if self._inside is None and type(module) in {kind for kind, _ in self._like} and _alike(module) in self._like:
            self._inside = module

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self._inside:
            return
        self._inside = None
        n = len(args[0]) if args and isinstance(args[0], Tensor) else 0
        self.forward += n
        self.backward += n if isinstance(output, Tensor) and output.requires_grad else 0


def _alike(module: nn.Module) -> tuple[type, int]:
    return type(module), sum(p.numel() for p in module.parameters())


class BatchCounter(pl.Callback):
    """Counts what this process computes in a Trainer's batches, beside the callbacks that come after it.

    The first batch of each size is looked at while it is computed; of what is compiled, nothing is looked at.

    Args:
        detector: whose backbones are meant.
        evaluation: what the batches of ``validate`` are counted as.
    """

    def __init__(self, detector: BaseDeepfakeDetectionModel, evaluation: str = "evaluation") -> None:
        self._backbones = list(backbones_of(detector.model).values())
        within = (module for one in (detector, *self._backbones) for module in one.modules())
        self._looks = not any(map(is_compiled, within))
        self._evaluation = evaluation
        self._batches: dict[str, Count] = {}
        self._spent: dict[str, Count] = {}
        self._known: dict[str, dict[tuple[int, ...], Count]] = {}
        self._watched: tuple[Operations, _Passes] | None = None
        self._open, self._phase = ExitStack(), ""
        self._energy: Energy | None = None
        self._since: Count = {}
        self.without: set[str] = set()
        """Operations without a formula that ran."""

    def counts(self) -> dict[str, Count]:
        """What was counted so far: ``training`` and evaluations, by kind."""
        self._turn_to(self._phase)
        kinds = dict.fromkeys((*self._batches, *self._spent))
        spent = {kind: {name: round(value, 3) for name, value in of.items()} for kind, of in self._spent.items()}
        return {kind: self._batches.get(kind, {}) | spent.get(kind, {}) for kind in kinds}

    # time and energy

    def _turn_to(self, phase: str, device: torch.device | None = None) -> None:
        """Count what was spent since the last turn to the phase under way, and go on with another."""
        if self._energy is None:
            if device is None:
                return
            self._energy = Energy(device)
        joules = self._energy.joules()
        now = {"device_seconds": time.monotonic()} | ({} if joules is None else {"joules": joules})
        if self._phase:
            spent = {name: value - self._since[name] for name, value in now.items()}
            self._spent[self._phase] = added(self._spent.get(self._phase, {}), spent)
        self._phase, self._since = phase, now

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count a training, also one that goes on within an epoch."""
        self._turn_to("training", trainer.strategy.root_device)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with a training after an evaluation."""
        self._turn_to("training")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count an evaluation."""
        self._turn_to(self._evaluation, trainer.strategy.root_device)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End an evaluation."""
        self._turn_to("")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Look no longer at a batch that was broken off."""
        self._open.close()
        self._turn_to("")

    # batches

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Look at the first batch of its size."""
        self._begin("training", batch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, and with its last part an optimizer step, which all processes take together."""
        is_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        self._end("training", batch, {"optimizer_steps": int(is_step and trainer.is_global_zero)})

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Look at the first batch of its size."""
        self._begin(self._evaluation, batch)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Count a batch."""
        self._end(self._evaluation, batch, {})

    def _begin(self, kind: str, batch: Any) -> None:
        known = self._known.setdefault(kind, {})
        if self._looks and _images(batch).shape not in known and len(known) < MOST_SIZES:
            self._watched = Operations(), _Passes(self._backbones)
            for one in self._watched:
                self._open.enter_context(one)

    def _end(self, kind: str, batch: Any, more: Count) -> None:
        images, known = _images(batch), self._known[kind]
        if self._watched is not None:
            self._open.close()
            operations, passes = self._watched
            self._watched = None
            self.without |= operations.without
            known[images.shape] = {
                "forward_passes": passes.forward,
                "backward_passes": passes.backward,
                "flops": operations.flops,
            }
        count = {"images": len(batch.labels if isinstance(batch, Batch) else batch[1]), **more}
        if self._looks:
            count |= known.get(images.shape) or _as_the_last(known, images)
        self._batches[kind] = added(self._batches.get(kind, {}), count)
        if self._energy is not None:
            self._energy.look()


def _images(batch: Any) -> Tensor:
    images: Tensor = batch.images if isinstance(batch, Batch) else batch[0]
    return images


def _as_the_last(known: Mapping[tuple[int, ...], Count], images: Tensor) -> Count:
    """The count of the size that was looked at last, by the pixels."""
    shape, count = list(known.items())[-1]
    return scaled(count, images.numel() / prod(shape))
