"""Which samples an optimizer step sees: a seeded permutation that can start anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError
from aigenbench.protocol.randomness import sample_rng


@dataclass(frozen=True)
class BatchArithmetic:
    """How an overall batch is shared out.

    Attributes:
        per_device: ``train_batch_size``.
        devices: number of processes over all nodes.
        accumulate: ``accumulate_grad_batches``.
    """

    per_device: int
    devices: int = 1
    accumulate: int = 1

    @property
    def overall(self) -> int:
        """Samples of one optimizer step."""
        return self.per_device * self.devices * self.accumulate

    def steps(self, n_rows: int, copies: int, n_samples: int | None = None) -> int:
        """Optimizer steps of an epoch over ``n_rows`` images; the incomplete last batch is dropped.

        ``n_samples`` is how many samples they make where not all copies are trained on.

        Raises:
            InputError: not even one overall batch is full.
        """
        samples = n_rows * copies if n_samples is None else n_samples
        steps = samples // self.overall
        if steps == 0:
            at_most = " at most" if samples < n_rows * copies else ""
            raise InputError(
                f"an overall batch of {self.overall} (train_batch_size {self.per_device} x {self.devices} devices x "
                f"accumulate_grad_batches {self.accumulate}) is larger than the {samples} training samples "
                f"({n_rows} images x {copies} copies{at_most}); the largest overall batch that works is {samples}"
            )
        return steps


class TrainingBatches:
    """Batch sampler over the rest of one epoch: lists of (position among the rows, copy, epoch).

    The order is a permutation of all (image, copy) pairs, or of those in ``samples`` (each ``row position * copies +
    copy``, int64), drawn from (seed, window, epoch). Each overall batch is cut
    into accumulation parts and each part into ranks, so the samples of an optimizer step do not depend on how many
    devices share them.
    """

    def __init__(
        self,
        n_rows: int,
        copies: int,
        arithmetic: BatchArithmetic,
        seed: int,
        window: int,
        epoch: int,
        start_step: int = 0,
        rank: int = 0,
        stop_step: int | None = None,
        samples: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._n_rows, self._copies, self._arithmetic = n_rows, copies, arithmetic
        self._key = (seed, window, epoch)
        self._start, self._rank = start_step, rank
        self._samples = samples
        steps = arithmetic.steps(n_rows, copies, None if samples is None else len(samples))
        self._stop = steps if stop_step is None else min(steps, stop_step)

    def __len__(self) -> int:
        """Batches of this device that are left in the epoch."""
        return (self._stop - self._start) * self._arithmetic.accumulate

    def order(self) -> npt.NDArray[np.int64]:
        """The epoch's permutation: int64 (samples,), each value ``row position * copies + copy``."""
        seed, window, epoch = self._key
        rng = sample_rng(seed, "train", 0, 0, "order of samples", window, epoch)
        return rng.permutation(self._n_rows * self._copies if self._samples is None else self._samples)

    def visited(self) -> npt.NDArray[np.int64]:
        """What is left of the epoch for all devices together: values of ``order`` (n,), the dropped last batch not."""
        overall = self._arithmetic.overall
        return self.order()[self._start * overall : self._stop * overall]

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        order, overall = self.order(), self._arithmetic.overall
        epoch = self._key[2]
        for step in range(self._start, self._stop):
            batch = order[step * overall : (step + 1) * overall]
            for part in np.array_split(batch, self._arithmetic.accumulate):
                mine = np.array_split(part, self._arithmetic.devices)[self._rank]
                positions, copies = np.divmod(mine, self._copies)
                yield [(p, c, epoch) for p, c in zip(positions.tolist(), copies.tolist(), strict=True)]


class WindowBatches:
    """Batch sampler over all epochs of a window, one after the other: what is left of the first, and whole ones after.

    Its length is that of a whole epoch, whichever it is at.

    Args:
        of_epoch: makes the batches of (epoch, first optimizer step).
        epoch: the first epoch.
        start: optimizer steps done in it already.
    """

    def __init__(self, of_epoch: Callable[[int, int], TrainingBatches], epoch: int = 0, start: int = 0) -> None:
        self._of_epoch, self._epoch = of_epoch, epoch
        self._first = (epoch, start)

    @property
    def sampler(self) -> WindowBatches:
        """Itself: of a batch sampler, Lightning tells the epoch to its sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; Lightning's loop does so before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._of_epoch(self._epoch, 0))

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        first, start = self._first
        return iter(self._of_epoch(self._epoch, start if self._epoch == first else 0))


class EvaluationBatches:
    """Batch sampler over positions ``rank, rank + world, ...`` of the evaluation order: each image exactly once."""

    def __init__(self, n: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self._positions = range(rank, n, world)
        self._batch_size = batch_size
        self.common = -(-len(range(world - 1, n, world)) // batch_size)
        """How many batches every rank has; some may have one more."""

    def __len__(self) -> int:
        return -(-len(self._positions) // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self._positions), self._batch_size):
            yield list(self._positions[start : start + self._batch_size])
