"""Evaluating finished windows of an experiment under perturbations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aigenbench.augmentations.perturbations import Perturbation
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.evaluation.robustness.perturbed import (
    PREDICTIONS_FILE,
    is_current,
    predictions_path,
    save_perturbed,
)
from aigenbench.files import file_sha256, remove_temporaries
from aigenbench.protocol.trained import Trained
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.processes.failures import failures_told
from aigenbench.training.processes.signals import StoppedError, StopRequest
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.resume.state import is_trained, read_state
from aigenbench.training.window.evaluating import evaluate_detector
from aigenbench.training.window.fusing import use_learned_fusion
from aigenbench.training.window.inputs import RunInputs, Setup, set_up
from aigenbench.training.window.weights import own_weights, use_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    window: int
    perturbation: Perturbation
    path: Path
    clean_digest: str


@failures_told()
def evaluate_robustness(
    inputs: RunInputs, folder: Path, perturbations: Sequence[Perturbation], windows: Sequence[int] | None = None
) -> int:
    """Evaluate finished windows under perturbations, leaving out what is there already.

    Args:
        inputs: the experiment's own configuration.
        folder: the experiment's folder.
        perturbations: applied one at a time, between the mandatory evaluation steps and the detector's own.
        windows: which windows; None takes all that are finished.

    Returns:
        How many evaluations were run.

    Raises:
        InputError: bad input, a window is not finished, or the data set is another than the experiment's.
        StoppedError: a signal asked to stop; the same command goes on.
    """
    setup = set_up(inputs, "validate")
    experiment = ExperimentFolder(folder.name, folder, setup.info.window_name_prefix)
    chosen = _chosen_windows(setup, experiment, windows)
    # listed before anything is run: processes that a launcher starts later must find the same list
    tasks = [task for k in chosen for task in _tasks(setup, experiment, k, perturbations)]
    logger.info("%d of %d evaluations are left to run", len(tasks), len(chosen) * len(perturbations))
    with StopRequest().installed() as stop:
        setup.pipeline.views.between = stop.check_alone
        loaded, trained = None, None
        for done, task in enumerate(tasks):
            if loaded != task.window:
                weights = own_weights(experiment, task.window)
                loaded, trained = task.window, use_weights(setup, weights, task.window)
                # as a detector that is handed on would: the rule was learned on clean images
                use_learned_fusion(setup.detector, weights)
            assert trained is not None, "weights are loaded before the first task"
            _run(setup, task, stop, trained)
            logger.info("window %d, %s: %d of %d done", task.window, task.perturbation.name, done + 1, len(tasks))
    return len(tasks)


def _chosen_windows(setup: Setup, experiment: ExperimentFolder, windows: Sequence[int] | None) -> list[int]:
    n = len(setup.plan.windows)
    finished = [k for k in range(n) if _is_finished(experiment, k)]
    for k in windows or ():
        if not 0 <= k < n:
            raise InputError(f"--windows: there is no window {k}; windows are 0..{n - 1}")
        if k not in finished:
            raise InputError(f"window {k} of {experiment.folder} is not finished; finished: {finished or 'none'}")
    if not finished:
        raise InputError(f"{experiment.folder} has no finished window; run fit first")
    return finished if windows is None else sorted(set(windows))


def _is_finished(experiment: ExperimentFolder, window: int) -> bool:
    folder = experiment.window_folder(window)
    return is_trained(read_state(folder)) and (folder / PREDICTIONS_FILE).is_file()


def _tasks(
    setup: Setup, experiment: ExperimentFolder, window: int, perturbations: Sequence[Perturbation]
) -> list[_Task]:
    """What is left to run at a window."""
    clean = experiment.window_folder(window) / PREDICTIONS_FILE
    begun_with = load_predictions(clean).protocol_fingerprint
    if begun_with != setup.fingerprint:
        raise InputError(
            f"{clean} has protocol fingerprint {begun_with}, now it is {setup.fingerprint}: the data set at "
            "dataset_path is another one than the experiment's; give its own with --dataset-path"
        )
    clean_digest = file_sha256(clean)
    tasks = [_Task(window, p, predictions_path(experiment.folder, p, window), clean_digest) for p in perturbations]
    return [task for task in tasks if not _is_done(setup, task)]


def _is_done(setup: Setup, task: _Task) -> bool:
    if not is_current(task.path, task.perturbation, task.clean_digest):
        return False
    try:
        found = load_predictions(task.path).protocol_fingerprint
    except InputError as error:
        logger.warning("%s; evaluated again", error)
        return False
    return found == setup.fingerprint_under(task.perturbation)


def _run(setup: Setup, task: _Task, stop: StopRequest, trained: Trained) -> None:
    arguments = setup.inputs.trainer_arguments({})
    title = f"window {task.window} of 0..{len(setup.plan.windows) - 1}, {task.perturbation.name}"
    trainer = make_trainer(arguments, task.path.parent, 1, [], title, [])
    try:
        predictions = evaluate_detector(setup, trainer, task.window, "validate", stop, task.perturbation, trained)
    except RuntimeError as error:
        # a signal to the whole process group ends the loader's workers too, which it reports as their failure
        if stop.signal is None:
            raise
        raise StoppedError(stop.signal) from error
    if trainer.is_global_zero:
        if task.path.parent.is_dir():
            remove_temporaries(task.path.parent)
        save_perturbed(task.path, predictions, task.perturbation, task.clean_digest)
    trainer.strategy.barrier()
