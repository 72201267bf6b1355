"""An experiment's folder: its id, its windows' folders, and the config it belongs to."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.folder import (
    CHANGES_FILE,
    CONFIG_FILE,
    EMBEDDING_FILE,
    LOCK_FILE,
    MARKS_FILE,
    METRICS_FILE,
    RUN_FILE,
    STATE_FILE,
    TOKEN_FILE,
)
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.config.trust import remember
from aigenbench.errors import InputError
from aigenbench.files import write_json, write_text
from aigenbench.training.processes.collectives import handed_out, is_first_process
from aigenbench.training.processes.slurm import slurm_job_id
from aigenbench.training.resume.lock import locked
from aigenbench.training.resume.state import read_state

logger = logging.getLogger(__name__)

ID_VARIABLE = "AIGENBENCH_EXPERIMENT_ID"
"""Hands the chosen id to the processes a launcher starts by running the command line again."""
_OF_A_WINDOW = (RUN_FILE, METRICS_FILE, MARKS_FILE)
"""What a start writes into a window's folder before its first checkpoint, beside the config."""
_OF_THE_EXPERIMENT = (CONFIG_FILE, LOCK_FILE, TOKEN_FILE, EMBEDDING_FILE)
"""And into the experiment's."""


@dataclass(frozen=True)
class ExperimentFolder:
    """Where an experiment lies.

    Attributes:
        name: prefix and id, such as ``experiment_rn50``.
        folder: its folder.
        window_prefix: what the windows' folder names start with.
        is_new: whether this start has made the folder.
    """

    name: str
    folder: Path
    window_prefix: str = "window_"
    is_new: bool = False

    def window_name(self, window: int) -> str:
        """Name of a window's folder, in data and logs alike."""
        return f"{self.window_prefix}{window}"

    def window_folder(self, window: int) -> Path:
        """A window's folder."""
        return self.folder / self.window_name(window)

    def window_folders(self) -> dict[int, Path]:
        """The windows' folders that are there, by index."""
        n = len(self.window_prefix)
        found = [path for path in self.folder.iterdir() if path.name.startswith(self.window_prefix) and path.is_dir()]
        return {int(path.name[n:]): path for path in sorted(found) if path.name[n:].isdecimal()}

    def has_begun(self) -> bool:
        """Whether any window has come to a checkpoint; before that, a run has done nothing."""
        return any((f / STATE_FILE).exists() or any(f.glob("*.ckpt")) for f in self.window_folders().values())


def open_experiment(info: ExperimentInfo, config: ResolvedConfig, allow_change: bool = False) -> ExperimentFolder:
    """Choose the id where none is given, make the folder, and record the config.

    Raises:
        InputError: the folder cannot be made, or belongs to another config; the differences are told.
    """
    experiment_id = info.experiment_id or slurm_job_id() or os.environ.get(ID_VARIABLE)
    root = Path(info.experiments_data_folder)
    try:
        if experiment_id is None:
            _check_nodes(config)
            experiment_id = handed_out(lambda: _next_id(root, info.experiment_name_prefix))
        folder = root / f"{info.experiment_name_prefix}{experiment_id}"
        # the next free number's folder is there already, and empty
        is_new = not folder.exists() or not any(folder.iterdir())
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make a folder in {root.absolute()}: {error.strerror}") from error
    experiment = ExperimentFolder(folder.name, folder, info.window_name_prefix, is_new)
    _record_config(experiment, config, allow_change)
    return experiment


@contextmanager
def withdrawn_on_failure(experiment: ExperimentFolder, run: ExperimentFolder | None = None) -> Iterator[None]:
    """Remove the folder that this start has made, where bad input ends it before anything was done.

    Args:
        experiment: whose folder.
        run: the one whose checkpoints hold its state, where that is another.
    """
    try:
        yield
    except InputError:
        begun = experiment.has_begun() or (run is not None and run.folder.is_dir() and run.has_begun())
        if experiment.is_new and is_first_process() and not begun:
            _withdraw(experiment)
        raise


def _withdraw(experiment: ExperimentFolder) -> None:
    """Remove the folder if it holds nothing but what a start writes; numbers that were logged are kept."""
    known = [experiment.folder / name for name in _OF_THE_EXPERIMENT]
    for folder in experiment.window_folders().values():
        known += [folder / CONFIG_FILE, folder / RUN_FILE]
    files = [path for path in experiment.folder.rglob("*") if not path.is_dir()]
    if all(path in known for path in files):
        shutil.rmtree(experiment.folder, ignore_errors=True)


def find_experiment(info: ExperimentInfo) -> ExperimentFolder:
    """The folder of an experiment that exists.

    Raises:
        InputError: no id is given, or there is no such experiment.
    """
    experiment_id = info.experiment_id or slurm_job_id()
    if experiment_id is None:
        raise InputError("which experiment? give --experiment_info.experiment_id NAME")
    name = f"{info.experiment_name_prefix}{experiment_id}"
    folder = Path(info.experiments_data_folder) / name
    if not folder.is_dir():
        raise InputError(f"no experiment at {folder}; check experiment_info.experiment_id")
    return ExperimentFolder(name, folder, info.window_name_prefix)


def _check_nodes(config: ResolvedConfig) -> None:
    """Refuse to choose an id on each of several nodes whose launcher does not connect their processes beforehand."""
    nodes = int((config.get("trainer") or {}).get("num_nodes") or 1)
    if nodes > 1 and "RANK" not in os.environ:
        raise InputError(
            f"trainer.num_nodes is {nodes}: give --experiment_info.experiment_id, the same on every node, or start the "
            "nodes by torchrun or SLURM"
        )


def _next_id(root: Path, prefix: str) -> str:
    """The next free number; its folder is made, so that two runs that start at once get two."""
    root.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        try:
            (root / f"{prefix}{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return str(number)


def _record_config(experiment: ExperimentFolder, config: ResolvedConfig, allow_change: bool) -> None:
    path = experiment.folder / CONFIG_FILE
    if not path.is_file():
        if is_first_process():
            _write_config(path, config)
        return
    differences = ResolvedConfig.from_file(path).differences(config)
    if not differences:
        return
    if not experiment.has_begun():
        if is_first_process():
            _begin_anew(experiment, config)
        return
    shown = "; ".join(differences[:8]) + (f"; and {len(differences) - 8} more" if len(differences) > 8 else "")
    if not allow_change:
        raise InputError(
            f"{experiment.name} exists with another config ({shown}); give another experiment_info.experiment_id, go "
            "on with the config it was begun with, or say --allow_config_change"
        )
    logger.warning("%s goes on with another config than it was begun with (%s)", experiment.name, shown)
    if is_first_process():
        # the trace first: a config that changed without one would look like the one it was begun with
        _record_change(experiment, differences)
        _write_config(path, config)


def _write_config(path: Path, config: ResolvedConfig) -> None:
    text = config.to_yaml()
    write_text(path, text)
    remember(text, config.to_dict())


def _begin_anew(experiment: ExperimentFolder, config: ResolvedConfig) -> None:
    """Put the config in the place of one whose start came to no checkpoint, with all that such a start left.

    Raises:
        InputError: another run is about to begin there.
    """
    with locked(experiment.folder, slurm_job_id()):
        for folder in experiment.window_folders().values():
            for name in _OF_A_WINDOW:
                (folder / name).unlink(missing_ok=True)
        (experiment.folder / TOKEN_FILE).unlink(missing_ok=True)
        _write_config(experiment.folder / CONFIG_FILE, config)
    logger.info("%s had not come to a checkpoint; it begins anew with this config", experiment.name)


def _record_change(experiment: ExperimentFolder, differences: list[str]) -> None:
    finished = []
    for k, folder in experiment.window_folders().items():
        state = read_state(folder)
        if state is not None and state.final is not None:
            finished.append(k)
    change = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "changes": differences,
        "windows_finished": sorted(finished),
    }
    write_json(experiment.folder / CHANGES_FILE, [*config_changes(experiment.folder), change])


def config_changes(folder: Path) -> list[dict[str, Any]]:
    """How an experiment's config was changed while it went on: date, differences, and windows finished before.

    Raises:
        InputError: the record is damaged.
    """
    path = folder / CHANGES_FILE
    if not path.is_file():
        return []
    try:
        changes = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); restore it, or remove it") from error
    if not isinstance(changes, list):
        raise InputError(f"{path} is damaged: expected a list of changes; restore it, or remove it")
    return changes
