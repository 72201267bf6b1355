"""Metrics as the original framework's users register them, and its own one."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from aigenbench.errors import InputError, nearest

TRAINING = "fit"
STAGES = (TRAINING, "validate", "test")
ALL_IMAGES = "*"


@dataclass(frozen=True)
class RegisteredMetric:
    """A metric and what it is of.

    Attributes:
        name: under which it is logged.
        metric: from torchmetrics; called with probabilities (n,) and labels (n,).
        stages: ``fit``, ``validate``, ``test``.
        generator_ids: the images' generators that count; None for all.
        each: one metric a generator.
        epoch_only: of training, log at an epoch's end alone.
    """

    name: str
    metric: Metric
    stages: tuple[str, ...]
    generator_ids: tuple[int, ...] | None = None
    each: bool = False
    epoch_only: bool = False

    @property
    def attribute(self) -> str:
        """A name that a module may carry."""
        return re.sub(r"\W", "_", self.name)

    def of_training(self) -> Metric:
        """A metric of its own for training."""
        return copy.deepcopy(self.metric)

    def chosen(self, generator_ids: Tensor) -> Tensor:
        """Which images of a training batch count: bool (n,)."""
        if self.generator_ids is None:
            return torch.ones_like(generator_ids, dtype=torch.bool)
        return torch.isin(generator_ids, torch.tensor(self.generator_ids, device=generator_ids.device))


def registered(
    stage: str | Sequence[str] | None, generator_id: Any, metrics: Any, metrics_group: str, epoch_only: bool
) -> list[RegisteredMetric]:
    """What a call of ``_managers_set_metrics`` registers.

    Raises:
        InputError: an unknown stage, or what is no torchmetrics metric.
    """
    stages = STAGES if stage is None else (stage,) if isinstance(stage, str) else tuple(stage)
    for one in stages:
        if one not in STAGES:
            raise InputError(
                f"_managers_set_metrics: unknown stage {one!r}; one of {', '.join(STAGES)}, a list, or None for all"
                f"{nearest(str(one), STAGES)}"
            )
    each, ids = generator_id is None, None
    if not each and generator_id != ALL_IMAGES:
        ids = tuple(int(i) for i in (generator_id if isinstance(generator_id, (list, tuple, set)) else [generator_id]))
    prefix = "" if metrics_group == "default" else f"{metrics_group}/"
    suffix = "" if ids is None else "/generators_" + "_".join(map(str, ids))
    return [
        RegisteredMetric(f"{prefix}{name}{suffix}", metric, stages, ids, each, epoch_only)
        for name, metric in _named(metrics)
    ]


def _named(metrics: Any) -> list[tuple[str, Metric]]:
    if isinstance(metrics, (MetricCollection, Mapping)):
        return [(str(name), metric) for name, metric in metrics.items()]
    given = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    for metric in given:
        if not isinstance(metric, Metric):
            raise InputError(
                f"_managers_set_metrics: expected a torchmetrics metric, a list or a collection, found "
                f"{type(metric).__name__}"
            )
    return [(type(metric).__name__, metric) for metric in given]


class BalancedBinaryAccuracy(Metric):
    """Mean of the accuracies on fakes and on reals, a score counting as fake above the threshold.

    Args:
        threshold: 0.5 unless given.
        arguments: of torchmetrics' ``Metric``.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self, threshold: float = 0.5, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.threshold = threshold
        self.add_state("right", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count; ``preds`` are probabilities (n,), ``target`` labels (n,)."""
        called = (preds > self.threshold).long()
        for label in (0, 1):
            of_label = target == label
            self.total[label] += of_label.sum()
            self.right[label] += (of_label & (called == label)).sum()

    def compute(self) -> Tensor:
        """The mean over the labels that were seen; NaN where there is none."""
        seen = self.total > 0
        return (self.right[seen] / self.total[seen]).mean()
