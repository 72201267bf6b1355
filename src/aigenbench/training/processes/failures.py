"""Failures of other processes, told in one line."""

from __future__ import annotations

import errno
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from aigenbench.errors import InputError
from aigenbench.models.registry import describe_error, is_users_file, users_frames

logger = logging.getLogger(__name__)

_IN_WORKER = "in DataLoader worker process"
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))?[^()]*\)")
_HANDLES = re.compile("Too many open files")
_SHARED_MEMORY = re.compile("out of shared memory|unable to .* shared memory|</torch_")
# Lightning tidies up after what failed, and fails at that too
_COVERS = re.compile(r"call `iter\(combined_loader\)` first")
_PEER = re.compile(
    r"Connection (closed|reset) by peer|Connection was likely closed|Broken pipe|gloo.*(closed|reset)", re.I
)
# what EarlyStopping says of a metric that nobody logs
_MONITORED = re.compile(r"conditioned on metric .* which is not available")


_SEVERAL = re.compile(r"multiple optimizers is only supported with manual optimization", re.I)
_SKIPPED = "returning None in distributed training"
_MONITOR = re.compile(r"conditioned on metric|could not find the monitored key|which is not available", re.I)


@contextmanager
def training_failures_told() -> Iterator[None]:
    """Turn what Lightning, callbacks and schedules refuse in mid-training into a line.

    Raises:
        InputError: one monitors what is not logged; one of several processes passed over a step.
    """
    try:
        yield
    except (RuntimeError, MisconfigurationException) as error:
        if _SEVERAL.search(str(error)):
            raise InputError(
                "configure_optimizers returned several optimizers, which Lightning takes under manual optimization "
                "alone: return one with a parameter group for each, or set self.automatic_optimization = False and "
                "step them in training_step"
            ) from error
        if _SKIPPED in str(error):
            raise InputError(
                "training_step returned None, which several processes cannot pass over together; return a loss of 0 "
                "that depends on the weights, such as 0 * outputs.sum()"
            ) from error
        if not _MONITOR.search(str(error)):
            raise
        raise InputError(
            f"{' '.join(str(error).split())} (of evaluations there are validate/<period>/<metric>, such as "
            "validate/growing/auroc, and what the detector logs itself)"
        ) from error


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn into a line: the loss of a worker or process, what Lightning refuses, errors of users' code.

    Raises:
        InputError: a data loader's worker was killed, most often by the kernel for want of memory; another process
            ended; a callback asks for what is not there; or code of the user's raised something.
    """
    try:
        yield
    except RuntimeError as error:
        _tell_system(error)
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
        _tell_users(error)
        raise
    except MisconfigurationException as error:
        raise InputError(f"refused by Lightning's Trainer: {' '.join(str(error).split())}") from error
    except InputError:
        raise
    except OSError as error:
        _tell_system(error)
        raise
    except Exception as error:
        _tell_users(error)
        raise


def _tell_system(error: Exception) -> None:
    """Turn into a line what the system refuses to the workers of a data loader."""
    first = error.__context__ if _COVERS.search(str(error)) else error
    # a worker's error comes as the text of its traceback
    said = str(first).strip().splitlines()[-1][:200] if str(first).strip() else ""
    if _HANDLES.search(said):
        raise InputError(
            f"the workers of the data loader can open no more files ({said.partition('.')[0]}): raise the limit "
            "(ulimit -n), or try fewer data.num_workers; what was done is kept, the same command goes on"
        ) from error
    if _SHARED_MEMORY.search(said) or _is_of_processes(first):
        raise InputError(
            f"the workers of the data loader cannot share memory ({said}): /dev/shm is full or too small; give it more "
            "(docker run --shm-size), or try fewer data.num_workers or a smaller data.train_batch_size; what was done "
            "is kept, the same command goes on"
        ) from error
    if isinstance(first, OSError) and first is not error:
        raise first


def _is_of_processes(error: BaseException | None) -> bool:
    """Whether Python's own machinery of several processes met a full disk: it keeps its files in shared memory."""
    if not isinstance(error, OSError) or error.errno != errno.ENOSPC:
        return False
    files = (frame.filename for frame in traceback.extract_tb(error.__traceback__))
    return any("/multiprocessing/" in file for file in files)


def _tell_users(error: Exception) -> None:
    """Turn what users' own code raises into a line with its place; anything else is left to be seen whole."""
    # the outermost is that of ``failures_told``
    if users_frames(error, skip=1):
        logger.debug("what a user's code raised", exc_info=error)
        raise InputError(f"your code failed: {describe_error(error)}") from error
    # what a loader's worker raises comes as the text of its traceback
    text = str(error)
    places = [place for place in _FRAME.findall(text) if is_users_file(place[0])]
    if _IN_WORKER in text and places:
        file, line = places[-1]
        raise InputError(f"your code failed: {text.strip().splitlines()[-1]} ({file}:{line})") from error
