"""What the figures were measured on: hardware and versions, no names of hosts or people."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "timm",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "scikit-learn",
)


def describe_machine() -> dict[str, str]:
    """Processor, cores, memory, accelerator, operating system and versions, by name."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    described = {
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.machine(),
        "cores used": str(usable),
        "memory": f"{_kibibytes('MemTotal') / 2**20:.0f} GiB",
        "system": _system(),
        "Python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            described[name] = version(name)
        except PackageNotFoundError:
            continue
    return described


def _line_of(path: str, key: str) -> str:
    file = Path(path)
    if not file.is_file():
        return ""
    lines = (line.partition(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")


def _kibibytes(key: str) -> int:
    return int((_line_of("/proc/meminfo", key) or "0").split()[0])


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release().partition('-')[0]}"
