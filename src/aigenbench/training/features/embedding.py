"""Running a frozen backbone over images, and storing what it gives, block by block."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aigenbench.augmentations import freed_memory_kept
from aigenbench.data.store import Blocks, Store, check_room, share_of
from aigenbench.data.store.together import blocks_for
from aigenbench.errors import InputError
from aigenbench.models.parts import Part
from aigenbench.models.preprocessing import normalised
from aigenbench.models.probe import Classifier
from aigenbench.models.tapping import SideBySide
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.features.cost import EmbeddingCost
from aigenbench.training.lightning.internals import callbacks_of
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.processes.collectives import have_met, largest
from aigenbench.training.processes.signals import StopRequest

logger = logging.getLogger(__name__)

ROWS_A_BLOCK = 4096
"""Views that are lost at most where a process is killed; a stop loses none."""
PARTS_A_BLOCK = 8
"""Of more parts, which all wait in memory, blocks hold fewer views."""
PROGRESS_SECONDS = 30
"""Between two lines about how far it is, where no bar shows it."""

BatchesOf = Callable[[npt.NDArray[np.int64]], Iterator[Any]]
"""Batches of samples' names, of rising keys."""


@freed_memory_kept()
def embed(
    stores: Mapping[Part, Store],
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

    Every backbone runs once over a view, whichever of its parts are missing.

    Args:
        stores: take the features' parts.
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
    rows_a_block = ROWS_A_BLOCK // -(-len(stores) // PARTS_A_BLOCK)
    while is_to_do(len(missing := _missing(stores.values(), keys)), world):
        started = time.monotonic()
        check_room(list(stores.values()), keys)
        logger.info("embedding %d of %d %s", len(missing), len(keys), what)
        folder = next(iter(stores.values())).folder
        # the config's own callbacks expect the detector
        trainer = make_trainer({**trainer_arguments(), "callbacks": []}, folder, 1, [], f"embedding {what}", [])
        blocks = blocks_for(stores, keys, min(rows_a_block, -(-len(keys) // trainer.world_size)))
        queue = BlockQueue(share_of(blocks, trainer.global_rank, trainer.world_size), batches_of, stop)
        with queue.claims, EmbeddingCost(detector.model, trainer.strategy.root_device) as cost:
            writer = _BlockWriter(queue, stores, what, cost)
            callbacks_of(trainer).append(writer)
            try:
                trainer.validate(_Embedder(detector, queue, stop), dataloaders=loader_of(queue, missing), verbose=False)
            finally:
                writer.finish()
                spent.append(time.monotonic() - started)
        logger.info("embedded %d %s in %.1f s", writer.done, what, spent[-1])
        stop.check()
        with suppress(_AskedToStopError):
            for block in (one for several in blocks for one in several.of.values()):
                # another run may be at work on the same views
                block.wait(lambda: _look_up(stop))
        stop.check()


def _missing(stores: Iterable[Store], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Those of ``keys`` that any store lacks."""
    return np.unique(np.concatenate([store.missing(keys) for store in stores]))


def is_to_do(missing: int, world: int) -> bool:
    """Whether any process finds something missing; where they have not met yet, they meet to find out."""
    return bool(largest(missing)) or (world > 1 and not have_met())


class _AskedToStopError(Exception):
    """Ends the waiting of this process; whether to stop, all of them decide together."""


def _look_up(stop: StopRequest) -> None:
    if stop.heard() is not None:
        raise _AskedToStopError


class _Embedder(pl.LightningModule):
    """Runs a probe's backbones alone, under the Trainer's precision and on its devices."""

    def __init__(self, detector: BaseDeepfakeDetectionModel, queue: BlockQueue, stop: StopRequest) -> None:
        super().__init__()
        self._detector, self._queue, self._stop = detector, queue, stop

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Features float (n_crops, width), by part, of those that are missing; None once the run is asked to stop."""
        if self._stop.heard() is not None:
            return None
        # batches come in the order in which their blocks were claimed
        return _parts(self._detector, batch.images, self._queue.claimed[0][0].of)


def _parts(detector: BaseDeepfakeDetectionModel, images: Tensor, wanted: Container[Part]) -> dict[Part, Tensor]:
    model = detector.model
    assert isinstance(model, Classifier), "checked when the run was set up"
    if not isinstance(model.backbone, SideBySide):
        return {model.layout[0]: model.features(detector.normalise(images))}
    side_by_side, first = model.backbone, detector.normalise(images)

    def images_for(i: int) -> Tensor:
        if i == 0 or images.is_floating_point():
            return side_by_side.made_of(first, i)
        # bit for bit what a run of that backbone alone would store
        own = side_by_side.preprocessings[i]
        mean, std = (first.new_tensor(values).view(1, 3, 1, 1) for values in (own.mean, own.std))
        return normalised(images, mean, std)

    with torch.no_grad():
        return side_by_side.vectors(images_for, wanted)


class BlockQueue:
    """Batch sampler over the blocks that this process computes, each claimed when its first batch is asked for."""

    def __init__(self, blocks: Sequence[Blocks[Part]], batches_of: BatchesOf, stop: StopRequest) -> None:
        self._blocks, self._batches_of, self._stop = blocks, batches_of, stop
        self.claimed: deque[tuple[Blocks[Part], ExitStack]] = deque()
        self.claims = ExitStack()
        self._length = sum(1 for block in blocks for _ in batches_of(block.keys))
        self.rows = sum(len(block.keys) for block in blocks)

    def __len__(self) -> int:
        # Lightning refuses a process that has nothing to do
        return max(1, self._length)

    def __iter__(self) -> Iterator[Any]:
        for blocks in self._blocks:
            claim = self.claims.enter_context(ExitStack())
            own = claim.enter_context(blocks.claim())
            if not own.of:
                continue
            self.claimed.append((own, claim))
            for batch in self._batches_of(own.keys):
                if self._stop.heard() is not None:
                    return
                yield batch


class _BlockWriter(pl.Callback):
    """Puts the features of batches together to blocks, stores these, and says how far it is."""

    def __init__(self, queue: BlockQueue, stores: Mapping[Part, Store], what: str, cost: EmbeddingCost) -> None:
        self._queue, self._stores, self._what, self._cost = queue, stores, what, cost
        self._rows: dict[Part, list[npt.NDArray[Any]]] = {}
        self._gathered = self.done = 0
        self._started = self._told = time.monotonic()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Take a batch's features; store the blocks that are full."""
        if outputs is None:
            return
        rows = {part: _rows(outputs[part], batch, self._stores[part]) for part in outputs}
        for part, own in rows.items():
            self._rows.setdefault(part, []).append(own)
        embedded = len(next(iter(rows.values())))
        self.done, self._gathered = self.done + embedded, self._gathered + embedded
        self._cost.embedded(outputs, embedded)
        blocks, claim = self._queue.claimed[0]
        if self._gathered == len(blocks.keys):
            self._write(blocks)
            claim.close()
            self._queue.claimed.popleft()
        self._tell(trainer)

    def finish(self) -> None:
        """Store what there is of blocks that a stop has cut short."""
        if self._gathered:
            self._write(self._queue.claimed[0][0].first(self._gathered))

    def _write(self, blocks: Blocks[Part]) -> None:
        self._cost.keep({part: self._stores[part] for part in blocks.of})
        for part, block in blocks.of.items():
            block.write(np.concatenate(self._rows[part]))
        self._rows, self._gathered = {}, 0

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
