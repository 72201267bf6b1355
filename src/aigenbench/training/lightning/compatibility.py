"""Callbacks that configs of the benchmark's first framework name.

What they did, every evaluation does by itself here: predictions are written and metrics of every period are logged.
Naming them in a config is accepted and changes nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from lightning.pytorch import Callback

logger = logging.getLogger(__name__)


class _BuiltIn(Callback):
    """Tells once which of its arguments have no use here."""

    def __init__(self, **arguments: Any) -> None:
        if arguments:
            names = ", ".join(arguments)
            logger.warning("%s: built in; its arguments have no effect: %s", type(self).__name__, names)


class DeepFakePredictionsDump(_BuiltIn):
    """Every evaluation writes its ``predictions_*.npz``."""


class MetricsManager(_BuiltIn):
    """Every evaluation logs its metrics."""


class MetricsManagerSlidingWindow(_BuiltIn):
    """Every evaluation logs the metrics of every period; ``compute_mechanism`` has no effect, all are exact."""
