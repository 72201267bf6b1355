"""Which of several processes this is."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this is the process that speaks and writes, known before any group of processes is formed."""
    return all(int(os.environ.get(name) or 0) == 0 for name in ("LOCAL_RANK", "SLURM_PROCID", "RANK"))
