"""The training commands: fit, validate, test, and storing views."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.errors import InputError
from aigenbench.training.heads.group import Heads
from aigenbench.training.lightning.trainers import make_trainer
from aigenbench.training.loop.taking_over import take_over
from aigenbench.training.loop.windows import WindowsLoop
from aigenbench.training.processes.failures import failures_told
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.resume.checkpoints import KEPT, refuse_checkpoint
from aigenbench.training.resume.folder import (
    ID_VARIABLE,
    ExperimentFolder,
    find_experiment,
    held,
    open_experiment,
)
from aigenbench.training.window.evaluating import evaluate_detector, log_evaluation
from aigenbench.training.window.evaluations import (
    asked_windows,
    check_gathered,
    destination_of_given,
    experiment_named,
    holds_given_weights,
    keep,
    named_weights,
    own_destination,
    subject_of,
)
from aigenbench.training.window.inputs import RunInputs, Setup, set_up
from aigenbench.training.window.keeper import CheckpointRule
from aigenbench.training.window.runtime import recorded_fingerprint
from aigenbench.training.window.weights import Weights, own_weights, read_weights, use_weights

logger = logging.getLogger(__name__)


@failures_told()
def fit(inputs: RunInputs) -> Path:
    """Train and evaluate; returns the experiment's folder.

    Raises:
        InputError: bad input.
        StoppedError: a signal asked to stop; the same command goes on.
    """
    refuse_checkpoint(inputs.config)
    setup = set_up(inputs, "train")
    windows = _asked_windows(setup)
    _refuse_evaluations(setup.info)
    experiment = open_experiment(setup.info, inputs.config, inputs.allow_config_change)
    # for processes that a launcher starts by running the command line again
    os.environ[ID_VARIABLE] = experiment.name.removeprefix(setup.info.experiment_name_prefix)
    _check_protocol(setup, experiment)
    logger.info(
        "%s: %d windows, %d evaluation images, protocol fingerprint %s",
        experiment.folder,
        len(setup.plan.windows),
        len(setup.plan.evaluation.ids),
        setup.fingerprint,
    )
    _tell_disk_need(setup, experiment)
    rule = CheckpointRule(setup.info.checkpoint_every_n_minutes, setup.info.checkpoint_every_n_steps)
    with ExitStack() as stack:
        stack.enter_context(held(experiment, inputs.config, inputs.allow_config_change))
        heads = Heads.open(setup, experiment, stack)
        stop = stack.enter_context(StopRequest().installed())
        # it may keep the weights that the run begins with
        loop = WindowsLoop(setup, experiment, rule, stop, heads)
        if setup.base is not None:
            take_over(setup, setup.base, experiment)
        loop.run(windows)
    for run in heads.runs:
        logger.info("head %s: %s", run.name, run.experiment.folder)
    return experiment.folder


@failures_told()
def evaluate(inputs: RunInputs, stage: str) -> list[Path]:
    """``validate`` or ``test`` every finished window, or the one asked for; or weights that are named.

    A result that repeats the fit's is compared with it and not written again. One of other weights, another data set,
    another protocol or another configuration is kept apart; see ``evaluations``.

    Returns:
        The predictions files that hold the results.

    Raises:
        InputError: bad input, or no window is finished.
    """
    named = named_weights(inputs)
    weights = None if named is None else read_weights(named)
    experiment = _experiment_to_evaluate(inputs, named)
    setup = set_up(inputs, "test" if stage == "test" else "validate")
    if weights is not None:
        return [_evaluate_window(setup, experiment, _window_of(setup, weights), stage, weights, True)]
    assert experiment is not None, "without weights of its own, a command needs an experiment"
    return [
        _evaluate_window(setup, experiment, window, stage, own_weights(experiment, window), False)
        for window in asked_windows(setup.info, experiment)
    ]


@failures_told()
def store_views(inputs: RunInputs, share: tuple[int, int] | None = None) -> int:
    """Compute and store what ``fit`` reads; returns how many views this process has stored.

    Args:
        inputs: as of ``fit``.
        share: (index, count): only this share of them.

    Raises:
        InputError: bad input, ``data.cache`` asks for nothing, or the disk has no room.
    """
    refuse_checkpoint(inputs.config)
    setup = set_up(inputs, "store")
    views = setup.pipeline.views
    if views.cache == "none":
        raise InputError("data.cache is none, so nothing is stored: add --data.cache evaluation or --data.cache all")
    views.share = share
    setup.pipeline.store_views(setup.plan, setup.detector, _asked_windows(setup))
    return views.computed


def _tell_disk_need(setup: Setup, experiment: ExperimentFolder) -> None:
    """Say how much disk the run takes, and warn where there is less."""
    kept = sum(t.numel() * t.element_size() for t in setup.detector.state_dict().values())
    # those that training goes on from may stand beside those that are evaluated
    kept *= 1 if setup.strategies.about("finish") is None else 2
    trained = sum(p.numel() * p.element_size() for p in setup.detector.parameters() if p.requires_grad)
    # final weights a window; resumable checkpoints, one being written, with up to two optimizer states a weight
    need = len(setup.plan.windows) * kept + (KEPT + 1) * (kept + 2 * trained)
    need *= 1 + len(setup.info.heads)
    free = shutil.disk_usage(experiment.folder).free
    logger.info("checkpoints take up to %.1f GB; %.1f GB are free", need / 1e9, free / 1e9)
    if free < need:
        logger.warning("the disk may fill up before the run ends; free space in time, the run can then be resumed")


def _refuse_evaluations(info: ExperimentInfo) -> None:
    """A training must not write over results of weights that were given."""
    experiment = experiment_named(info)
    if experiment is not None and holds_given_weights(experiment):
        raise InputError(
            f"{experiment.folder} holds evaluations of given weights, which a training would write over; give another "
            "experiment_info.experiment_id"
        )


def _check_protocol(setup: Setup, experiment: ExperimentFolder) -> None:
    """Refuse to go on where the data set or the protocol is another one than the experiment was begun with."""
    for window in range(len(setup.plan.windows)):
        begun_with = recorded_fingerprint(experiment.window_folder(window))
        if begun_with is not None and begun_with != setup.fingerprint:
            raise InputError(
                f"window {window} of {experiment.folder} was begun with protocol fingerprint {begun_with}, now it is "
                f"{setup.fingerprint}: the data set at dataset_path or the timeline is another one; use the same, or "
                "another experiment_info.experiment_id"
            )


def _asked_windows(setup: Setup) -> tuple[int, ...]:
    definition, n = setup.info.sliding_windows_definition, len(setup.plan.windows)
    current = None if definition is None else definition.current_window
    if current is None:
        return tuple(range(n))
    if not 0 <= current < n:
        raise InputError(f"current_window: there is no window {current}; windows are 0..{n - 1}")
    return (current,)


def _experiment_to_evaluate(inputs: RunInputs, named: Path | None) -> ExperimentFolder | None:
    info = inputs.config.experiment_info
    if named is None:
        return find_experiment(info)
    experiment = experiment_named(info)
    if experiment is not None:
        check_gathered(experiment, inputs.config)
    return experiment


def _window_of(setup: Setup, weights: Weights) -> int:
    """The window that weights were trained up to: as they say, else as it is asked for."""
    definition = setup.info.sliding_windows_definition
    current = None if definition is None else definition.current_window
    own = weights.window
    if own is None:
        if current is None and len(setup.plan.windows) > 1:
            raise InputError(
                f"{weights.path} does not say up to which window it was trained: say it with "
                "sliding_windows_definition.current_window"
            )
        return current or 0
    if current is not None and current != own:
        logger.warning(
            "%s was trained up to window %d, not %d: it is evaluated and kept as window %d",
            weights.path,
            own,
            current,
            own,
        )
    return own


def _evaluate_window(
    setup: Setup, experiment: ExperimentFolder | None, window: int, stage: str, weights: Weights, named: bool
) -> Path:
    trained = use_weights(setup, weights, window)
    subject = subject_of(setup, weights)
    if named:
        destination = destination_of_given(setup, experiment, window, subject)
    else:
        assert experiment is not None, "an experiment's own weights have one"
        destination = own_destination(setup, experiment, window, subject)
    arguments = setup.inputs.trainer_arguments({})
    title = f"{stage} window {window}"
    trainer = make_trainer(arguments, destination.folder, 1, [], title, [])
    predictions = evaluate_detector(setup, trainer, window, stage, trained=trained)
    if not trainer.is_global_zero:
        return destination.folder
    log_evaluation(setup, [], predictions, window, 0, title, stage)
    return keep(setup, destination, subject, predictions, window, stage)
