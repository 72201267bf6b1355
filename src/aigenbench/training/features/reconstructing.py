"""Running an autoencoder over training reals, before the windows begin; what it gives back is kept on disk."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.data.samples.loading import make_loader
from aigenbench.data.store.pictures import Pictures, WithPictures
from aigenbench.data.views.reconstructed import Reals
from aigenbench.models.reconstruction import open_autoencoder
from aigenbench.protocol.windows import Rows
from aigenbench.training.features.embedding import PROGRESS_SECONDS, is_to_do
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.processes.collectives import largest
from aigenbench.training.processes.signals import StopRequest

logger = logging.getLogger(__name__)

LOOKED_AT = 8
"""So many reals are read to tell how much disk all will take."""


def reconstruct(
    pipeline: AIGenBenchPipeline,
    plan: Plan,
    windows: Sequence[int],
    trainer_arguments: Callable[[], dict[str, Any]],
    stop: StopRequest | None = None,
) -> int:
    """Reconstruct what is not stored yet of the reals that ``windows`` train on, shared out over the processes.

    Stopped or killed anywhere, it goes on from there the next time; runs at once on the same images share the work.

    Args:
        pipeline: its ``reconstruct`` says by what.
        plan: of the run.
        windows: their indices.
        trainer_arguments: makes arguments of a Trainer, on whose devices it is done, in float32 whatever its precision.
        stop: the request to stop, if any.

    Returns:
        How many this process has stored.

    Raises:
        InputError: the disk lacks room, an image cannot be read, or the autoencoder is none.
        StoppedError: a signal asked for it; what is done is kept.
    """
    if pipeline.reconstruct is None or not windows:
        return 0
    table, stop = pipeline.train_table, stop or StopRequest()
    assert isinstance(table, WithPictures), "made where reconstruct is given"
    assert plan.training.made is not None, "likewise"
    own = np.concatenate(plan.training.own[: max(windows) + 1])
    rows = np.sort(own[plan.training.made[own]])
    arguments = {**trainer_arguments(), "callbacks": [], "precision": "32-true"}
    made, world = 0, make_trainer(arguments, table.pictures.folder, 1, [], "", []).world_size
    while is_to_do(len(missing := np.setdiff1d(rows, table.pictures.open())), world):
        reals = Reals(table.base, pipeline.reconstruct.size)
        _tell(reals, missing, len(rows), table.pictures)
        arguments = {**trainer_arguments(), "callbacks": [], "precision": "32-true"}
        trainer = make_trainer(arguments, table.pictures.folder, 1, [], "reconstructing reals", [])
        queue = _Queue(rows[trainer.global_rank :: trainer.world_size], table.pictures, stop)
        module = _Reconstructor(open_autoencoder(pipeline.reconstruct.vae), table.pictures, stop, len(queue))
        loader = make_loader(reals, queue, _only, pipeline.num_workers)
        trainer.validate(module, dataloaders=loader, verbose=False)
        made += module.done
        stop.check()
        # nobody looks for what is missing before all are done
        largest(0)
    return made


def _tell(reals: Reals, missing: Rows, n: int, pictures: Pictures) -> None:
    logger.info("reconstructing %d of %d reals", len(missing), n)
    looked_at = missing[np.linspace(0, len(missing) - 1, min(LOOKED_AT, len(missing))).astype(np.int64)]
    sizes = [picture.shape[0] * picture.shape[1] for _, picture in (reals[row] for row in looked_at.tolist())]
    if sizes:
        pictures.check_room(float(np.mean(sizes)) * len(missing))


def _only(samples: list[tuple[int, Any]]) -> tuple[int, Tensor]:
    """Reals have sizes of their own: one at a time."""
    ((row, picture),) = samples
    return row, torch.from_numpy(picture)


class _Queue:
    """Batch sampler over the rows that are not stored when their turn comes; each process begins at another place."""

    def __init__(self, rows: Rows, pictures: Pictures, stop: StopRequest) -> None:
        self._rows, self._pictures, self._stop = np.roll(rows, os.getpid() % max(1, len(rows))), pictures, stop

    def __len__(self) -> int:
        # Lightning refuses a process that has nothing to do
        return max(1, len(self._rows))

    def __iter__(self) -> Iterator[list[int]]:
        for row in self._rows.tolist():
            if self._stop.heard() is not None:
                return
            if not self._pictures.path(row).is_file():
                yield [row]


class _Reconstructor(pl.LightningModule):
    """Stores what an autoencoder makes of pictures."""

    def __init__(self, autoencoder: torch.nn.Module, pictures: Pictures, stop: StopRequest, total: int) -> None:
        super().__init__()
        self._autoencoder, self._pictures, self._stop, self._total = autoencoder, pictures, stop, total
        self.done, self._told = 0, time.monotonic()

    def validation_step(self, batch: tuple[int, Tensor], batch_idx: int) -> None:
        """Store the reconstruction of (row, uint8 (h, w, 3)), of the same size."""
        if self._stop.heard() is not None:
            return
        row, picture = batch
        self._pictures.write(row, reconstructed(self._autoencoder, picture).cpu().numpy())
        self.done += 1
        if self.trainer.progress_bar_callback is None and time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            logger.info("%d of at most %d reals reconstructed", self.done, self._total)


def reconstructed(autoencoder: torch.nn.Module, picture: Tensor) -> Tensor:
    """A picture encoded and decoded: uint8 (h, w, 3) to uint8 (h, w, 3).

    Its sides are filled up to multiples of the autoencoder's factor with copies of the last row and column.
    """
    height, width, _ = picture.shape
    factor: int = autoencoder.factor  # type: ignore[assignment]
    given = picture.permute(2, 0, 1)[None].float() / 255
    given = F.pad(given, (0, -width % factor, 0, -height % factor), mode="replicate")
    decoded: Tensor = autoencoder(given)[0, :, :height, :width]
    return (255 * decoded.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0)
