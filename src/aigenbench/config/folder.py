"""The names of the files in an experiment's folder; docs/formats.md says what is in them."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
"""The resolved config, of an experiment and of each of its windows."""
CHANGES_FILE = "config_changes.json"
"""What of the config was changed between two starts of an experiment."""
LOCK_FILE = "lock.json"
"""Which run is at work there."""
TOKEN_FILE = "tracking.json"
"""A random part of the names by which a tracking service knows the experiment."""
STANDARD_FOLDER = "standard"
"""In an experiment that extends another: the predictions of that one's windows on its own evaluation set."""
EMBEDDING_FILE = "embedding.json"
"""Seconds that storing features took and no window's record holds yet."""

# of a window
SELECTION_FILE = "training_images.npz"
"""Which images it trains on, where a strategy chooses them."""
RUN_FILE = "run.json"
"""Versions, hardware and times."""
METRICS_FILE = "metrics.csv"
"""Every number that was logged."""
STATE_FILE = "state.json"
"""How far training and evaluation have come."""
CURVES_FILE = "aigenbench.json"
"""In a folder of TensorBoard's: which experiment's curves lie there."""
MARKS_FILE = "logged.json"
"""The last steps of loggers whose points cannot be taken back."""
FINAL_FILE = "final.ckpt"
"""The weights that the window ended with."""


def predictions_file(stage: str) -> str:
    """The predictions of a window in a stage, ``validate`` or ``test``."""
    return f"predictions_{stage}_all.npz"
