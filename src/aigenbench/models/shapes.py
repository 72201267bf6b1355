"""Trying a module on one black image, on shapes alone where that can be: nothing of it changes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def dry_run(model: nn.Module, size: tuple[int, int], on_shapes: bool, gradients: bool = False) -> tuple[Any, Any]:
    """What a model gives in eval mode, and the parameters by name that it was computed with.

    Neither parameters, nor BatchNorm statistics, nor gradients, nor random numbers change.

    Args:
        model: Takes images (1, 3, H, W); a probe by its ``exposed`` view.
        size: (H, W).
        on_shapes: Compute without numbers, with stand-ins of the parameters; some modules cannot.
        gradients: Record what gradients need.
    """
    modes = [(part, part.training) for part in model.modules()]
    module = model.exposed() if hasattr(model, "exposed") else model  # type: ignore[operator]
    module.eval()
    tensors: dict[str, Tensor] = dict(module.named_parameters())
    first = next(iter(tensors.values()), torch.empty(0))
    image = torch.zeros(1, 3, *size, dtype=first.dtype, device="meta" if on_shapes else first.device)
    context = torch.set_grad_enabled(gradients)
    try:
        with context, torch.random.fork_rng(devices=[]), torch.compiler.set_stance("force_eager"):
            if not on_shapes:
                return module(image), tensors
            tensors = {
                name: torch.empty_like(one, device="meta").requires_grad_(one.requires_grad)
                for name, one in tensors.items()
            }
            buffers = {name: torch.empty_like(one, device="meta") for name, one in module.named_buffers()}
            return torch.func.functional_call(module, {**tensors, **buffers}, (image,)), tensors
    finally:
        for part, training in modes:
            part.training = training


def run_once(module: nn.Module, size: tuple[int, int], gradients: bool = False) -> tuple[Any, Any]:
    """As ``dry_run``, on shapes where the module can be run so."""
    try:
        return dry_run(module, size, True, gradients)
    except (NotImplementedError, RuntimeError):
        return dry_run(module, size, False, gradients)


def idle_parameters(module: nn.Module, size: tuple[int, int]) -> list[str]:
    """Names of the parameters that what a module gives, a tensor, does not depend on."""
    output, tensors = run_once(module, size, gradients=True)
    trained = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    slopes = torch.autograd.grad(output.sum(), list(trained.values()), allow_unused=True)
    return [name for name, slope in zip(trained, slopes, strict=True) if slope is None]
