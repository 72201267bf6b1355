"""Energy that this process's device takes, where the machine tells."""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
SECONDS = 60
"""Between two readings at most: a package's counter starts again after some tens of minutes."""


@dataclass
class Counter:
    """A counter of joules.

    Attributes:
        read: its value.
        reach: where it starts again.
        last: its value at the last reading.
    """

    read: Callable[[], float]
    reach: float
    last: float = 0.0

    def since(self) -> float:
        """Joules since the last reading."""
        before, self.last = self.last, self.read()
        return self.last - before if self.last >= before else self.last - before + self.reach


class Energy:
    """Joules since it was made: of a GPU by NVML (extra ``energy``), of the processors' packages by RAPL.

    What other programs take on the same device is in it. Of several processes on a machine, the first alone counts the
    packages. Of a GPU that does not tell, nothing is told, whatever the packages say.

    Args:
        device: this process's, a torch device.
    """

    def __init__(self, device: Any) -> None:
        packages, gpu = _packages(), _gpu(device) if device.type == "cuda" else []
        self._is_told = bool(gpu if device.type == "cuda" else packages)
        is_first = int(os.environ.get("LOCAL_RANK") or 0) == 0
        self._counters = [*gpu, *(packages if is_first else [])] if self._is_told else []
        self._joules, self._read = 0.0, time.monotonic()
        for counter in self._counters:
            counter.since()

    def joules(self) -> float | None:
        """What was taken so far; None where nobody tells."""
        self._read = time.monotonic()
        self._joules += sum(counter.since() for counter in self._counters)
        return self._joules if self._is_told else None

    def look(self) -> None:
        """Read where the last reading is old; to be called every now and then."""
        if time.monotonic() - self._read > SECONDS:
            self.joules()


def _packages() -> list[Counter]:
    """The processors' packages that may be read."""
    places = [place for place in POWERCAP.glob("intel-rapl:*") if re.fullmatch(r"intel-rapl:\d+", place.name)]
    if not places or not all(os.access(place / "energy_uj", os.R_OK) for place in places):
        return []
    return [
        Counter(lambda place=place: _microjoules(place / "energy_uj"), _microjoules(place / "max_energy_range_uj"))  # type: ignore[misc]
        for place in places
    ]


def _microjoules(path: Path) -> float:
    return int(path.read_text()) / 1e6


def _gpu(device: Any) -> list[Counter]:
    """The counter of a GPU; none without the library, or where the GPU has none."""
    try:
        # the module of the distribution nvidia_ml_py
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return []
    import torch

    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return []
    return [Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000, float("inf"))]
