"""How the C library hands out the memory that images and activations take."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

# parameters of glibc's mallopt (malloc.h), and its default
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MAPPED_BLOCKS = 65536
_MEBIBYTE = 2**20
_KEPT, _LARGEST = 128 * _MEBIBYTE, 32 * _MEBIBYTE


def keep_freed_memory(kept: int = _KEPT, largest: int = _LARGEST) -> bool:
    """Let this process use memory again instead of returning it to the system after every image.

    Each operation on an image takes megabytes and frees them; returned and asked for anew, they come page by page and
    zeroed, which takes up to a tenth of a sample's time. Called once in each worker.

    Args:
        kept: bytes of free memory to keep at most.
        largest: blocks from this size on are returned when freed, as ever.

    Returns:
        Whether the C library has these settings (glibc has; others go on as they were).
    """
    mallopt = _c_function("mallopt")
    if mallopt is None:
        return False
    # a worker that is forked within ``freed_memory_kept`` starts with its settings
    mallopt(_MMAP_MAX, _MAPPED_BLOCKS)
    return bool(mallopt(_MMAP_THRESHOLD, largest)) and bool(mallopt(_TRIM_THRESHOLD, kept))


@contextmanager
def freed_memory_kept(kept: int = 1024 * _MEBIBYTE) -> Iterator[None]:
    """Within the context, let this process use memory again, blocks of any size; at its end it is returned.

    For a main process that runs a model forward: activations are the same tens of megabytes in every batch, and the
    time to get them page by page and zeroed is a fifth of the processor's.

    Args:
        kept: bytes of free memory to keep at most.
    """
    mallopt, trim = _c_function("mallopt"), _c_function("malloc_trim")
    if mallopt is None or trim is None:
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, kept)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _MAPPED_BLOCKS)
        # setting one ends the library's own adapting of both: to where it comes to under images
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        trim(0)


def _c_function(name: str) -> Callable[..., Any] | None:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        logger.debug("no %s in the C library: freed memory is returned to the system", name)
        return None
