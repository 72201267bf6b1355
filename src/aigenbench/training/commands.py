"""The training commands: fit, validate, test, predict."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from aigenbench.errors import InputError
from aigenbench.evaluation.fuse import fuse_logits, sigmoid
from aigenbench.evaluation.predictions import Predictions, load_predictions, save_predictions
from aigenbench.files import whole_file
from aigenbench.models import Preprocessing
from aigenbench.training.checkpoints import KEPT, WindowCheckpoints, load, load_record, refuse_checkpoint
from aigenbench.training.evaluating import evaluate_detector, log_evaluation, stage_of
from aigenbench.training.experiment import (
    ID_VARIABLE,
    Experiment,
    find_experiment,
    open_experiment,
    slurm_job_id,
)
from aigenbench.training.failures import failures_told
from aigenbench.training.heads import Heads
from aigenbench.training.inputs import RunInputs, Setup, set_up
from aigenbench.training.keeper import CheckpointRule
from aigenbench.training.lock import locked
from aigenbench.training.loop import WindowsLoop
from aigenbench.training.processes import everyones, is_first_process
from aigenbench.training.runtime import recorded_fingerprint
from aigenbench.training.signals import StopRequest
from aigenbench.training.state import read_state
from aigenbench.training.trainers import make_trainer

logger = logging.getLogger(__name__)

SAME_LOGITS = 1e-6
"""How far logits of a repeated evaluation may lie from those of the fit and still count as the same."""


@failures_told()
def fit(inputs: RunInputs) -> Path:
    """Train and evaluate; returns the experiment's folder.

    Raises:
        InputError: bad input.
        StoppedError: a signal asked to stop; the same command goes on.
    """
    refuse_checkpoint(inputs.config)
    setup = set_up(inputs)
    windows = _asked_windows(setup)
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
    job = slurm_job_id()
    with ExitStack() as stack:
        if is_first_process():
            stack.enter_context(locked(experiment.folder, job))
        heads = Heads.open(setup, experiment, stack, job)
        stop = stack.enter_context(StopRequest().installed())
        WindowsLoop(setup, experiment, rule, stop, heads).run(windows)
    for run in heads.runs:
        logger.info("head %s: %s", run.name, run.experiment.folder)
    return experiment.folder


@failures_told()
def evaluate(inputs: RunInputs, stage: str) -> list[Path]:
    """``validate`` or ``test`` every finished window, or the one asked for.

    A result that repeats the fit's is compared with it and not written again; one with other weights or another
    protocol goes to ``evaluations/<name>/``.

    Returns:
        The predictions files that hold the results.

    Raises:
        InputError: bad input, or no window is finished.
    """
    setup = set_up(inputs)
    experiment = find_experiment(setup.info)
    other = inputs.config.get("ckpt_path") or setup.detector.base_weights
    windows = _asked_windows(setup)
    finished = [k for k in windows if _final_exists(experiment, k)]
    if other is None and not finished:
        raise InputError(f"{experiment.folder} has no finished window among {list(windows)}; run fit first")
    if other is not None and len(windows) > 1:
        raise InputError("one checkpoint is one window's: say which with sliding_windows_definition.current_window")
    written = []
    for window in windows if other is not None else finished:
        _load(setup, experiment, window, other)
        written.append(_evaluate_window(setup, experiment, window, stage, other))
    return written


@failures_told()
def predict(inputs: RunInputs) -> Path:
    """Score images that need no labels; returns the CSV (path or id, logit, score).

    Raises:
        InputError: bad input, or there are no weights to use.
    """
    setup = set_up(inputs)
    other = inputs.config.get("ckpt_path")
    experiment = None if other and setup.info.experiment_id is None else find_experiment(setup.info)
    window = _window_to_use(setup, experiment)
    _load(setup, experiment, window, other)
    setup.detector.begin(stage_of(setup, window))
    folder = Path() if experiment is None else experiment.window_folder(window)
    chosen = setup.pipeline.predict_set(lambda: setup.plan)
    arguments = inputs.trainer_arguments({})
    trainer = make_trainer(arguments, folder, 1, [], "predict", [])
    loader = setup.pipeline.predict_loader(chosen, setup.detector, trainer.global_rank, trainer.world_size)
    outputs = trainer.predict(setup.detector, dataloaders=loader)
    positions, logits = _gathered(outputs or [])
    path = folder / "predictions_predict.csv"
    if trainer.is_global_zero:
        with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(("image", "logit", "score"))
            for position, logit, score in zip(positions, logits, sigmoid(logits), strict=True):
                writer.writerow((chosen.name(position), f"{logit:.7g}", f"{score:.7g}"))
    return path


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
    setup = set_up(inputs)
    views = setup.pipeline.views
    if views.cache == "none":
        raise InputError("data.cache is none, so nothing is stored: add --data.cache evaluation or --data.cache all")
    views.share = share
    setup.pipeline.store_views(setup.plan, setup.detector, _asked_windows(setup))
    return views.computed


def _tell_disk_need(setup: Setup, experiment: Experiment) -> None:
    """Say how much disk the run takes, and warn where there is less."""
    kept = sum(t.numel() * t.element_size() for t in setup.detector.state_dict().values())
    trained = sum(p.numel() * p.element_size() for p in setup.detector.parameters() if p.requires_grad)
    # final weights a window; resumable checkpoints, one being written, with up to two optimizer states a weight
    need = len(setup.plan.windows) * kept + (KEPT + 1) * (kept + 2 * trained)
    need *= 1 + len(setup.info.heads)
    free = shutil.disk_usage(experiment.folder).free
    logger.info("checkpoints take up to %.1f GB; %.1f GB are free", need / 1e9, free / 1e9)
    if free < need:
        logger.warning("the disk may fill up before the run ends; free space in time, the run can then be resumed")


def _check_protocol(setup: Setup, experiment: Experiment) -> None:
    """Refuse to go on where the data set or the protocol is another one than the experiment was begun with."""
    for window in range(len(setup.plan.windows)):
        begun_with = recorded_fingerprint(experiment.window_folder(window))
        if begun_with is not None and begun_with != setup.fingerprint:
            raise InputError(
                f"window {window} of {experiment.folder} was begun with protocol fingerprint {begun_with}, now it is "
                f"{setup.fingerprint}: the data set at dataset_path is another one; use the same, or another "
                "experiment_info.experiment_id"
            )


def _asked_windows(setup: Setup) -> tuple[int, ...]:
    definition, n = setup.info.sliding_windows_definition, len(setup.plan.windows)
    current = None if definition is None else definition.current_window
    if current is None:
        return tuple(range(n))
    if not 0 <= current < n:
        raise InputError(f"current_window: there is no window {current}; windows are 0..{n - 1}")
    return (current,)


def _final_exists(experiment: Experiment, window: int) -> bool:
    state = read_state(experiment.window_folder(window))
    return state is not None and state.final is not None


def _load(setup: Setup, experiment: Experiment | None, window: int, other: str | None) -> None:
    """Load the weights to evaluate, with the preprocessing they were trained with."""
    if other is not None:
        path = Path(other)
        key = "ckpt_path" if setup.inputs.config.get("ckpt_path") else "model.base_weights"
        record: dict[str, Any] = load(path, key)
    else:
        assert experiment is not None, "without weights of its own, a command needs an experiment"
        path = experiment.window_folder(window)
        record = WindowCheckpoints(path, read_state(path)).load_final()
    load_record(setup.detector, record, path)
    if "preprocessing" not in record:
        return
    stored = Preprocessing.from_dict(record["preprocessing"])
    if stored != setup.detector.preprocessing:
        logger.warning("%s was trained with another preprocessing than the config's; its own is used", path)
        setup.detector.use_preprocessing(stored)


def _window_to_use(setup: Setup, experiment: Experiment | None) -> int:
    windows = _asked_windows(setup)
    if experiment is None:
        return windows[-1]
    finished = [k for k in windows if _final_exists(experiment, k)]
    if not finished:
        raise InputError(f"{experiment.folder} has no finished window among {list(windows)}; run fit first")
    return finished[-1]


def _evaluate_window(setup: Setup, experiment: Experiment, window: int, stage: str, other: str | None) -> Path:
    folder = experiment.window_folder(window)
    arguments = setup.inputs.trainer_arguments({})
    title = f"{stage} window {window + 1}/{len(setup.plan.windows)}"
    trainer = make_trainer(arguments, folder, 1, [], title, [])
    predictions = evaluate_detector(setup, trainer, window, stage)
    path = folder / f"predictions_{stage}_all.npz"
    if trainer.is_global_zero:
        log_evaluation(setup, [], predictions, window, 0, title, stage)
        path = _keep(experiment, predictions, path, other)
    return path


def _keep(experiment: Experiment, predictions: Predictions, path: Path, other: str | None) -> Path:
    """Write the result where it belongs, or compare it with the one that is there."""
    if other is not None:
        return _write_aside(experiment, predictions, path, Path(other).stem)
    if not path.is_file():
        save_predictions(path, predictions)
        return path
    kept = load_predictions(path)
    if kept.protocol_fingerprint != predictions.protocol_fingerprint:
        name = f"protocol_{predictions.protocol_fingerprint}"
        return _write_aside(experiment, predictions, path, name)
    difference = _largest_difference(kept, predictions)
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
    return float(np.abs(a.fused_logits - b.fused_logits).max())


def _write_aside(experiment: Experiment, predictions: Predictions, path: Path, name: str) -> Path:
    aside = experiment.folder / "evaluations" / name / path.parent.name / path.name
    save_predictions(aside, predictions)
    logger.info("other weights or another protocol than the fit's: written to %s", aside)
    return aside


def _gathered(outputs: list[Any]) -> tuple[Any, Any]:
    """Positions and fused logits of all images, in order, from every process's predict outputs."""
    mine = []
    for positions, logits, crop_to_image in outputs:
        fused = fuse_logits(logits.float().cpu().numpy(), crop_to_image.cpu().numpy())
        mine.append((positions.cpu().numpy(), fused))
    pairs = everyones(mine)
    positions = np.concatenate([p for p, _ in pairs])
    order = np.argsort(positions)
    return positions[order], np.concatenate([f for _, f in pairs])[order]
