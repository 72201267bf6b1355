"""What computes an exported detector's logits: PyTorch, or what else lies in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError, nearest
from aigenbench.inference.artefact import Info
from aigenbench.inference.detector import Runtime
from aigenbench.inference.formats import onnx, program
from aigenbench.inference.network import Network

RUNTIMES = ("torch", "onnx", "program")
_FILES = {"onnx": (onnx.FILE, onnx.onnx_network), "program": (program.FILE, program.program_network)}


def runtime(name: str) -> Runtime | None:
    """What to give ``Detector.load`` as its ``runtime``: None for PyTorch.

    Args:
        name: ``torch``; ``onnx``, by ONNX Runtime on the CPU; or ``program``, as ``torch.export`` wrote it, which can
            run code when it is opened: only of somebody you trust.

    Raises:
        InputError: it is none of these. Of the function: the detector was exported without that format.
    """
    if name not in RUNTIMES:
        raise InputError(f"runtime: expected {', '.join(RUNTIMES)}, found {name!r}{nearest(name, RUNTIMES)}")
    if name == "torch":
        return None
    file, opened = _FILES[name]

    def network(folder: Path, info: Info) -> Network:
        if file not in info.hashes:
            raise InputError(f"{folder} has no {file}; export the detector with --format {name}")
        return Network(_Opened(opened(folder / file)), info, whole=True)

    return network


class _Opened(nn.Module):
    """A function of crops that gives logits, as a module without weights; it computes on the CPU."""

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._run = [run]

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self._run[0](images.cpu()).to(images.device)
