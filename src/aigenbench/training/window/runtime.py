"""What a window was trained with: versions, hardware, time; kept beside its results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from aigenbench import __version__
from aigenbench.config.folder import CONFIG_FILE, RUN_FILE
from aigenbench.data.sources.mark import is_synthetic
from aigenbench.errors import InputError
from aigenbench.files import write_json, write_text
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.resume.folder import config_changes
from aigenbench.training.window.inputs import Setup
from aigenbench.training.window.keeper import WindowPlan

EMBEDDING_FILE = "embedding.json"
"""In an experiment's folder: time of embedding that no window has recorded yet."""
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
        "protocol_fingerprint": setup.fingerprint,
        "training_fingerprint": setup.training_fingerprint(plan.window),
        "images": setup.images,
        "steps_per_epoch": plan.steps,
        "trained_parameters": sum(p.numel() for p in setup.detector.parameters() if p.requires_grad),
    }
    if changes := config_changes(folder.parent):
        record["config_changes"] = changes
    if is_synthetic(setup.pipeline.source.path):
        record["data"] = "synthetic"
    if setup.features is not None:
        record["embedding_seconds"] = _embedding_seconds(folder.parent)
    write_json(folder / RUN_FILE, record)
    (folder.parent / EMBEDDING_FILE).unlink(missing_ok=True)
    write_text(folder / CONFIG_FILE, setup.inputs.config.to_yaml())


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def add_seconds(folder: Path, seconds: float) -> None:
    """Add to the time a window's training has taken; restarts add up.

    Where features are stored, ``embedding_seconds`` is the time of embedding before the window (all at once before the
    first, as a rule), and ``total_seconds`` both.
    """
    record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    record["seconds"] = round(record.get("seconds", 0.0) + seconds, 3)
    if "embedding_seconds" in record:
        record["embedding_seconds"] = round(record["embedding_seconds"] + _embedding_seconds(folder.parent), 3)
        record["total_seconds"] = round(record["seconds"] + record["embedding_seconds"], 3)
    write_json(folder / RUN_FILE, record)
    (folder.parent / EMBEDDING_FILE).unlink(missing_ok=True)


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
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.is_file() else 0.0


def recorded_fingerprint(folder: Path) -> str | None:
    """The protocol fingerprint a window was begun with; None where it was not begun."""
    record = recorded(folder)
    return str(record["protocol_fingerprint"]) if record else None


def recorded(folder: Path) -> dict[str, Any]:
    """What ``record_run`` wrote into a window's folder; empty where the window was not begun."""
    path = folder / RUN_FILE
    if not path.is_file():
        return {}
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**record, "protocol_fingerprint": record["protocol_fingerprint"]}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); remove the window's folder to train it again") from error


def _device_name(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
