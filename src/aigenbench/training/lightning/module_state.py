"""What a detector is beside its parameters and buffers: what is frozen, what is in eval mode, metrics under way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torchmetrics import Metric

from aigenbench.training.lightning.internals import set_update_count
from aigenbench.training.processes.collectives import largest
from aigenbench.training.processes.sharding import is_sharded


def flags_of(module: torch.nn.Module) -> dict[str, dict[str, bool]]:
    """Which parameters get gradients, and which modules are in train mode, by name."""
    return {
        "requires_grad": {name: parameter.requires_grad for name, parameter in module.named_parameters()},
        "training": {name: part.training for name, part in module.named_modules()},
    }


def restore_flags(module: torch.nn.Module, flags: Mapping[str, Mapping[str, bool]]) -> None:
    """Freeze and unfreeze as ``flags_of`` found; what it did not know stays as it is."""
    for name, parameter in module.named_parameters():
        wanted = flags.get("requires_grad", {}).get(name, parameter.requires_grad)
        if wanted != parameter.requires_grad:
            parameter.requires_grad_(wanted)
    for name, part in module.named_modules():
        part.training = flags.get("training", {}).get(name, part.training)


def metric_states(module: torch.nn.Module) -> dict[str, Any]:
    """What the torchmetrics of a module have gathered, by name: they are in no state dict."""
    return {
        name: metric_state(part)
        for name, part in module.named_modules()
        if isinstance(part, Metric) and part.update_called
    }


def restore_metrics(module: torch.nn.Module, states: Mapping[str, Any], device: torch.device) -> None:
    """Let a module's metrics go on from what ``metric_states`` gave."""
    for name, part in module.named_modules():
        if isinstance(part, Metric) and name in states:
            restore_metric(part, states[name], device)


def metric_state(metric: Metric) -> dict[str, Any]:
    """What one metric has gathered."""
    return {
        "updates": metric.update_count,
        "tensors": {name: on_cpu(value) for name, value in metric.metric_state.items()},
    }


def restore_metric(metric: Metric, state: Mapping[str, Any], device: torch.device) -> None:
    """Let one metric go on from what ``metric_state`` gave."""
    for name, value in state["tensors"].items():
        setattr(metric, name, moved_to(value, device))
    set_update_count(metric, state["updates"])


def on_cpu(value: Any) -> Any:
    """Copies of tensors, alone or in lists, without gradients."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    return [on_cpu(one) for one in value] if isinstance(value, list) else value


def moved_to(value: Any, device: torch.device) -> Any:
    """Tensors, alone or in lists, on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return [moved_to(one, device) for one in value] if isinstance(value, list) else value


def weights_digest(detector: torch.nn.Module) -> str:
    """Tells whether weights or buffers have changed between two calls: by content, since ``.data`` has no version."""
    digest = hashlib.sha256()
    for tensor in (*detector.parameters(), *detector.buffers()):
        local: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        values = local.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def are_weights(detector: torch.nn.Module, digest: str | None) -> bool:
    """Whether a detector's weights are those of a digest; of a sharded one, in all processes."""
    differs = weights_digest(detector) != digest
    return not (largest(differs) if is_sharded(detector) else differs)
