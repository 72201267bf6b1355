"""Running an evaluation and telling its results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from aigenbench.augmentations import Recipe, freed_memory_kept
from aigenbench.evaluation.periods import ALL_PERIODS, WindowGroups, evaluate
from aigenbench.evaluation.predictions import Predictions
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.training.collect import OutputCollector, make_predictions
from aigenbench.training.detector import MetricFunction, Stage
from aigenbench.training.inputs import Setup
from aigenbench.training.signals import StopRequest

logger = logging.getLogger(__name__)


def stage_of(setup: Setup, window: int, epoch: int = 0, total_steps: int = 1) -> Stage:
    """Where a run stands at a window: what the detector is told."""
    timeline = setup.plan.timeline
    seen = [timeline.ids[name] for names in setup.plan.windows[: window + 1] for name in names]
    if setup.plan.benchmark_type == "none":
        seen = [i for i in timeline.ids.values() if i]
    return Stage(window, epoch, total_steps, len(timeline.id_to_name), tuple(sorted(seen)))


@freed_memory_kept()
def evaluate_detector(
    setup: Setup,
    trainer: pl.Trainer,
    window: int,
    stage: str,
    stop: StopRequest | None = None,
    perturbation: Recipe | None = None,
) -> Predictions:
    """Score the evaluation images with the detector as it is.

    Args:
        setup: the run's objects.
        trainer: a fresh one.
        window: index of the window the detector was trained up to.
        stage: ``validate`` or ``test``.
        stop: the request to stop, if any.
        perturbation: applied after the mandatory steps; it enters the protocol fingerprint.
    """
    setup.detector.begin(stage_of(setup, window))
    chosen = setup.pipeline.evaluation_set(setup.plan, stage)
    share = (trainer.global_rank, trainer.world_size)
    if setup.features is not None:
        setup.features.embed_evaluation(stage, perturbation, trainer.world_size, stop)
        loader = setup.features.evaluation_batches(stage, *share, perturbation)
    else:
        loader = setup.pipeline.evaluation_loader(setup.plan, setup.detector, stage, *share, perturbation)
    # a loader of stored features is given whole batches by its sampler
    batches = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    collector = OutputCollector(batches.common, stop)
    trainer.callbacks.append(collector)  # type: ignore[attr-defined]
    run = trainer.validate if stage == "validate" else trainer.test
    run(setup.detector, dataloaders=loader, verbose=False)
    rows = collector.gathered()
    fingerprint = setup.fingerprint if perturbation is None else setup.fingerprint_under(perturbation)
    return make_predictions(setup.detector, rows, chosen, setup.plan, window, fingerprint)


def log_evaluation(
    setup: Setup,
    loggers: Sequence[Any],
    predictions: Predictions,
    window: int,
    step: int,
    title: str,
    stage: str = "validate",
) -> None:
    """Compute the metrics of every period, log them all, and tell the three that matter."""
    scores = evaluate(predictions, window, threshold=setup.detector.classification_threshold)
    values: dict[str, float] = {}
    if setup.detector.default_metrics:
        for period, of_period in scores.items():
            values.update({f"{stage}/{period}/{name}": v for name, v in of_period.items() if v is not None})
    values.update(_extra_metrics(setup, predictions, window, stage))
    for one in loggers:
        one.log_metrics(values, step=step)
        one.save()
    shown = [
        f"{PERIOD_TITLES[period]} {100 * value:.2f}"
        for period in ("growing", "immediate_future", "growing_whole")
        if (value := scores[period]["auroc"]) is not None
    ]
    logger.info("%s: AUROC %s", title, ", ".join(shown))


def _extra_metrics(setup: Setup, predictions: Predictions, window: int, stage: str) -> dict[str, float]:
    extra = setup.detector.extra_metrics
    if not extra:
        return {}
    groups = WindowGroups(predictions, threshold=setup.detector.classification_threshold)
    values = {}
    for period in ALL_PERIODS:
        group = groups.period(period, window)
        if len(group.fakes):
            for name, metric in extra.items():
                values[f"{stage}/{period}/{name}"] = _value(metric, group.fakes.astype(np.int64), group.scores)
    return values


def _value(metric: MetricFunction, labels: Any, scores: Any) -> float:
    scores = scores.astype(np.float64)
    if isinstance(metric, torch.nn.Module):
        # a torchmetrics Metric: (preds, target)
        result = metric(torch.from_numpy(scores), torch.from_numpy(labels))
        metric.reset()  # type: ignore[operator]
        return float(result)
    return float(metric(labels, scores))
