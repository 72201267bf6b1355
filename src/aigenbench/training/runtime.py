"""What a window was trained with: versions, hardware, time; kept beside its results."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from aigenbench import __version__
from aigenbench.data.mark import is_synthetic
from aigenbench.errors import InputError
from aigenbench.files import write_json, write_text
from aigenbench.training.experiment import config_changes
from aigenbench.training.inputs import Setup
from aigenbench.training.keeper import WindowPlan

RUN_FILE = "run.json"
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
        "images": setup.images,
        "steps_per_epoch": plan.steps,
        "trained_parameters": sum(p.numel() for p in setup.detector.parameters() if p.requires_grad),
    }
    if changes := config_changes(folder.parent):
        record["config_changes"] = changes
    if is_synthetic(setup.pipeline.source.path):
        record["data"] = "synthetic"
    write_json(folder / RUN_FILE, record)
    write_text(folder / "config.yaml", setup.inputs.config.to_yaml())


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def add_seconds(folder: Path, seconds: float) -> None:
    """Add to the time a window's training has taken; restarts add up."""
    record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    record["seconds"] = round(record.get("seconds", 0.0) + seconds, 3)
    write_json(folder / RUN_FILE, record)


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
