"""Loggers: the CSV that is always written, and where those of the config go."""

from __future__ import annotations

import csv
import math
import struct
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from aigenbench.config.folder import METRICS_FILE
from aigenbench.errors import InputError
from aigenbench.fences import check_fence, remove
from aigenbench.files import whole_file
from aigenbench.training.lightning.tracking import kind_of, skip_logged, wandb_defaults
from aigenbench.training.resume.folder import ExperimentFolder

_COLUMNS = ("step", "name", "value")


def logger_defaults(experiment: ExperimentFolder, window: int, configured: Any = None) -> dict[str, dict[str, Any]]:
    """Arguments loggers of the config get where the config does not give them, by class name.

    Args:
        experiment: names the curves.
        window: index of the window.
        configured: the config's loggers, as written; what only some need is made only for them.
    """
    name = experiment.window_name(window)
    defaults: dict[str, dict[str, Any]] = {
        "TensorBoardLogger": {"name": experiment.name, "version": name, "default_hp_metric": False},
        "CSVLogger": {"name": experiment.name, "version": name},
    }
    if "WandbLogger" in str(configured):
        defaults["WandbLogger"] = wandb_defaults(experiment, window)
    return defaults


class LongCSVLogger(Logger):
    """Appends a line (step, name, value) for every number logged; a resumed run goes on in the same file.

    Args:
        folder: the window's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / METRICS_FILE

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """It has none."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the resolved config lies beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append finite numbers; an undefined metric has no line."""
        new = not self._path.is_file()
        if not self._path.parent.is_dir():
            check_fence(self._path)
            raise InputError(
                f"{self._path.parent} was removed while a run was at work there; put it back, or start the same "
                "command again, which trains the window again"
            )
        with self._path.open("a", newline="", encoding="utf-8") as lines:
            # after opening: who takes the folder over goes on in a copy
            check_fence(self._path)
            writer = csv.writer(lines)
            if new:
                writer.writerow(_COLUMNS)
            writer.writerows((step, name, repr(float(v))) for name, v in metrics.items() if math.isfinite(v))

    def last_steps(self) -> dict[str, int]:
        """The highest step logged, of training and of evaluations."""
        last: dict[str, int] = {}
        for step, name, _ in self._rows():
            last[kind_of(name)] = max(int(step), last.get(kind_of(name), -1))
        return last

    def _rows(self) -> list[list[str]]:
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as lines:
            # a line that a crash cut short goes
            return [row for row in csv.reader(lines) if len(row) == len(_COLUMNS)][1:]

    def position(self) -> int:
        """How far the file goes, in bytes."""
        return self._path.stat().st_size if self._path.is_file() else 0

    @rank_zero_only
    def cut(self, position: int) -> None:
        """Take back what was written after ``position``; go on in a copy."""
        if self._path.is_file():
            _cut_file(self._path, position)

    @rank_zero_only
    def drop_from(self, step: int, keep_evaluation: bool) -> None:
        """Drop the lines of ``step`` and later; arguments as of ``drop_logged``."""
        if not self._path.is_file():
            return
        kept = [row for row in self._rows() if _is_kept(int(row[0]), row[1], step, keep_evaluation)]
        with whole_file(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([_COLUMNS, *kept])


def logged_positions(loggers: Sequence[Any]) -> list[dict[str, int]]:
    """How far the files of each logger go that can be cut, by their names; empty for others."""
    return [_positions(one) for one in loggers]


def _positions(one: Any) -> dict[str, int]:
    if isinstance(one, LongCSVLogger):
        return {METRICS_FILE: one.position()}
    if isinstance(one, TensorBoardLogger):
        one.save()
        one.experiment.flush()
        return {path.name: path.stat().st_size for path in _event_files(one)}
    return {}


def _event_files(one: TensorBoardLogger) -> list[Path]:
    return sorted(Path(one.log_dir).glob("events.out.tfevents.*"))


@rank_zero_only
def cut_logged(loggers: Sequence[Any], folder: Path, positions: Sequence[Mapping[str, int]]) -> None:
    """Take back what was logged after a checkpoint, given what ``logged_positions`` gave for it.

    Other loggers than the CSV's and TensorBoard's pass over what they have. A logger that the checkpoint does not know
    keeps all.
    """
    skip_in_others(loggers, folder)
    for one, of_one in zip(loggers, positions, strict=False):
        if isinstance(one, LongCSVLogger):
            one.cut(of_one.get(METRICS_FILE, 0))
        elif isinstance(one, TensorBoardLogger) and of_one:
            for path in _event_files(one):
                _cut_file(path, of_one.get(path.name, 0))


def _cut_file(path: Path, size: int) -> None:
    if not size:
        remove(path)
        return
    with whole_file(path) as temporary:
        temporary.write_bytes(path.read_bytes()[:size])


def skip_in_others(loggers: Sequence[Any], folder: Path) -> None:
    """Let loggers whose points cannot be removed pass over what the CSV, which comes first, has already."""
    others = [one for one in loggers if not isinstance(one, (LongCSVLogger, TensorBoardLogger))]
    if others:
        skip_logged(others, folder, loggers[0].last_steps())


def drop_logged(loggers: Sequence[Any], folder: Path, step: int, keep_evaluation: bool) -> None:
    """Drop what is going to be logged again, so that curves run on over restarts without doubled points.

    Args:
        loggers: the CSV's, which comes first, and TensorBoard's are cut; others pass over what they have.
        folder: the window's folder.
        step: the first step to be logged.
        keep_evaluation: keep the evaluation at exactly ``step``, which stands before that step's training.
    """
    skip_in_others(loggers, folder)
    for logger in loggers:
        if isinstance(logger, LongCSVLogger):
            logger.drop_from(step, keep_evaluation)
        elif isinstance(logger, TensorBoardLogger):
            for path in _event_files(logger):
                _drop_events(path, step, keep_evaluation)


def _is_kept(at: int, name: str, step: int, keep_evaluation: bool) -> bool:
    return at < step or (keep_evaluation and at == step and kind_of(name) == "evaluation")


@rank_zero_only
def _drop_events(path: Path, step: int, keep_evaluation: bool) -> None:
    """Rewrite an event file without the scalars of ``step`` and later, and without a record cut short."""
    from tensorboard.compat.proto.event_pb2 import Event

    data = path.read_bytes()
    kept, position = [], 0
    while position + 12 <= len(data):
        # a record: length, its checksum, the event, its checksum
        (length,) = struct.unpack_from("<Q", data, position)
        end = position + 16 + length
        if end > len(data):
            break
        event = Event.FromString(data[position + 12 : end - 4])
        tags = [value.tag for value in event.summary.value]
        if not tags or all(_is_kept(event.step, tag, step, keep_evaluation) for tag in tags):
            kept.append(data[position:end])
        position = end
    with whole_file(path) as temporary:
        temporary.write_bytes(b"".join(kept))
