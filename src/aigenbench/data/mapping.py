"""Functions mapped over lists by worker processes, with results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from aigenbench.errors import InputError

Mapped = Callable[..., Iterable[Any]]


@contextmanager
def mapper(workers: int) -> Iterator[Mapped]:
    """A function such as ``map``, in ``workers`` processes; in this one where it is 1.

    Raises:
        InputError: a worker was killed.
    """
    if workers == 1:
        yield map
        return
    # spawned, not forked: a forked OpenCV may wait for threads that do not exist
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        try:
            yield pool.map
        except BrokenProcessPool as error:
            raise InputError("a worker process was killed, perhaps for lack of memory; fewer need less") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C is the parent's to answer; and where that is killed, its workers would wait for ever
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
