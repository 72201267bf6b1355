"""Everything a report tells of one experiment, computed once."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from aigenbench.config.folder import CONFIG_FILE, RUN_FILE, predictions_file
from aigenbench.errors import InputError, MissingFileError
from aigenbench.evaluation.metrics.logged import Logged, logged_metrics
from aigenbench.evaluation.metrics.over_time import over_time
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.changes import config_changes
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment, window_folder
from aigenbench.evaluation.predictions.experiment import read_record as read_predictions_record
from aigenbench.evaluation.predictions.standing import Standing, standing_of
from aigenbench.evaluation.robustness.score import Family, load_robustness
from aigenbench.evaluation.statistics.calibration import Calibrated, calibrate
from aigenbench.evaluation.statistics.seen import seen_and_unseen
from aigenbench.evaluation.statistics.thresholds import carried_forward
from aigenbench.evaluation.statistics.uncertainty import Effort, uncertainty
from aigenbench.files import read_json, read_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExperimentResults:
    """One experiment with all that is said about it.

    Attributes:
        experiment: its predictions.
        scores: see `score`.
        bounds: see `uncertainty`.
        over_time: see `over_time`.
        carried: see `carried_forward`.
        calibrated: see `calibrate`.
        records: what each window's run recorded of itself (versions, hardware, times), by window.
        config: the resolved configuration as text, or "".
        robustness: see `load_robustness`.
        logged: see `logged_metrics`.
    """

    experiment: ExperimentPredictions
    scores: dict[str, Any]
    bounds: dict[str, Any]
    over_time: dict[str, Any]
    carried: list[dict[str, Any]]
    calibrated: list[Calibrated]
    records: dict[int, dict[str, Any]]
    config: str
    robustness: tuple[Family, ...] = ()
    logged: Logged = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.experiment.name

    @property
    def source(self) -> str:
        """Where its row of a table of detectors comes from."""
        return "not trained by the protocol" if self.experiment.foreign else "this report"

    @cached_property
    def standing(self) -> Standing:
        """What the results stand on."""
        return standing_of(self.experiment, self.records)


def load_run(folder: Path | str, stage: str = "validate", effort: Effort | None = None) -> ExperimentResults:
    """Read an experiment's folder and compute everything.

    Raises:
        InputError: see `load_experiment`, `load_robustness` and `pair_up`.
    """
    experiment = load_experiment(folder, stage)
    records = {k: read_run(folder, k, stage) for k in experiment.windows}
    config = read_config(folder, experiment)
    robustness, logged = load_robustness(folder, experiment), logged_metrics(folder, experiment)
    records, changes = {k: r for k, r in records.items() if r}, config_changes(folder)
    run = make_run(experiment, records, config, effort, robustness)
    return replace(run, logged=logged, scores=run.scores | {"notes": [*run.scores["notes"], *changes]})


def make_run(
    experiment: ExperimentPredictions,
    records: dict[int, dict[str, Any]],
    config: str,
    effort: Effort | None = None,
    robustness: tuple[Family, ...] = (),
) -> ExperimentResults:
    """Compute everything about predictions that are already loaded."""
    experiment = replace(experiment, name=experiment.title)
    # for vectors this short the matrix library's threads cost more than they bring
    with threadpool_limits(1, "blas"):
        scores, calibrated = score(experiment) | seen_and_unseen(experiment), calibrate(experiment)
        bounds = uncertainty(experiment, effort=effort, scores=scores, calibrated=calibrated)
    return ExperimentResults(
        experiment,
        scores,
        bounds,
        over_time(scores),
        carried_forward(experiment),
        calibrated,
        records,
        config,
        robustness,
    )


def read_config(folder: Path | str, experiment: ExperimentPredictions) -> str:
    """The resolved configuration of an experiment's first window that has one, as text, or ""."""
    paths = (window_folder(folder, k) / CONFIG_FILE for k in sorted(experiment.windows))
    return next((read_text(path) for path in paths if path.is_file()), "")


def read_run(folder: Path | str, window: int, stage: str) -> dict[str, Any]:
    """What a window's run recorded of itself, or the evaluation of a detector that no run has trained.

    Raises:
        InputError: the file is damaged.
    """
    place = window_folder(folder, window)
    record = read_record(place / RUN_FILE)
    beside = None if record else read_predictions_record(place / predictions_file(stage))
    return dict(beside["run"]) if beside and isinstance(beside.get("run"), dict) else record


def read_record(path: Path) -> dict[str, Any]:
    """What a window's run recorded of itself; empty where there is no file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        record = dict(read_json(path))
    except MissingFileError:
        return {}
    except InputError as error:
        raise InputError(f"{error}; remove it to go on without it") from error
    if not isinstance(record.get("packages", {}), dict):
        raise InputError(f"{path} is damaged: packages is no object; remove it to go on without it")
    return record
