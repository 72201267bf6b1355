"""What a window was trained with: versions, hardware, time; kept beside its results."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from aigenbench import __version__
from aigenbench.config.folder import CONFIG_FILE, EMBEDDING_FILE, RUN_FILE
from aigenbench.data.sources.mark import marks_of
from aigenbench.errors import InputError
from aigenbench.fences import generation_of, remove
from aigenbench.files import read_json, write_json, write_text
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.resume.folder import config_changes
from aigenbench.training.strategies.selection import Selection
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.keeper import WindowPlan

_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "open_clip_torch",
    "numpy",
    "opencv-python-headless",
    "pillow",
)


def record_run(folder: Path, setup: Setup, plan: WindowPlan, trainer: pl.Trainer) -> None:
    """Write ``run.json`` and the resolved config into a window's folder."""
    if not trainer.is_global_zero:
        return
    strategy = setup.info.strategy
    choice = setup.plan.training.choice
    if isinstance(choice, Selection):
        choice.write(folder, plan.window, setup.pipeline.augmentation_factor)
    record: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "aigenbench": __version__,
        "python": platform.python_version(),
        "packages": _versions(),
        "host": platform.node(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": _device_name(trainer),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        **of_protocol(setup),
        **({"strategy": strategy} if strategy else {}),
        "training_fingerprint": setup.training_fingerprint(plan.window),
        "generation": generation_of(folder),
        "steps_per_epoch": plan.steps,
        "trained_parameters": sum(p.numel() for p in setup.detector.parameters() if p.requires_grad),
    }
    if reasons := setup.off_protocol:
        record["off_protocol"] = list(reasons)
    if changes := config_changes(folder.parent):
        record["config_changes"] = changes
    if marks := marks_of(setup.pipeline.source.path):
        record["data"] = marks[0]
    write_json(folder / RUN_FILE, record)
    write_text(folder / CONFIG_FILE, setup.inputs.config.to_yaml())


def of_protocol(setup: Setup) -> dict[str, Any]:
    """What ``run.json`` says of the evaluation and, where it is not the published one, of the timeline."""
    timeline = setup.plan.timeline
    named = {"timeline": {"name": timeline.name, "version": timeline.version}} if timeline.title else {}
    return {"protocol_fingerprint": setup.fingerprint, "images": setup.images, **named}


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


class TrainingTime:
    """The time that a window's training has taken, kept in its ``run.json``; restarts add up.

    What was done after the last checkpoint before a kill is not counted. Where features are stored,
    ``embedding_seconds`` is the time of embedding before the window (all at once before the first, as a rule), and
    ``total_seconds`` both.

    Args:
        folder: the window's, with its ``run.json``.
        embeds: whether features are stored.
    """

    def __init__(self, folder: Path, embeds: bool) -> None:
        self._path = folder / RUN_FILE
        self._record = recorded(folder)
        self._before = _seconds(self._record, "seconds", self._path)
        if embeds:
            spent = _seconds(self._record, "embedding_seconds", self._path) + _embedding_seconds(folder.parent)
            self._record["embedding_seconds"] = round(spent, 3)

    def keep(self, seconds: float) -> None:
        """Write down that this start has trained for so long."""
        self._record["seconds"] = round(self._before + seconds, 3)
        if "embedding_seconds" in self._record:
            total = self._record["seconds"] + self._record["embedding_seconds"]
            self._record["total_seconds"] = round(total, 3)
        write_json(self._path, self._record)
        remove(self._path.parent.parent / EMBEDDING_FILE)


@contextmanager
def embedding_recorded(folder: Path, spent: list[float]) -> Iterator[None]:
    """Keep the seconds that are appended to ``spent`` within, for the window of the experiment that comes next.

    They are kept even where a stop ends it.
    """
    try:
        yield
    finally:
        if spent and is_first_process():
            write_json(folder / EMBEDDING_FILE, {"seconds": round(_embedding_seconds(folder) + sum(spent), 3)})
        spent.clear()


def _embedding_seconds(folder: Path) -> float:
    path = folder / EMBEDDING_FILE
    return _seconds(read_json(path), "seconds", path) if path.is_file() else 0.0


def _seconds(record: Mapping[str, Any], key: str, path: Path) -> float:
    value = record.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{path} is damaged: {key} is {value!r}, expected a number; take the key out")
    return float(value)


def recorded_fingerprint(folder: Path) -> str | None:
    """The protocol fingerprint a window was begun with; None where it was not begun."""
    record = recorded(folder)
    return str(record["protocol_fingerprint"]) if record else None


def recorded(folder: Path) -> dict[str, Any]:
    """What ``record_run`` wrote into a window's folder; empty where the window was not begun.

    Raises:
        InputError: it is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return {}
    record: dict[str, Any] = read_json(path)
    if "protocol_fingerprint" not in record:
        raise InputError(f"{path} is damaged (no protocol_fingerprint); remove the window's folder to train it again")
    return record


def _device_name(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
