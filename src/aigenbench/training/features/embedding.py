"""Running a frozen backbone over images, and storing what it gives, block by block."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aigenbench.augmentations import freed_memory_kept
from aigenbench.data.store import Block, Store, share_of
from aigenbench.data.store.blocks import block_name
from aigenbench.errors import InputError
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.lightning.internals import callbacks_of
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.processes.collectives import have_met, largest
from aigenbench.training.processes.signals import StopRequest

logger = logging.getLogger(__name__)

ROWS_A_BLOCK = 4096
"""Views that are lost at most where a process is killed; a stop loses none."""
PROGRESS_SECONDS = 30
"""Between two lines about how far it is, where no bar shows it."""

BatchesOf = Callable[[npt.NDArray[np.int64]], Iterator[Any]]
"""Batches of samples' names, of rising keys."""


@freed_memory_kept()
def embed(
    store: Store,
    keys: npt.NDArray[np.int64],
    batches_of: BatchesOf,
    loader_of: Callable[[BlockQueue, npt.NDArray[np.int64]], Any],
    detector: BaseDeepfakeDetectionModel,
    trainer_arguments: Callable[[], dict[str, Any]],
    world: int,
    what: str,
    stop: StopRequest | None,
    spent: list[float],
) -> None:
    """Embed and store what is not stored yet, shared out over the Trainer's processes.

    Args:
        store: takes the features.
        keys: what must be stored afterwards; sorted, int64 (n,).
        batches_of: cuts keys into batches, in their order.
        loader_of: makes the loader of a batch sampler over what is missing.
        detector: a probe.
        trainer_arguments: makes arguments of a Trainer.
        world: number of processes that share the work.
        what: the images, for messages.
        stop: the request to stop, if any.
        spent: the seconds that it takes are appended.

    Raises:
        InputError: the disk lacks room, or a feature is no finite number as stored.
        StoppedError: a signal asked for it; what is embedded is kept.
    """
    stop = stop or StopRequest()
    while is_to_do(len(missing := store.missing(keys)), world):
        started = time.monotonic()
        store.check_room(keys)
        logger.info("embedding %d of %d %s", len(missing), len(keys), what)
        # the config's own callbacks expect the detector
        trainer = make_trainer({**trainer_arguments(), "callbacks": []}, store.folder, 1, [], f"embedding {what}", [])
        blocks = store.blocks_for(keys, min(ROWS_A_BLOCK, -(-len(keys) // trainer.world_size)))
        queue = BlockQueue(share_of(blocks, trainer.global_rank, trainer.world_size), batches_of, stop)
        writer = _BlockWriter(queue, store, what)
        callbacks_of(trainer).append(writer)
        with queue.claims:
            try:
                trainer.validate(_Embedder(detector, stop), dataloaders=loader_of(queue, missing), verbose=False)
            finally:
                writer.finish()
                spent.append(time.monotonic() - started)
        logger.info("embedded %d %s in %.1f s", writer.done, what, spent[-1])
        stop.check()
        with suppress(_AskedToStopError):
            for block in blocks:
                # another run may be at work on the same views
                block.wait(lambda: _look_up(stop))
        stop.check()


def is_to_do(missing: int, world: int) -> bool:
    """Whether any process finds something missing; where they have not met yet, they meet to find out."""
    return bool(largest(missing)) or (world > 1 and not have_met())


class _AskedToStopError(Exception):
    """Ends the waiting of this process; whether to stop, all of them decide together."""


def _look_up(stop: StopRequest) -> None:
    if stop.heard() is not None:
        raise _AskedToStopError


class _Embedder(pl.LightningModule):
    """Runs a probe's backbone alone, under the Trainer's precision and on its devices."""

    def __init__(self, detector: BaseDeepfakeDetectionModel, stop: StopRequest) -> None:
        super().__init__()
        self._detector, self._stop = detector, stop

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """Features float (n_crops, D); None once the run is asked to stop."""
        if self._stop.heard() is not None:
            return None
        return self._detector.model.features(self._detector.normalise(batch.images))  # type: ignore[operator]


class BlockQueue:
    """Batch sampler over the blocks that this process computes, each claimed when its first batch is asked for."""

    def __init__(self, blocks: Sequence[Block], batches_of: BatchesOf, stop: StopRequest) -> None:
        self._blocks, self._batches_of, self._stop = blocks, batches_of, stop
        self.claimed: deque[tuple[Block, ExitStack]] = deque()
        self.claims = ExitStack()
        self._length = sum(1 for block in blocks for _ in batches_of(block.keys))
        self.rows = sum(len(block.keys) for block in blocks)

    def __len__(self) -> int:
        # Lightning refuses a process that has nothing to do
        return max(1, self._length)

    def __iter__(self) -> Iterator[Any]:
        for block in self._blocks:
            claim = self.claims.enter_context(ExitStack())
            if not claim.enter_context(block.claim()):
                continue
            self.claimed.append((block, claim))
            for batch in self._batches_of(block.keys):
                if self._stop.heard() is not None:
                    return
                yield batch


class _BlockWriter(pl.Callback):
    """Puts the features of batches together to blocks, stores these, and says how far it is."""

    def __init__(self, queue: BlockQueue, store: Store, what: str) -> None:
        self._queue, self._store, self._what = queue, store, what
        self._rows: list[npt.NDArray[Any]] = []
        self.done = 0
        self._started = self._told = time.monotonic()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Take a batch's features; store the block that is full."""
        if outputs is None:
            return
        self._rows.append(_rows(outputs, batch, self._store))
        self.done += len(self._rows[-1])
        block, claim = self._queue.claimed[0]
        if sum(len(rows) for rows in self._rows) == len(block.keys):
            block.write(np.concatenate(self._rows))
            claim.close()
            self._queue.claimed.popleft()
            self._rows = []
        self._tell(trainer)

    def finish(self) -> None:
        """Store what there is of a block that a stop has cut short."""
        if not self._rows:
            return
        rows, (block, _) = np.concatenate(self._rows), self._queue.claimed[0]
        keys = block.keys[: len(rows)]
        replace(block, keys=keys, path=block.path.with_name(block_name(keys))).write(rows)
        self._rows = []

    def _tell(self, trainer: pl.Trainer) -> None:
        now = time.monotonic()
        if now - self._told < PROGRESS_SECONDS or trainer.progress_bar_callback is not None:
            return
        self._told = now
        left = (now - self._started) / self.done * (self._queue.rows - self.done)
        logger.info("embedding %s: %d of %d, about %d s left", self._what, self.done, self._queue.rows, round(left))


def _rows(features: Tensor, batch: Any, store: Store) -> npt.NDArray[Any]:
    """Features (n_crops, D) as rows of the store: (n_crops, D), or (n_images, crops, D) padded with NaN."""
    dtype = getattr(torch, store.layout.dtype)
    values = features.detach().float().cpu()
    finite = torch.isfinite(values) & torch.isfinite(values.to(dtype))
    if not bool(finite.all()):
        ids = batch.image_ids[batch.crop_to_image[(~finite).any(dim=1).cpu()]].tolist()
        raise InputError(
            f"features of image ids {ids[:8]} are no finite numbers as {store.layout.dtype}; use data.features_dtype: "
            "bfloat16, or another trainer.precision"
        )
    if len(store.layout.shape) == 2:
        crop_to_image = batch.crop_to_image.cpu()
        first = torch.searchsorted(crop_to_image, crop_to_image)
        padded = torch.full((len(batch.labels), *store.layout.shape), torch.nan)
        padded[crop_to_image, torch.arange(len(values)) - first] = values
        values = padded
    stored = values.to(dtype)
    # NumPy knows no bfloat16: its bits
    return stored.view(torch.int16).numpy().view(np.uint16) if dtype == torch.bfloat16 else stored.numpy()
