"""The windows of a finished run, taken over by one that extends it: weights and records, to be evaluated anew."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path

from aigenbench.config.folder import CONFIG_FILE, METRICS_FILE, RUN_FILE, STANDARD_FOLDER, predictions_file
from aigenbench.evaluation.predictions.experiment import STAGES
from aigenbench.fences import generation_of
from aigenbench.files import read_json, whole_file, write_json, write_text
from aigenbench.protocol.trained import trained_up_to
from aigenbench.training.detector.records import load_record, trained_of
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.resume.checkpoints import WindowCheckpoints
from aigenbench.training.resume.folder import ExperimentFolder, config_changes, record_change
from aigenbench.training.resume.state import read_state
from aigenbench.training.strategies.selection import Selection
from aigenbench.training.window.extended import Base
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.runtime import of_protocol

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2


def take_over(setup: Setup, base: Base, experiment: ExperimentFolder) -> None:
    """Put the base's windows into an experiment, trained and not evaluated; those that are there already stay.

    Files are copied: what becomes of the base later changes nothing here. Its predictions are kept apart, as those of
    its own evaluation set.

    Raises:
        InputError: a window's weights are damaged, or of another model.
    """
    windows = range(len(base.windows))
    if is_first_process():
        _keep_standard(base, experiment.folder)
        missing = [k for k in windows if read_state(experiment.window_folder(k)) is None]
        if missing and base.differences and not config_changes(experiment.folder):
            logger.warning("configured otherwise than %s: %s", base.experiment.folder, "; ".join(base.differences))
            record_change(experiment, list(base.differences))
        for k in missing:
            _take_window(setup, base, experiment, k)
        if missing:
            logger.info("windows 0..%d are those of %s", windows[-1], base.experiment.folder)
    # of several processes each goes by what is on disk
    while any(read_state(experiment.window_folder(k)) is None for k in windows):
        time.sleep(_POLL_SECONDS)


def _take_window(setup: Setup, base: Base, experiment: ExperimentFolder, window: int) -> None:
    source, folder = base.experiment.window_folder(window), experiment.window_folder(window)
    theirs = WindowCheckpoints(source, read_state(source))
    record = theirs.load_final()
    # told before anything is written
    load_record(setup.detector, record, source)
    # what comes next, and ids of generators, are those of the longer timeline
    trained = trained_up_to(setup.plan.timeline, setup.plan.windows, window).after(trained_of(record, source))
    trained = replace(trained, images=base.fingerprints[window])
    record |= {"trained": trained.to_record(), "trained_generators": list(trained.generators)}
    folder.mkdir(parents=True, exist_ok=True)
    before = read_json(source / RUN_FILE)
    extended = {"experiment": str(base.experiment.folder), "protocol_fingerprint": before["protocol_fingerprint"]}
    now = {**of_protocol(setup), "generation": generation_of(folder), "extended": extended}
    write_json(folder / RUN_FILE, {**before, **now})
    write_text(folder / CONFIG_FILE, setup.inputs.config.to_yaml())
    if isinstance(choice := setup.plan.training.choice, Selection):
        choice.write(folder, window, setup.pipeline.augmentation_factor)
    if (source / METRICS_FILE).is_file():
        _copy(source / METRICS_FILE, folder / METRICS_FILE)
    # last: from now on the window is there
    WindowCheckpoints(folder, None).save_final(theirs.state.epochs, record, evaluated=False)


def _keep_standard(base: Base, folder: Path) -> None:
    """Keep the predictions of the published windows on their own evaluation set, where the base has them."""
    theirs = base.experiment
    if (theirs.folder / STANDARD_FOLDER).is_dir():
        theirs = ExperimentFolder(STANDARD_FOLDER, theirs.folder / STANDARD_FOLDER)
    elif base.predictions.first.timeline is not None:
        return
    for k, source in theirs.window_folders().items():
        for name in map(predictions_file, STAGES):
            kept = folder / STANDARD_FOLDER / f"window_{k}" / name
            if (source / name).is_file() and not kept.is_file():
                kept.parent.mkdir(parents=True, exist_ok=True)
                _copy(source / name, kept)


def _copy(source: Path, target: Path) -> None:
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)
