"""What is random outside of samples: initial weights, and what a device draws in a step, such as dropout."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


def seed_everything(key: tuple[int | str, ...]) -> None:
    """Seed torch (every device), NumPy and ``random`` from a key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    seed = int.from_bytes(digest, "little")
    torch.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    random.seed(seed)


def seed_batch(seed: int, window: int, epoch: int, step: int, part: int, rank: int) -> None:
    """Seed what is random on the device for one part of an optimizer step, counted within its epoch."""
    seed_everything((seed, window, epoch, step, part, rank))


class BatchSeeds(pl.Callback):
    """Seeds every training batch, so that what it draws depends on nothing that came before.

    Args:
        seed: ``seed_everything``.
        window: index of the window.
    """

    def __init__(self, seed: int, window: int) -> None:
        self._seed, self._window = seed, window

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the batch; ``batch_idx`` counts within the epoch, over restarts too."""
        step, part = divmod(batch_idx, trainer.accumulate_grad_batches)
        seed_batch(self._seed, self._window, trainer.current_epoch, step, part, trainer.global_rank)
