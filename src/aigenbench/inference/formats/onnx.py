"""A network as an ONNX file that gives the same logits, and the file run by ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import torch
from torch import nn

from aigenbench.errors import InputError
from aigenbench.files import whole_file
from aigenbench.inference.formats.shifts import largest_shift, of_crops
from aigenbench.models.registry import describe_error

OPSET = 18
FILE = "model.onnx"
LARGEST_SHIFT = 1e-3
"""How far a logit may lie from the network's own; a file that is further off is not written."""
# a protobuf message ends at 2 GiB
_LARGEST_FILE = 1_900_000_000


@dataclass(frozen=True)
class OnnxFacts:
    """What was written.

    Attributes:
        exporter: ``torch.export``, or ``TorchScript`` where the newer one's file was wrong or none.
        opset: of ONNX's default domain.
        shift: the largest distance of a logit from the network's own.
    """

    exporter: str
    opset: int
    shift: float


def write_onnx(network: nn.Module, crops: torch.Tensor, path: Path) -> OnnxFacts:
    """Write a network as ONNX: input ``crops`` float32 (n, 3, h, w), output ``logits``, any n.

    Both exporters of PyTorch are tried, the newer first; a file counts only if ONNX Runtime gives the network's own
    logits, as far as ``LARGEST_SHIFT`` allows.

    Args:
        network: in eval mode, on the CPU, float32.
        crops: preprocessed crops of real pictures, float32 (m, 3, h, w), m >= 1; they are what is compared.
        path: the file; it appears whole or not at all.

    Raises:
        InputError: no exporter can write it, or its logits are further off than ``LARGEST_SHIFT``.
    """
    _needs("onnx", "onnxscript", "onnxruntime")
    if sum(p.numel() * p.element_size() for p in network.state_dict().values()) > _LARGEST_FILE:
        raise InputError("ONNX: the network has more than 1.9 GB of weights, which one ONNX file cannot hold")
    reasons = []
    for name, export in (("torch.export", _by_program), ("TorchScript", _by_script)):
        try:
            return OnnxFacts(name, OPSET, _written(network, crops, path, export))
        except InputError as error:
            reasons.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - exporters and ONNX Runtime raise what they like
            reasons.append(f"{name}: {shorten(describe_error(error), 300)}")
    raise InputError(f"ONNX: this network cannot be written ({'; '.join(reasons)}); export it without --format onnx")


def _written(
    network: nn.Module, crops: torch.Tensor, path: Path, export: Callable[[nn.Module, torch.Tensor, Path], None]
) -> float:
    with whole_file(path) as temporary:
        with _exportable(network):
            export(network, crops, temporary)
        shift = largest_shift(network, onnx_network(temporary), crops)
        if shift > LARGEST_SHIFT:
            raise InputError(f"logits differ by {shift:.2g}, more than {LARGEST_SHIFT:g}")
    return shift


def onnx_network(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function of crops, float32 (n, 3, h, w), that gives logits by ONNX Runtime on the CPU.

    Raises:
        InputError: ONNX Runtime is not installed, or cannot read the file.
    """
    _needs("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # its exceptions have no base class of their own
    except Exception as error:
        raise InputError(f"{path} cannot be run by ONNX Runtime: {shorten(describe_error(error), 300)}") from error

    def run(crops: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"crops": crops.cpu().numpy()})[0])

    return run


def _by_program(network: nn.Module, crops: torch.Tensor, path: Path) -> None:
    torch.onnx.export(
        network,
        (of_crops(crops, 2),),
        path,
        input_names=["crops"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        external_data=False,
        verbose=False,
    )


def _by_script(network: nn.Module, crops: torch.Tensor, path: Path) -> None:
    torch.onnx.export(
        network,
        (of_crops(crops, 2),),
        str(path),
        input_names=["crops"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=False,
        dynamic_axes={"crops": {0: "n"}, "logits": {0: "n"}},
    )


@contextlib.contextmanager
def _exportable(network: nn.Module) -> Iterator[None]:
    """Weights without gradients, attention by operations that ONNX has, and exporters that keep quiet."""
    trained = [p for p in network.parameters() if p.requires_grad]
    fast = torch.backends.mha.get_fastpath_enabled()
    level = logging.getLogger("torch.onnx").level
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        for p in trained:
            p.requires_grad_(False)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for p in trained:
            p.requires_grad_(True)
        logging.getLogger("torch.onnx").setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fast)


def _needs(*modules: str) -> None:
    import importlib.util

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX needs {', '.join(missing)}: pip install 'aigenbench[onnx]'")
