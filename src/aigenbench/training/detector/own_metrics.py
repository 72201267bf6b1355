"""Metrics that a detector adds to its evaluations, fed with the gathered arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.periods import ALL_PERIODS, WindowGroups
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel, MetricFunction

Mask = npt.NDArray[np.bool_]


def own_metrics(
    detector: BaseDeepfakeDetectionModel, predictions: Predictions, window: int, stage: str
) -> dict[str, float]:
    """What the metrics that a detector added give, by the names they are logged under.

    Args:
        detector: its ``add_metric`` was called, or the original framework's ``_managers_set_metrics``.
        predictions: of an evaluation.
        window: index of the window.
        stage: ``validate`` or ``test``.
    """
    registered = [one for one in detector.registered_metrics if stage in one.stages]
    if not detector.extra_metrics and not registered:
        return {}
    groups = WindowGroups(predictions, threshold=detector.classification_threshold)
    by_class = detector.evaluation_type == "multiclass"
    values = {}
    for period, mask in _periods(groups, window):
        for name, metric in detector.extra_metrics.items():
            values[f"{stage}/{period}/{name}"] = _value(name, metric, *_columns(predictions, groups, mask, False))
        for one in registered:
            if not one.each and one.generator_ids is None:
                columns = _columns(predictions, groups, mask, by_class)
                values[f"{stage}/{period}/{one.name}"] = _value(one.name, one.metric, *columns)
    for one in registered:
        for place, mask in _generators(one, predictions, groups):
            columns = _columns(predictions, groups, mask, by_class)
            values[f"{stage}/{place}"] = _value(one.name, one.metric, *columns)
    return values


def _periods(groups: WindowGroups, window: int) -> Iterator[tuple[str, Mask]]:
    for period in ALL_PERIODS:
        if period == "all":
            mask = np.ones(len(groups.order), dtype=bool)
        else:
            mask = groups.mask(groups.period_generators(period, window))
        if mask.any():
            yield period, mask


def _generators(one: Any, predictions: Predictions, groups: WindowGroups) -> Iterator[tuple[str, Mask]]:
    """Where a metric of single generators is logged, and the images it is of: their fakes with their reals."""
    names = predictions.generator_id_to_name
    if one.each:
        for generator in (name for of_window in predictions.windows_timeline for name in of_window):
            if (mask := groups.mask([generator])).any():
                yield f"generators/{generator}/{one.name}", mask
    elif one.generator_ids is not None:
        mask = groups.mask([names[i] for i in one.generator_ids if 0 < i < len(names)])
        if mask.any():
            yield one.name, mask


def _columns(
    predictions: Predictions, groups: WindowGroups, mask: Mask, by_class: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Labels (n,) and probabilities of being fake (n,); generator ids (n,) and class probabilities (n, classes)."""
    rows = groups.order[mask]
    if by_class and predictions.fused_multiclass_predictions is not None:
        classes = predictions.fused_multiclass_predictions[rows]
        return predictions.fused_generator_ids[rows].astype(np.int64), classes.astype(np.float64)
    return predictions.fused_labels[rows].astype(np.int64), predictions.fused_scores[rows].astype(np.float64)


def _value(name: str, metric: MetricFunction, labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> float:
    if not isinstance(metric, torch.nn.Module):
        return _number(name, metric(labels, scores))
    try:
        # a torchmetrics Metric: (preds, target)
        result = metric(torch.from_numpy(scores), torch.from_numpy(labels))
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        raise InputError(
            f"the metric {name!r} fails on scores {scores.shape} and labels {labels.shape}: "
            f"{' '.join(str(error).split())}"
        ) from error
    metric.reset()  # type: ignore[operator]
    return _number(name, result)


def _number(name: str, result: Any) -> float:
    try:
        return float(result)
    except (TypeError, ValueError, RuntimeError):
        raise no_number(name, result) from None


def no_number(name: str, result: Any) -> InputError:
    """The error to raise for a metric that gives something else than a number."""
    shape = f" of shape {tuple(result.shape)}" if hasattr(result, "shape") else ""
    return InputError(f"the metric {name!r} gives a {type(result).__name__}{shape}; expected one number")
