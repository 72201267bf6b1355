"""Configurations made of what weights say of themselves: a checkpoint knows its detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.config.layer import layer
from aigenbench.engine.assembly.request import Request
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.training.window.weights import Weights


def request_of_weights(
    weights: Weights, trainer: Mapping[str, Any], imports: Sequence[str] = (), trust_imports: bool = False
) -> Request:
    """What these weights ask for to predict.

    Args:
        weights: a checkpoint.
        trainer: accelerator and devices, see `device_arguments`.
        imports: Python files and modules to import for it. Those of its training are not imported by themselves:
            somebody's code runs only where it is named.
        trust_imports: import those of its training too, from here or from beside the checkpoint, and build whatever
            classes it names.

    Raises:
        InputError: neither the checkpoint nor a configuration beside it says which detector it is of.
    """
    from aigenbench.training.loop.predicting import description_of_weights, sections_for

    described = description_of_weights(weights)
    known = {Path(item).name for item in imports}
    unnamed = tuple(str(item) for item in described.get("imports") or () if Path(str(item)).name not in known)
    values = {**sections_for(weights, described, trainer), "imports": list(imports)}
    if trust_imports:
        values["imports"] += unnamed
        return Request((layer(str(weights.path), values, weights.path.parent),))
    return Request(
        (layer(str(weights.path), values),),
        unnamed_imports=unnamed,
        foreign=str(weights.path),
        named_imports=tuple(imports),
    )


def device_arguments(name: str, option: str = "--device") -> dict[str, Any]:
    """The Trainer's arguments for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        InputError: it is none of these, or there is no such device here.
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "gpu", "mps") or (number and (kind == "cpu" or not number.isdecimal())):
        raise InputError(f"{option}: expected auto, cpu, cuda or cuda:N, found {name!r}")
    from aigenbench.training.loop.predicting import has_cuda

    if kind in ("cuda", "gpu") and not has_cuda():
        raise InputError(f"{option} {name}: there is no CUDA device here; use {option} cpu")
    return {"accelerator": kind, "devices": [int(number)] if number else 1}
