"""Failures of other processes, told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from aigenbench.errors import InputError

_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))?[^()]*\)")
_PEER = re.compile(
    r"Connection (closed|reset) by peer|Connection was likely closed|Broken pipe|gloo.*(closed|reset)", re.I
)
# what EarlyStopping says of a metric that nobody logs
_MONITORED = re.compile(r"conditioned on metric .* which is not available")


_MONITOR = re.compile(r"conditioned on metric|could not find the monitored key|which is not available", re.I)


@contextmanager
def training_failures_told() -> Iterator[None]:
    """Turn what callbacks and schedules refuse in mid-training into a line.

    Raises:
        InputError: one monitors what is not logged.
    """
    try:
        yield
    except (RuntimeError, MisconfigurationException) as error:
        if not _MONITOR.search(str(error)):
            raise
        raise InputError(
            f"{' '.join(str(error).split())} (of evaluations there are validate/<period>/<metric>, such as "
            "validate/growing/auroc, and what the detector logs itself)"
        ) from error


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn the loss of a worker or of a process that shares the work, and what Lightning refuses, into a line.

    Raises:
        InputError: a data loader's worker was killed, most often by the kernel for want of memory; another process
            ended; or a callback asks for what is not there.
    """
    try:
        yield
    except RuntimeError as error:
        if worker := _WORKER.search(str(error)):
            raise InputError(
                f"{worker[0]} was killed, most likely by the system for want of memory; try fewer data.num_workers or "
                "a smaller data.train_batch_size (with more trainer.accumulate_grad_batches), or give the job more "
                "memory; everything done so far is kept, the same command goes on"
            ) from error
        if _MONITORED.search(str(error)):
            raise InputError(" ".join(str(error).split())) from error
        if _PEER.search(str(error)):
            raise InputError("another of the run's processes ended; what it or the system said tells why") from error
        raise
    except MisconfigurationException as error:
        raise InputError(f"refused by Lightning's Trainer: {' '.join(str(error).split())}") from error
