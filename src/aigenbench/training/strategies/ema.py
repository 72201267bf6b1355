"""The exponential mean of weights over optimizer steps."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from aigenbench.training.strategies.merging import Weights


class MeanOfSteps(pl.Callback):
    """Keeps ``decay * mean + (1 - decay) * weights``, updated after every optimizer step of a window.

    It begins with the weights that the window starts with. BatchNorm's running statistics are among them. The mean is
    kept in checkpoints; of weights narrower than float32, in float32.

    Args:
        decay: from 0 on, below 1.
    """

    def __init__(self, decay: float) -> None:
        self._update = get_ema_multi_avg_fn(decay)
        self._decay = decay
        self._mean: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the mean, or put that of a checkpoint on the device."""
        own = _floats(pl_module)
        self._mean = {
            name: self._mean.get(name, own[name]).detach().to(own[name].device, _wide(own[name]), copy=True)
            for name in own
        }

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the weights in, once an optimizer step is done."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        own = _floats(pl_module)
        means, weights = list(self._mean.values()), [own[name].to(mean.dtype) for name, mean in self._mean.items()]
        self._update(means, weights, 0)

    def state_dict(self) -> dict[str, Any]:
        """The mean so far."""
        return {"mean": {name: tensor.cpu() for name, tensor in self._mean.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self._mean = dict(state_dict["mean"])

    def weights(self, trained: Weights) -> dict[str, Tensor]:
        """The mean as a state dict on the CPU; what is no floating number is that of ``trained``."""
        if self._decay == 0:
            return dict(trained)
        return {k: self._mean[k].to("cpu", v.dtype) if k in self._mean else v for k, v in trained.items()}


def _floats(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
