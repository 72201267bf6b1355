"""An experiment's folder: its id, its windows' folders, and the config it belongs to."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
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
    SELECTION_FILE,
    STATE_FILE,
    TOKEN_FILE,
)
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.config.trust import remember
from aigenbench.errors import InputError
from aigenbench.fences import LostFolderError, check_fence, remove
from aigenbench.files import read_json, write_json, write_text
from aigenbench.training.processes.collectives import handed_out, is_first_process
from aigenbench.training.processes.slurm import slurm_job_id
from aigenbench.training.resume.lock import LOCK_FOLDERS, locked
from aigenbench.training.resume.state import is_trained, read_state

logger = logging.getLogger(__name__)

ID_VARIABLE = "AIGENBENCH_EXPERIMENT_ID"
"""Hands the chosen id to the processes a launcher starts by running the command line again."""
SET_ASIDE = "set_aside"
"""In an experiment's folder: windows that do not follow from those before them, kept for the user to look at."""
_OF_A_WINDOW = (RUN_FILE, METRICS_FILE, MARKS_FILE, SELECTION_FILE)
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

    def index_of(self, window_folder: Path) -> int:
        """Index of the window that a folder, of this experiment or one of its heads, is of."""
        return int(window_folder.name.removeprefix(self.window_prefix))

    def has_begun(self) -> bool:
        """Whether any window has come to a checkpoint; before that, a run has done nothing."""
        return any((f / STATE_FILE).exists() or any(f.glob("*.ckpt")) for f in self.window_folders().values())

    def set_aside(self, window: int) -> Path | None:
        """Move a window's folder out of the way; returns where it is, or None where there is none."""
        folder = self.window_folder(window)
        if not folder.is_dir():
            return None
        check_fence(folder)
        places = (self.folder / SET_ASIDE / (folder.name if n == 1 else f"{folder.name}_{n}") for n in count(1))
        place = next(place for place in places if not place.exists())
        place.parent.mkdir(exist_ok=True)
        return folder.rename(place)


def open_experiment(info: ExperimentInfo, config: ResolvedConfig, allow_change: bool = False) -> ExperimentFolder:
    """Choose the id where none is given, and make the folder; ``held`` takes it.

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
    _differences(experiment, config, allow_change)
    return experiment


@contextmanager
def held(
    experiment: ExperimentFolder, config: ResolvedConfig, allow_change: bool, run: ExperimentFolder | None = None
) -> Iterator[None]:
    """Hold an experiment's lock, and record its config; all but the first of several processes do nothing.

    Where bad input ends this start before anything was done, the folder that it has made goes.

    Args:
        experiment: whose folder.
        config: that of this start.
        allow_change: whether it may differ from the one recorded.
        run: the experiment whose checkpoints hold this one's state, where that is another.

    Raises:
        InputError: another run holds the lock, or the experiment belongs to another config.
    """
    if not is_first_process():
        yield
        return
    with ExitStack() as stack:
        states = map(read_state, experiment.window_folders().values())
        newest = max((state.generation for state in states if state is not None), default=0)
        stack.enter_context(locked(experiment.folder, slurm_job_id(), newest))
        stack.enter_context(_withdrawn_on_failure(experiment, run))
        _record_config(experiment, config, allow_change)
        yield


@contextmanager
def _withdrawn_on_failure(experiment: ExperimentFolder, run: ExperimentFolder | None) -> Iterator[None]:
    try:
        yield
    except LostFolderError:
        raise
    except InputError:
        begun = experiment.has_begun() or (run is not None and run.folder.is_dir() and run.has_begun())
        if experiment.is_new and not begun:
            check_fence(experiment.folder)
            _withdraw(experiment)
        raise


def _withdraw(experiment: ExperimentFolder) -> None:
    """Remove the folder if it holds nothing but what a start writes; numbers that were logged are kept."""
    known = [experiment.folder / name for name in _OF_THE_EXPERIMENT]
    for folder in experiment.window_folders().values():
        known += [folder / CONFIG_FILE, folder / RUN_FILE, folder / SELECTION_FILE]
    for folder in experiment.folder.glob(f"{LOCK_FOLDERS}*"):
        known += folder.rglob("*")
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


def _differences(experiment: ExperimentFolder, config: ResolvedConfig, allow_change: bool) -> list[str]:
    """How the config differs from the one that the experiment was begun with.

    Raises:
        InputError: it does, it has come to a checkpoint, and it may not go on with another.
    """
    path = experiment.folder / CONFIG_FILE
    differences = ResolvedConfig.from_file(path).differences(config) if path.is_file() else []
    if differences and not allow_change and experiment.has_begun():
        raise InputError(
            f"{experiment.name} exists with another config ({_shown(differences)}); give another "
            "experiment_info.experiment_id, go on with the config it was begun with, or say --allow_config_change"
        )
    return differences


def _shown(differences: list[str]) -> str:
    return "; ".join(differences[:8]) + (f"; and {len(differences) - 8} more" if len(differences) > 8 else "")


def _record_config(experiment: ExperimentFolder, config: ResolvedConfig, allow_change: bool) -> None:
    path = experiment.folder / CONFIG_FILE
    differences = _differences(experiment, config, allow_change)
    if differences and not experiment.has_begun():
        _begin_anew(experiment)
    elif differences:
        shown = _shown(differences)
        logger.warning("%s goes on with another config than it was begun with (%s)", experiment.name, shown)
        # the trace first: a config that changed without one would look like the one it was begun with
        record_change(experiment, differences)
    if differences or not path.is_file():
        _write_config(path, config)


def _write_config(path: Path, config: ResolvedConfig) -> None:
    text = config.to_yaml()
    write_text(path, text)
    remember(text, config.to_dict())


def _begin_anew(experiment: ExperimentFolder) -> None:
    """Remove all that a start left which came to no checkpoint."""
    for folder in experiment.window_folders().values():
        for name in _OF_A_WINDOW:
            remove(folder / name)
    remove(experiment.folder / TOKEN_FILE)
    logger.info("%s had not come to a checkpoint; it begins anew with this config", experiment.name)


def record_change(experiment: ExperimentFolder, differences: list[str]) -> None:
    """Write down that an experiment goes on with another configuration."""
    finished = [k for k, folder in experiment.window_folders().items() if is_trained(read_state(folder))]
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
    changes: list[dict[str, Any]] = read_json(path, list)
    return changes
