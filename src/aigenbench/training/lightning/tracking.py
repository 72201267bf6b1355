"""Loggers whose points cannot be taken back, such as Weights & Biases: a run a window, and no point twice."""

from __future__ import annotations

import logging
import netrc
import os
import re
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from aigenbench.config.folder import CURVES_FILE, MARKS_FILE, TOKEN_FILE
from aigenbench.errors import InputError
from aigenbench.files import read_json, write_json
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.resume.folder import ExperimentFolder

logger = logging.getLogger(__name__)

LogMetrics = Callable[..., None]


def wandb_defaults(experiment: ExperimentFolder, window: int) -> dict[str, Any]:
    """Arguments that make a ``WandbLogger`` go on with the window's run, grouped by experiment."""
    name = experiment.window_name(window)
    # WandbLogger names no argument for it, so configs cannot give it by its arguments
    os.environ.setdefault("WANDB_RUN_GROUP", experiment.name)
    run = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{experiment.name}-{name}")[:100]
    return {
        "name": f"{experiment.name}/{name}",
        "id": f"{run}-{token_of(experiment.folder)}",
        "offline": not has_login(),
    }


def has_login() -> bool:
    """Whether W&B finds a key, or is told by ``WANDB_MODE`` what to do, without asking anybody."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        try:
            if path and netrc.netrc(Path(path).expanduser()).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def token_of(folder: Path) -> str:
    """A random part of names: experiments of one name on two machines are two. It moves with the folder."""
    path = folder / TOKEN_FILE
    if path.is_file():
        return str(read_json(path).get("token"))
    token = uuid.uuid4().hex[:8]
    if is_first_process():
        write_json(path, {"token": token})
    return token


def claim_curves(loggers: Sequence[Any], experiment: ExperimentFolder) -> None:
    """Note in TensorBoard's folders whose curves they hold, which are cut when that experiment goes on.

    Raises:
        InputError: those of another experiment, which is there still.
    """
    for one in loggers if is_first_process() else ():
        if not isinstance(one, TensorBoardLogger):
            continue
        path, token = Path(one.log_dir) / CURVES_FILE, token_of(experiment.folder)
        owner = read_json(path) if path.is_file() else {}
        other = Path(str(owner.get("experiment")))
        if owner.get("token") != token and (other / TOKEN_FILE).is_file() and token_of(other) == owner.get("token"):
            raise InputError(
                f"{path.parent} holds the curves of {other}, which would be cut; give the logger another save_dir"
            )
        write_json(path, {"experiment": str(experiment.folder.absolute()), "token": token})


class Tracking:
    """What of the config's loggers outlives a Trainer."""

    def __init__(self) -> None:
        self._window: int | None = None
        self._told = False

    def start(self, window: int) -> None:
        """Before the loggers of a window are made: end the run of the one before, which W&B would go on with."""
        wandb: Any = sys.modules.get("wandb")
        if self._window not in (None, window) and getattr(wandb, "run", None) is not None:
            wandb.finish()
        self._window = window

    def tell(self, loggers: Sequence[Any]) -> None:
        """Say once where W&B keeps its runs if there is no login."""
        if not self._told and any(isinstance(one, WandbLogger) for one in loggers) and not has_login():
            logger.info("W&B: no login found, its runs are kept offline; `wandb sync --append wandb/offline-*` uploads")
            self._told = True


def skip_logged(loggers: Sequence[Any], folder: Path, in_csv: Mapping[str, int]) -> None:
    """Let loggers pass over what an earlier start of the window has given them.

    Points after the newest checkpoint are computed again, and are the same.

    Args:
        loggers: those whose points cannot be removed.
        folder: the window's folder, where the highest steps are kept over restarts.
        in_csv: the highest step of each kind of point in the CSV, which is written before all others.
    """
    if not loggers or not is_first_process():
        return
    path = folder / MARKS_FILE
    marks: dict[str, int] = read_json(path) if path.is_file() else {}
    for kind, step in in_csv.items():
        marks[kind] = max(step, marks.get(kind, -1))
    if marks:
        write_json(path, marks)
    for one in loggers:
        one.log_metrics = _skipping(one.log_metrics, marks)


def kind_of(name: str) -> str:
    """Whether a logged value belongs to an evaluation or to training; each kind's steps rise."""
    return "evaluation" if name.startswith("validate/") else "training"


def _skipping(log_metrics: LogMetrics, marks: Mapping[str, int]) -> LogMetrics:
    def log(metrics: Mapping[str, float], step: int | None = None) -> None:
        new = {n: v for n, v in metrics.items() if step is None or step > marks.get(kind_of(n), -1)}
        if new:
            log_metrics(new, step=step)

    return log
