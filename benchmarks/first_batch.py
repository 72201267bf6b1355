"""A callback for `start_up.py`: notes when the first training batch has come, and asks the run to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

RECORD = "FIRST_BATCH_RECORD"
"""Environment variable: the file to write."""


class FirstBatch(Callback):
    """Writes the time of day (s), the process's own processor time (s) and the modules imported so far."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note the moment once: the batch is there, nothing has been computed from it."""
        if batch_idx:
            return
        moment = {"time": time.time(), "processor": time.process_time(), "modules": sorted(sys.modules)}
        Path(os.environ[RECORD]).write_text(json.dumps(moment), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGTERM)
