"""Predictions under a perturbation, on disk: where they lie, and whether they still belong to the experiment.

``robustness/<family>_<level>/window_<k>/`` holds a predictions file and, written after it, a small record that names
the clean predictions it stands beside. Where those have changed since (the window was trained anew), or the record is
missing, the result does not count.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from aigenbench.augmentations.perturbations import GRID, Perturbation
from aigenbench.config.folder import predictions_file
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import window_folder
from aigenbench.evaluation.predictions.record import Predictions, save_predictions
from aigenbench.files import file_sha256, read_json, write_json

logger = logging.getLogger(__name__)

FOLDER = "robustness"
PREDICTIONS_FILE = predictions_file("validate")
RECORD_FILE = "perturbation.json"
_WINDOW = re.compile(r"window_(\d+)")


def predictions_path(experiment: Path, perturbation: Perturbation, window: int) -> Path:
    """Where the predictions of a window under a perturbation lie."""
    return experiment / FOLDER / perturbation.name / f"window_{window}" / PREDICTIONS_FILE


def save_perturbed(path: Path, predictions: Predictions, perturbation: Perturbation, clean_digest: str) -> None:
    """Write predictions and, after them, their record.

    Args:
        path: see `predictions_path`.
        predictions: under the perturbation.
        perturbation: what was applied.
        clean_digest: `digest` of the window's clean predictions.
    """
    path.with_name(RECORD_FILE).unlink(missing_ok=True)
    save_predictions(path, predictions)
    write_json(path.with_name(RECORD_FILE), _record(perturbation, clean_digest))


def is_current(path: Path, perturbation: Perturbation, clean_digest: str) -> bool:
    """Whether the record beside ``path`` says that it is of this perturbation and these clean predictions."""
    record = path.with_name(RECORD_FILE)
    if not path.is_file() or not record.is_file():
        return False
    try:
        found = read_json(record)
    except InputError:
        return False
    return bool(found == _record(perturbation, clean_digest))


def _record(perturbation: Perturbation, clean_digest: str) -> dict[str, Any]:
    return {"clean_sha256": clean_digest, "perturbation": perturbation.describe()}


def current_windows(experiment: Path) -> dict[Perturbation, tuple[int, ...]]:
    """Windows with a result that counts, for every perturbation of the grid that has one, in the grid's order."""
    digests: dict[int, str] = {}
    found = {}
    for perturbation in GRID:
        windows = []
        for window in _windows(experiment / FOLDER / perturbation.name):
            clean = window_folder(experiment, window) / PREDICTIONS_FILE
            if not clean.is_file():
                continue
            if window not in digests:
                digests[window] = file_sha256(clean)
            path = predictions_path(experiment, perturbation, window)
            if is_current(path, perturbation, digests[window]):
                windows.append(window)
            else:
                logger.warning("%s is unfinished or of other clean predictions: left out", path.parent)
        if windows:
            found[perturbation] = tuple(windows)
    return found


def _windows(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _WINDOW.fullmatch(path.name)))
