from __future__ import annotations

import multiprocessing
from typing import Any

import cv2
import numpy as np
import threadpoolctl

from aigenbench.data.samples import workers
from aigenbench.data.samples.workers import prepare_worker


def threads(queue: Any) -> None:
    cv2.setNumThreads(2)
    np.ones((2, 2)) @ np.ones((2, 2))
    prepare_worker()
    queue.put([cv2.getNumThreads(), *(library["num_threads"] for library in threadpoolctl.threadpool_info())])


def test_a_worker_computes_on_one_thread():
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=threads, args=(queue,))
    process.start()
    counts = queue.get()
    process.join()
    assert len(counts) > 1  # the matrix library is among them
    assert set(counts) == {1}


def test_a_worker_keeps_freed_memory(monkeypatch):
    called = []
    monkeypatch.setattr(workers, "keep_freed_memory", lambda: called.append(True))
    monkeypatch.setattr(workers, "threadpool_limits", called.append)
    prepare_worker()
    assert called == [1, True]
