"""The weights that an evaluation or a prediction uses: which file, and what it says of itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.data.plan import Plan
from aigenbench.errors import InputError
from aigenbench.files import file_sha256
from aigenbench.models import Preprocessing
from aigenbench.protocol.trained import Trained, trained_up_to
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.records import load_record, trained_of
from aigenbench.training.detector.tasks import MulticlassTask
from aigenbench.training.resume.checkpoints import WindowCheckpoints, load
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.resume.state import is_trained, read_state
from aigenbench.training.window.inputs import Setup

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """A checkpoint that was read.

    Attributes:
        path: its file.
        sha256: of the file.
        record: its content.
    """

    path: Path
    sha256: str
    record: Mapping[str, Any]

    @property
    def window(self) -> int | None:
        """Index of the window they were trained up to; None where the file does not say."""
        window = self.record.get("window")
        return window if isinstance(window, int) else None

    @property
    def trained(self) -> Trained | None:
        """What they were trained on; None where the file does not say."""
        return trained_of(self.record, self.path)

    @property
    def name(self) -> str:
        """The file's name and what tells it from others of that name: ``final_1a2b3c4d``."""
        return f"{self.path.stem}_{self.sha256[:8]}"


def read_weights(path: Path) -> Weights:
    """Read a checkpoint.

    Raises:
        InputError: see ``load``.
    """
    record = load(path)
    return Weights(path, file_sha256(path), record)


def own_weights(experiment: ExperimentFolder, window: int) -> Weights:
    """The weights that an experiment ended a window with.

    Raises:
        InputError: they are missing or damaged.
    """
    folder = experiment.window_folder(window)
    checkpoints = WindowCheckpoints(folder, read_state(folder))
    record = checkpoints.load_final()
    final = checkpoints.state.final
    assert final is not None, "or it could not have been read"
    return Weights(folder / final.file, final.sha256, record)


def trained_windows(experiment: ExperimentFolder) -> list[int]:
    """Indices of the windows whose training came to its end."""
    return [k for k, folder in sorted(experiment.window_folders().items()) if is_trained(read_state(folder))]


def use_weights(setup: Setup, weights: Weights, window: int) -> Trained:
    """Load weights into a run's detector, with the preprocessing they were trained with.

    Returns:
        What they were trained on: as their file says, else the generators of the data set's windows up to ``window``.

    Raises:
        InputError: they are of another model, or of a multiclass detector with other classes.
    """
    load_weights(setup.detector, weights)
    return use_trained(setup.detector, weights, setup.plan, window)


def use_trained(detector: BaseDeepfakeDetectionModel, weights: Weights, plan: Plan, window: int) -> Trained:
    """What ``use_weights`` returns, once they are loaded."""
    trained = weights.trained
    if trained is None:
        windows = plan.windows
        if window >= len(windows):
            raise InputError(
                f"{weights.path} does not say what it was trained on, and the data set has no window {window}; windows "
                f"are 0..{len(windows) - 1}"
            )
        logger.info(
            "%s does not say what it was trained on: taken to be the generators of windows 0..%d of the data set",
            weights.path,
            window,
        )
        return trained_up_to(plan.timeline, windows, window)
    if isinstance(detector.task, MulticlassTask) and trained.id_to_name != plan.timeline.id_to_name:
        raise InputError(
            f"{weights.path} tells {len(trained.id_to_name) - 1} generators apart, the data set holds others "
            f"({len(plan.timeline.id_to_name) - 1}): a multiclass detector is evaluated on the generators of its "
            "training"
        )
    return trained


def load_weights(detector: BaseDeepfakeDetectionModel, weights: Weights) -> None:
    """Load weights, with the preprocessing they were trained with.

    Raises:
        InputError: they are of another model.
    """
    load_record(detector, weights.record, weights.path)
    if "preprocessing" not in weights.record:
        return
    stored = Preprocessing.from_dict(weights.record["preprocessing"])
    if stored != detector.preprocessing:
        logger.warning("%s was trained with another preprocessing than the config's; its own is used", weights.path)
        detector.use_preprocessing(stored)
