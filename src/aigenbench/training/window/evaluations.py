"""Where the result of an evaluation belongs: results are kept by what they are of, not by a file's name.

A result stands for weights, a data set under a protocol, and the configuration of the evaluation. The experiment's own
are those of its own weights, on its own data set, as its configuration says; every other goes to
``evaluations/<name>/``, whose name tells them apart. A small record beside each result names what it is of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from aigenbench import __version__
from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.folder import CONFIG_FILE, RUN_FILE, predictions_file
from aigenbench.config.resolved import FREE_TO_CHANGE, ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import read_record, record_path
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions
from aigenbench.files import write_json, write_text
from aigenbench.protocol.fingerprints import fingerprint
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.window.inputs import RunInputs, Setup
from aigenbench.training.window.runtime import recorded
from aigenbench.training.window.weights import Weights, trained_windows

logger = logging.getLogger(__name__)

EVALUATIONS = "evaluations"
SAME_LOGITS = 1e-6
"""How far logits of a repeated evaluation may lie from those of the first and still count as the same."""

_OF_THE_EVALUATION = ("model.class_path", "model.init_args", "trainer.precision")
_FREE_MAPPINGS = (
    "model.init_args.evaluation_cropping_strategy.",
    "model.init_args.fusion.",
    "model.init_args.model_args",
)
_NOT_OF_THE_EVALUATION = (
    "model.init_args.base_weights",
    "model.init_args.classification_threshold",
    "model.init_args.logging_initial_step",
    "model.init_args.objective",
    "model.init_args.optimizer",
    "model.init_args.recipe",
    "model.init_args.scheduler",
    "model.init_args.training_cropping_strategy",
    "model.init_args.model_args.weights",
    "model.init_args.model_args.pretrained",
    # weights bring their own
    "model.init_args.model_input_size",
    "model.init_args.preprocessing",
)
_OF_GIVEN_WEIGHTS = (
    *FREE_TO_CHANGE,
    "experiment_info.logging_initial_step",
    "imports",
    "model.init_args.base_weights",
    "model.init_args.optimizer",
    "seed_everything",
    "trainer",
)
"""What may differ between the evaluations that an experiment of given weights gathers."""


@dataclass(frozen=True)
class Subject:
    """What a result is of, in short forms that enter names and records.

    Attributes:
        weights: the checkpoint.
        protocol: the protocol fingerprint.
        images: a digest of the evaluated images.
    """

    weights: Weights
    protocol: str
    images: str


@dataclass(frozen=True)
class Destination:
    """Where a result goes.

    Attributes:
        folder: holds the windows' folders.
        apart: whether that is not an experiment's own folder.
        own: whether the result is the folder's training's own.
    """

    folder: Path
    apart: bool
    own: bool = False


def named_weights(inputs: RunInputs) -> Path | None:
    """The checkpoint that is asked for: ``ckpt_path``, or ``base_weights`` that the experiment was not trained from."""
    if inputs.config.get("ckpt_path"):
        return Path(inputs.config["ckpt_path"])
    base = _base_weights(inputs.config)
    if base is None:
        return None
    experiment = experiment_named(inputs.config.experiment_info)
    if experiment is not None and is_trained(experiment):
        begun_with = ResolvedConfig.from_file(experiment.folder / CONFIG_FILE)
        # the same command line that trained it asks for what it became
        return None if _base_weights(begun_with) == base else Path(base)
    return Path(base)


def _base_weights(config: ResolvedConfig) -> str | None:
    value = (config["model"].get("init_args") or {}).get("base_weights")
    return str(value) if value else None


def asked_windows(info: ExperimentInfo, experiment: ExperimentFolder) -> list[int]:
    """The finished windows of an experiment, or the one that is asked for.

    Raises:
        InputError: there is none.
    """
    finished = trained_windows(experiment)
    definition = info.sliding_windows_definition
    current = None if definition is None else definition.current_window
    if not finished or current not in (None, *finished):
        wanted = "no finished window" if current is None else f"no finished window {current}"
        told = f" (finished: {', '.join(map(str, finished))})" if finished else "; run fit first"
        raise InputError(f"{experiment.folder} has {wanted}{told}")
    return finished if current is None else [current]


def subject_of(setup: Setup, weights: Weights) -> Subject:
    """What an evaluation of ``weights`` under this set-up is of."""
    return Subject(weights, setup.fingerprint, setup.images)


def is_trained(experiment: ExperimentFolder) -> bool:
    """Whether a run has begun to train in the experiment's folder."""
    if not experiment.folder.is_dir():
        return False
    begun = experiment.folder.glob(f"{experiment.window_prefix}*/{RUN_FILE}")
    return next(begun, None) is not None or bool(trained_windows(experiment))


def holds_given_weights(experiment: ExperimentFolder) -> bool:
    """Whether the folder holds evaluations of weights that were given, and no training."""
    records = experiment.folder.glob(f"{experiment.window_prefix}*/predictions_*_all.json")
    return not is_trained(experiment) and next(records, None) is not None


def own_destination(setup: Setup, experiment: ExperimentFolder, window: int, subject: Subject) -> Destination:
    """Where a result of an experiment's own weights goes: to the window, where data and configuration are its own."""
    parts = _foreign_parts(setup, experiment, window, subject)
    if not parts:
        return Destination(experiment.folder, False, True)
    return Destination(experiment.folder / EVALUATIONS / "_".join(parts), True)


def destination_of_given(
    setup: Setup, experiment: ExperimentFolder | None, window: int, subject: Subject
) -> Destination:
    """Where a result of weights that were named goes.

    Beside the experiment's own results where it was trained; to the windows of an experiment that gathers evaluations;
    without an experiment to ``evaluations/`` beside the experiments.
    """
    if experiment is None:
        return Destination(Path(setup.info.experiments_data_folder) / EVALUATIONS / _full_name(subject), True)
    if not is_trained(experiment):
        return Destination(experiment.folder, False)
    parts = _foreign_parts(setup, experiment, window, subject)
    return Destination(experiment.folder / EVALUATIONS / "_".join([subject.weights.name, *parts]), True)


def _foreign_parts(setup: Setup, experiment: ExperimentFolder, window: int, subject: Subject) -> list[str]:
    """What of protocol, images and configuration is not the experiment's, as parts of a name."""
    run = recorded(experiment.window_folder(window))
    parts = []
    if run.get("protocol_fingerprint") not in (None, subject.protocol):
        parts.append(f"protocol_{subject.protocol}")
    if run.get("images") not in (None, subject.images):
        parts.append(f"data_{subject.images[:8]}")
    changed = _changed_evaluation(setup, experiment, window)
    if changed:
        config = experiment.window_folder(window) / CONFIG_FILE
        logger.info("evaluated otherwise than %s says: %s", config, "; ".join(changed))
        parts.append(f"config_{fingerprint(changed)[:8]}")
    return parts


def _changed_evaluation(setup: Setup, experiment: ExperimentFolder, window: int) -> list[str]:
    """What the configuration says otherwise than that of the window's training, as far as results depend on it."""
    path = experiment.window_folder(window) / CONFIG_FILE
    if not path.is_file():
        return []
    found = ResolvedConfig.from_file(path).differences(setup.inputs.config, _NOT_OF_THE_EVALUATION)
    # a key that only one version of the program knows makes no difference
    return [
        line
        for line in found
        if line.startswith(_OF_THE_EVALUATION) and ("(none)" not in line or line.startswith(_FREE_MAPPINGS))
    ]


def experiment_named(info: ExperimentInfo) -> ExperimentFolder | None:
    """The experiment whose id is given, whether or not it is there; None where no id is."""
    if info.experiment_id is None:
        return None
    name = f"{info.experiment_name_prefix}{info.experiment_id}"
    return ExperimentFolder(name, Path(info.experiments_data_folder) / name, info.window_name_prefix)


def check_gathered(experiment: ExperimentFolder, config: ResolvedConfig) -> None:
    """Refuse to gather evaluations under different configurations in one experiment."""
    path = experiment.folder / CONFIG_FILE
    if not holds_given_weights(experiment) or not path.is_file():
        return
    differences = ResolvedConfig.from_file(path).differences(config, _OF_GIVEN_WEIGHTS)
    if differences:
        raise InputError(
            f"{experiment.folder} holds evaluations under another config ({'; '.join(differences[:4])}); give another "
            "experiment_info.experiment_id"
        )


def keep(
    setup: Setup, destination: Destination, subject: Subject, predictions: Predictions, window: int, stage: str
) -> Path:
    """Write a result where it belongs, or compare it with the one that is there.

    Returns:
        The file that holds it: a repeated evaluation is recognised, another one never replaces what is there.
    """
    own = _path(setup, destination.folder, window, stage)
    if not own.is_file():
        return _write(setup, destination, own, subject, predictions, window, stage)
    record = read_record(own)
    if record is None:
        if load_predictions(own).protocol_fingerprint in (None, predictions.protocol_fingerprint):
            # the fit's own: its weights, protocol and configuration were found to be the same
            return _compared(own, predictions)
        record = {}
    for place in _places(destination, record, subject):
        path = _path(setup, place, window, stage)
        if not path.is_file():
            return _write(setup, Destination(place, True), path, subject, predictions, window, stage)
        difference = _largest_difference(load_predictions(path), predictions)
        if difference <= SAME_LOGITS:
            logger.info("%s: reproduced, logits differ by at most %.3g", path, difference)
            return path
        logger.warning(
            "%s: logits differ by up to %.3g from the file's; other software, hardware or settings? This result is "
            "kept beside it",
            path,
            difference,
        )
    raise AssertionError("there is always a next place")


def _places(destination: Destination, record: Mapping[str, Any], subject: Subject) -> Iterator[Path]:
    """Folders for a result beside the one at its destination: the first one that is free, or holds the same, is its."""
    folder = destination.folder
    if not destination.apart:
        if _is_of(record, subject):
            yield folder
        folder = folder / EVALUATIONS / _full_name(subject)
    yield folder
    for number in count(2):
        yield folder.with_name(f"{folder.name}_{number}")


def _full_name(subject: Subject) -> str:
    return f"{subject.weights.name}_protocol_{subject.protocol[:8]}_data_{subject.images[:8]}"


def _path(setup: Setup, folder: Path, window: int, stage: str) -> Path:
    return folder / f"{setup.info.window_name_prefix}{window}" / predictions_file(stage)


def _compared(path: Path, predictions: Predictions) -> Path:
    difference = _largest_difference(load_predictions(path), predictions)
    if difference > SAME_LOGITS:
        logger.warning(
            "%s: logits differ by up to %.3g from the file's; other software or hardware? The file is left alone",
            path,
            difference,
        )
    else:
        logger.info("%s: reproduced, logits differ by at most %.3g", path, difference)
    return path


def _largest_difference(a: Predictions, b: Predictions) -> float:
    if a.fused_logits is None or b.fused_logits is None or len(a) != len(b):
        return float("inf")
    if not np.array_equal(a.identifier, b.identifier):
        return float("inf")
    if None not in (a.trained_windows, b.trained_windows) and a.trained_windows != b.trained_windows:
        return float("inf")
    return float(np.abs(a.fused_logits - b.fused_logits).max())


def _write(
    setup: Setup,
    destination: Destination,
    path: Path,
    subject: Subject,
    predictions: Predictions,
    window: int,
    stage: str,
) -> Path:
    config = destination.folder / CONFIG_FILE
    if not config.is_file():
        write_text(config, setup.inputs.config.to_yaml())
    # first: a result without its record would be taken for a fit's own
    write_json(record_path(path), {**record_of(setup, subject, predictions, window, stage), "own": destination.own})
    save_predictions(path, predictions)
    if destination.apart:
        logger.info("not the experiment's own weights, data or settings: written to %s", path)
    return path


def record_of(setup: Setup, subject: Subject, predictions: Predictions, window: int, stage: str) -> dict[str, Any]:
    """What stands beside a result: what it is of, and when it was made."""
    trained = predictions.trained_windows or ()
    return {
        "stage": stage,
        "window": window,
        "weights": str(subject.weights.path.absolute()),
        "weights_sha256": subject.weights.sha256,
        "trained_generators": [name for names in trained for name in names],
        "data": str(Path(setup.pipeline.source.path).absolute()),
        "images": subject.images,
        "protocol_fingerprint": subject.protocol,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "aigenbench": __version__,
    }


def _is_of(record: Mapping[str, Any], subject: Subject) -> bool:
    return (record.get("weights_sha256"), record.get("protocol_fingerprint"), record.get("images")) == (
        subject.weights.sha256,
        subject.protocol,
        subject.images,
    )
