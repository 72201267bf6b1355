"""How the C library hands out the memory that images take."""

from __future__ import annotations

import ctypes
import logging

logger = logging.getLogger(__name__)

# parameters of glibc's mallopt (malloc.h)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MEBIBYTE = 2**20


def keep_freed_memory(kept: int = 128 * _MEBIBYTE, largest: int = 32 * _MEBIBYTE) -> bool:
    """Let this process use memory again instead of returning it to the system after every image.

    Each operation on an image takes megabytes and frees them; returned and asked for anew, they come page by page and
    zeroed, which takes up to a tenth of a sample's time. Called once in each worker, and in the main process where it
    evaluates or embeds, whose activations are as large.

    Args:
        kept: bytes of free memory to keep at most.
        largest: blocks from this size on are returned when freed, as ever.

    Returns:
        Whether the C library has these settings (glibc has; others go on as they were).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        logger.debug("no mallopt in the C library: freed memory is returned to the system")
        return False
    return bool(mallopt(_MMAP_THRESHOLD, largest)) and bool(mallopt(_TRIM_THRESHOLD, kept))
