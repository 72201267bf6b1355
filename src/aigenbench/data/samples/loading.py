"""Loader processes: how many, what they may do, and how they end."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from aigenbench.data.samples.workers import prepare_worker

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


def make_loader(
    samples: Any, batches: Any, collate_batch: Callable[..., Any], num_workers: int, pin_memory: bool = True
) -> DataLoader[Any]:
    """A loader of ``samples`` whose workers share what is open.

    Args:
        samples: a map-style data set.
        batches: a batch sampler with a length.
        collate_batch: makes a batch of a list of samples.
        num_workers: at most so many processes; 0 reads in this one.
        pin_memory: for batches that go to a GPU, where there is one.
    """
    import cv2
    import torch
    from torch.utils.data import DataLoader

    # OpenCV's thread pool does not survive a fork: a worker that touched it would wait forever. Images are
    # spread over workers instead
    cv2.setNumThreads(1)
    _kill_workers_at_exit()
    workers = min(num_workers, len(batches))
    return DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate_batch,
        pin_memory=pin_memory and torch.cuda.is_available(),
        worker_init_fn=_begin_worker,
        # forked workers share the opened tables; named, since Python's default changes with 3.14
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        prefetch_factor=4 if workers else None,
    )


def usable_processors() -> int:
    """Processors this process may run on, at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def _begin_worker(worker: int) -> None:
    """Ignore what asks a run to stop: Ctrl-C and SLURM ask the whole group of processes, and the main one decides.

    Workers end when their loader does.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    prepare_worker()


@cache
def _kill_workers_at_exit() -> None:
    """Let the interpreter's exit not wait for workers of a loader that was left in the middle.

    ``multiprocessing`` ends them with the signal they ignore, and would then wait for ever.
    """

    def kill() -> None:
        for child in multiprocessing.active_children():
            if child.daemon:
                child.kill()

    multiprocessing.util.Finalize(None, kill, exitpriority=10)
