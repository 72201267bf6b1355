"""A network as a program of ``torch.export``: one file that runs without the code that defined the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten

import torch
from torch import nn

from aigenbench.errors import InputError
from aigenbench.files import whole_file
from aigenbench.inference.formats.shifts import largest_shift, of_crops
from aigenbench.models.registry import describe_error

FILE = "model.pt2"
LARGEST_SHIFT = 1e-5


def write_program(network: nn.Module, crops: torch.Tensor, path: Path) -> float:
    """Write a network as a program of crops float32 (n, 3, h, w), any n; the largest distance of a logit is returned.

    Args:
        network: in eval mode, on the CPU, float32.
        crops: preprocessed crops of real pictures, float32 (m, 3, h, w), m >= 1.
        path: the file, with the suffix ``.pt2``; it appears whole or not at all.

    Raises:
        InputError: it cannot be traced, or gives other logits.
    """
    n = torch.export.Dim("n", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(network, (of_crops(crops, 2),), dynamic_shapes=({0: n},))
        # a network may hold anything, and the tracer raises whatever that raises
        except Exception as error:
            raise InputError(
                f"torch.export: this network cannot be traced ({shorten(describe_error(error), 300)})"
            ) from error
        with whole_file(path) as temporary:
            torch.export.save(program, temporary)
            shift = largest_shift(network, program_network(temporary), crops)
            if shift > LARGEST_SHIFT:
                raise InputError(f"torch.export: logits differ by {shift:.2g}, more than {LARGEST_SHIFT:g}")
    return shift


def program_network(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function of crops, float32 (n, 3, h, w), that gives logits, from such a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(path).module()
