"""Metrics as the original framework's users register them, and its own one."""

from __future__ import annotations

import copy
import logging
import numbers
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.metrics.definitions import check_own_name
from aigenbench.training.detector.own_metrics import no_number

TRAINING = "fit"
STAGES = (TRAINING, "validate", "test")
ALL_IMAGES = "*"

logger = logging.getLogger(__name__)


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

    def clashes(self, other: RegisteredMetric) -> bool:
        """Whether the two would be logged under one name."""
        return (self.name, self.each) == (other.name, other.each) and bool({*self.stages} & {*other.stages})

    def places(self, names: Sequence[str]) -> list[str]:
        """Where it is logged: what stands before its name."""
        return [f"generators/{name}/" for name in names[1:]] if self.each else [""]

    def attribute(self, place: str) -> str:
        """A name that a module may carry."""
        return re.sub(r"\W", "_", f"{place}{self.name}")

    def of_training(self) -> Metric:
        """A metric of its own for training."""
        return copy.deepcopy(self.metric)

    def chosen(self, generator_ids: Tensor, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Where the metric is logged, and which images of a training batch count there: bool (n,).

        Those of single generators are of these generators' fakes and all reals.
        """
        if self.each:
            for one in generator_ids.unique().tolist():
                if one:
                    yield f"generators/{names[one]}/", (generator_ids == one) | (generator_ids == 0)
        elif self.generator_ids is None:
            yield "", torch.ones_like(generator_ids, dtype=torch.bool)
        else:
            ids = torch.tensor([0, *self.generator_ids], device=generator_ids.device)
            yield "", torch.isin(generator_ids, ids)


def feed(metric: Any, name: str, scores: Tensor, labels: Tensor, epoch_only: bool) -> None:
    """Give a metric a training batch.

    Raises:
        InputError: it does not take it.
    """
    if not len(scores):
        return
    try:
        if epoch_only:
            metric.update(scores, labels)
        else:
            metric(scores, labels)
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        raise InputError(f"the metric {name!r} fails on a training batch: {' '.join(str(error).split())}") from error


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
        given = generator_id if isinstance(generator_id, (list, tuple, set, range)) else [generator_id]
        if not all(isinstance(one, numbers.Integral) for one in given):
            raise InputError(
                f"_managers_set_metrics: generator_id is '*' for all images, None for a metric a generator, an id or "
                f"several, found {generator_id!r}; self.trainer.datamodule.generator_id_to_name has the ids"
            )
        ids = tuple(int(one) for one in given)
    prefix = "" if metrics_group == "default" else f"{metrics_group}/"
    suffix = "" if ids is None else "/generators_" + "_".join(map(str, ids))
    made = [
        RegisteredMetric(f"{prefix}{name}{suffix}", metric, stages, ids, each, epoch_only)
        for name, metric in _named(metrics)
    ]
    for metric in made:
        check_own_name(metric.name)
    return made


def _named(metrics: Any) -> list[tuple[str, Metric]]:
    if isinstance(metrics, (MetricCollection, Mapping)):
        named = [(str(name), metric) for name, metric in metrics.items()]
    else:
        several = metrics if isinstance(metrics, (list, tuple)) else [metrics]
        named = []
        for one in several:
            named += _named(one) if isinstance(one, MetricCollection) else [(type(one).__name__, one)]
    for name, metric in named:
        if not isinstance(metric, Metric):
            raise InputError(
                f"_managers_set_metrics: expected a torchmetrics metric, a list or a collection, found "
                f"{type(metric).__name__}"
            )
        _check_number(name, metric)
    return named


def _check_number(name: str, metric: Metric) -> None:
    """Refuse a metric that gives no single number, where two images are enough to see it."""
    tried: Any = copy.deepcopy(metric)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = tried(torch.tensor([0.2, 0.7]), torch.tensor([0, 1]))
    except Exception as error:  # noqa: BLE001 - it may want classes' probabilities; what it makes of its images tells
        logger.debug("the metric %s cannot be tried on two images: %s", name, error)
        return
    if not isinstance(result, Tensor) or result.numel() != 1:
        raise no_number(name, result)


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
