"""An experiment's folder: its id, its windows' folders, and the config it belongs to."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.files import write_text
from aigenbench.training.processes import handed_out, is_first_process

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
ID_VARIABLE = "AIGENBENCH_EXPERIMENT_ID"
"""Hands the chosen id to the processes a launcher starts by running the command line again."""


@dataclass(frozen=True)
class Experiment:
    """Where an experiment lies.

    Attributes:
        name: prefix and id, such as ``experiment_rn50``.
        folder: its folder.
        window_prefix: what the windows' folder names start with.
    """

    name: str
    folder: Path
    window_prefix: str = "window_"

    def window_name(self, window: int) -> str:
        """Name of a window's folder, in data and logs alike."""
        return f"{self.window_prefix}{window}"

    def window_folder(self, window: int) -> Path:
        """A window's folder."""
        return self.folder / self.window_name(window)


def open_experiment(info: ExperimentInfo, config: ResolvedConfig, allow_change: bool = False) -> Experiment:
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
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make a folder in {root.absolute()}: {error.strerror}") from error
    experiment = Experiment(folder.name, folder, info.window_name_prefix)
    _record_config(experiment, config, allow_change)
    return experiment


def find_experiment(info: ExperimentInfo) -> Experiment:
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
    return Experiment(name, folder, info.window_name_prefix)


def slurm_job_id() -> str | None:
    """The SLURM job id, ``<array job>_<task>`` in an array; None outside SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID") or None


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


def _record_config(experiment: Experiment, config: ResolvedConfig, allow_change: bool) -> None:
    path = experiment.folder / CONFIG_FILE
    if not path.is_file():
        if is_first_process():
            write_text(path, config.to_yaml())
        return
    differences = ResolvedConfig.from_file(path).differences(config)
    if not differences:
        return
    shown = "; ".join(differences[:8]) + (f"; and {len(differences) - 8} more" if len(differences) > 8 else "")
    if not allow_change:
        raise InputError(
            f"{experiment.name} exists with another config ({shown}); give another experiment_info.experiment_id, go "
            "on with the config it was begun with, or say --allow_config_change"
        )
    logger.warning("%s goes on with another config than it was begun with (%s)", experiment.name, shown)
    if is_first_process():
        write_text(path, config.to_yaml())
