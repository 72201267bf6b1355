"""Small experiments, and detectors exported of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aigenbench as ab
import small_run
from aigenbench.data.pipeline import AIGenBenchPipeline

FEW = small_run.FEW | {"experiment_info.sliding_windows_definition.current_window": 0}
"""Of a run over the first window alone."""


class AsTheyAre(AIGenBenchPipeline):
    """Evaluates pictures as they are, without the protocol's mandatory steps."""

    def mandatory_val_preprocessing(self) -> Any:
        return None


Trained = Callable[..., ab.Experiment]
"""Trains the first window of an experiment, with what is to be different from `FEW`."""
