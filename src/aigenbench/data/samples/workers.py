"""What a process that makes samples sets once, before the first."""

from __future__ import annotations

import cv2
from threadpoolctl import threadpool_limits

from aigenbench.augmentations import keep_freed_memory


def prepare_worker() -> None:
    """Let this worker process compute on one thread, and use memory again that its images have freed.

    Samples are spread over workers; threads of OpenCV's or of the matrix library's inside each would wait for each
    other longer than they compute. (PyTorch's loader limits PyTorch's own.)
    """
    cv2.setNumThreads(1)
    threadpool_limits(1)
    keep_freed_memory()
