"""Computing what a store lacks, with loader processes, beside any number of others that do the same."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np

from aigenbench.data.samples.collation import stack
from aigenbench.data.samples.loading import make_loader
from aigenbench.data.store.blocks import Keys
from aigenbench.data.store.store import Block, Store, share_of

logger = logging.getLogger(__name__)

KEYS_A_BATCH = 16
TELL_SECONDS = 30.0


class KeyedRows(Protocol):
    """A map-style data set from key to the row that is stored under it."""

    @property
    def store(self) -> Store:
        """Where they go."""
        ...

    def __getitem__(self, key: int) -> Any:
        """The row, an array."""
        ...


def build(
    rows: KeyedRows,
    keys: Keys,
    num_workers: int,
    between: Callable[[], None] | None = None,
    share: tuple[int, int] | None = None,
) -> int:
    """Compute and store what is missing of ``keys``; ends when all is stored, by whomever.

    Interrupted at any moment, it leaves whole blocks, and goes on from there the next time.

    Args:
        rows: computes a row.
        keys: what shall be stored.
        num_workers: loader processes; 0 computes in this one.
        between: called after every batch and while waiting; it may raise to stop.
        share: (index, count): compute only this share of the blocks, and do not wait for others.

    Returns:
        How many rows this process has stored.

    Raises:
        InputError: the disk has no room, an image cannot be read, or the store is not what its folder says.
    """
    store = rows.store
    if not len(store.missing(keys)):
        return 0
    store.check_room(keys)
    blocks = store.blocks_for(keys)
    if share is not None:
        blocks = share_of(blocks, *share)
    progress = _Progress(sum(len(block.keys) for block in blocks))
    left = blocks
    while left:
        _compute(rows, left, num_workers, between, progress)
        left = [block for block in blocks if not block.is_stored()]
        if share is not None:
            break
        if left:
            # held by another process, which may yet die
            left[0].wait(between)
    return progress.done


class _Claims:
    """Batch sampler that claims one block after the other, leaving out those that others hold."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self.held: deque[tuple[Block, ExitStack]] = deque()

    def __len__(self) -> int:
        """Batches there are at most."""
        return sum(-(-len(block.keys) // KEYS_A_BATCH) for block in self._blocks)

    def __iter__(self) -> Iterator[list[int]]:
        for block in self._blocks:
            stack = ExitStack()
            if not stack.enter_context(block.claim()):
                stack.close()
                continue
            self.held.append((block, stack))
            for start in range(0, len(block.keys), KEYS_A_BATCH):
                yield block.keys[start : start + KEYS_A_BATCH].tolist()

    def release(self) -> None:
        """Let go of the first block that is held."""
        self.held.popleft()[1].close()


class _Progress:
    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._started = self._told = time.monotonic()

    def add(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            rate = self.done / (now - self._started)
            logger.info("%d of %d views stored, %.0f a second", self.done, self.total, rate)


def _compute(
    rows: KeyedRows, blocks: Sequence[Block], num_workers: int, between: Callable[[], None] | None, progress: _Progress
) -> None:
    """Compute and write the blocks that nobody else holds."""
    claims = _Claims(blocks)
    computed: list[Any] = []
    try:
        for batch in make_loader(rows, claims, stack, num_workers, pin_memory=False):
            computed.append(batch.numpy())
            block = claims.held[0][0]
            if sum(map(len, computed)) == len(block.keys):
                block.write(np.concatenate(computed))
                claims.release()
                computed.clear()
                progress.add(len(block.keys))
            if between is not None:
                between()
    finally:
        while claims.held:
            claims.release()
