"""Running an evaluation and telling its results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import Recipe, freed_memory_kept
from aigenbench.data.identity import keys_of
from aigenbench.data.pipeline import split_of
from aigenbench.data.sources.tables import ImageTable
from aigenbench.evaluation.metrics.periods import evaluate
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.protocol.off_protocol import marked
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.trained import Trained
from aigenbench.training.detector.outputs import FUSED
from aigenbench.training.detector.own_metrics import own_metrics
from aigenbench.training.detector.stage import Stage
from aigenbench.training.processes.collectives import SharedError
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.window.collect import Arrays, OutputCollector, make_predictions
from aigenbench.training.window.inputs import Setup

logger = logging.getLogger(__name__)


def stage_of(setup: Setup, window: int, epoch: int = 0, total_steps: int = 1) -> Stage:
    """Where a run stands at a window: what the detector is told."""
    images = setup.training_fingerprint(window)
    return Stage.at(setup.plan, window, epoch, total_steps, setup.detector.trained, images)


def stage_of_weights(trained: Trained, window: int) -> Stage:
    """What a detector is told that is evaluated with weights as they are."""
    return Stage(window, n_classes=len(trained.id_to_name), seen_generator_ids=trained.ids, trained=trained)


@freed_memory_kept()
def evaluate_detector(
    setup: Setup,
    trainer: pl.Trainer,
    window: int,
    stage: str,
    stop: StopRequest | None = None,
    perturbation: Recipe | None = None,
    trained: Trained | None = None,
) -> Predictions:
    """Score the evaluation images with the detector as it is.

    Args:
        setup: the run's objects.
        trainer: a fresh one.
        window: index of the window the detector was trained up to.
        stage: ``validate`` or ``test``.
        stop: the request to stop, if any.
        perturbation: applied after the mandatory steps; it enters the protocol fingerprint.
        trained: what the detector's weights were trained on; None takes the windows of the run up to ``window``.

    Raises:
        InputError: a score is not a finite number; the message names its image.
    """
    setup.detector.begin(stage_of(setup, window) if trained is None else stage_of_weights(trained, window))
    loader = evaluation_loader(setup, trainer, stage, stop, perturbation)
    collector = OutputCollector(common_batches(loader), stop)
    trainer.callbacks.append(collector)  # type: ignore[attr-defined]
    # what a detector's own code may ask
    setup.pipeline.serve(setup.plan, window, setup.seed, (None, None))
    trainer.datamodule = setup.pipeline  # type: ignore[attr-defined]
    run = trainer.validate if stage == "validate" else trainer.test
    run(setup.detector, dataloaders=loader, verbose=False)
    fingerprint = setup.fingerprint if perturbation is None else setup.fingerprint_under(perturbation)
    return checked_predictions(setup, collector.gathered(), window, stage, fingerprint)


def evaluation_loader(
    setup: Setup, trainer: pl.Trainer, stage: str, stop: StopRequest | None = None, perturbation: Recipe | None = None
) -> Any:
    """Batches of ``validate`` or ``test`` for this process, of images or of stored features."""
    share = (trainer.global_rank, trainer.world_size)
    if setup.features is None:
        return setup.pipeline.evaluation_loader(setup.plan, setup.detector, stage, *share, perturbation)
    setup.features.embed_evaluation(stage, perturbation, trainer.world_size, stop)
    return setup.features.evaluation_batches(stage, *share, perturbation)


def common_batches(loader: Any) -> int:
    """How many batches every process has at least."""
    # a loader of stored features is given whole batches by its sampler
    batches = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    return int(batches.common)


def checked_predictions(setup: Setup, rows: Arrays, window: int, stage: str, fingerprint: str) -> Predictions:
    """Predictions from what an ``OutputCollector`` gathered of the set-up's detector; raises as ``check_finite``."""
    table = setup.pipeline.source.table(split_of(stage))

    def names(identifiers: npt.NDArray[Any]) -> Callable[[int], str]:
        return lambda row: named_image(table, int(identifiers[row]))

    for of in ("", FUSED):
        if (logits := rows.get(f"{of}logits")) is not None:
            check_finite(logits, names(rows[f"{of}identifiers"]))
    chosen = setup.pipeline.evaluation_set(setup.plan, stage)
    return make_predictions(
        setup.detector,
        rows,
        chosen,
        setup.plan,
        window,
        fingerprint,
        setup.detector.stage.trained,
        keys_of(table, chosen.ids),
    )


def check_finite(logits: npt.NDArray[Any], name: Callable[[int], str]) -> None:
    """Refuse scores that are no numbers.

    Args:
        logits: (n,).
        name: what to call the image of a row.

    Raises:
        SharedError: a logit is infinite or no number; in all processes, which all hold the same rows.
    """
    wrong = np.flatnonzero(~np.isfinite(logits))
    if not len(wrong):
        return
    # an image's crops are told once
    names = list(dict.fromkeys(name(int(row)) for row in wrong))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise SharedError(
        f"the score of {len(names)} of the images is not a finite number: {'; '.join(names[:3])}{more}; nothing was "
        "written. Weights that are no numbers, or a precision too narrow for the model, give such scores: try other "
        "weights, or trainer.precision 32-true"
    )


def named_image(table: ImageTable, row: int) -> str:
    """An image by its id and, where it has one, its file."""
    file = table.store.name(row)
    return f"image {row} ({file})" if file else f"image {row}"


def log_evaluation(
    setup: Setup,
    loggers: Sequence[Any],
    predictions: Predictions,
    window: int,
    step: int,
    title: str,
    stage: str = "validate",
) -> dict[str, float]:
    """Compute the metrics of every period, log them all, and tell the three that matter; returns them by name."""
    scores = evaluate(predictions, window, threshold=setup.detector.classification_threshold)
    values: dict[str, float] = {}
    if setup.detector.default_metrics:
        for period, of_period in scores.items():
            values.update({f"{stage}/{period}/{name}": v for name, v in of_period.items() if v is not None})
    values.update(own_metrics(setup.detector, predictions, window, stage))
    for one in loggers:
        one.log_metrics(values, step=step)
        one.save()
    shown = [
        f"{PERIOD_TITLES[period]} {100 * value:.2f}"
        for period in ("growing", "immediate_future", "growing_whole")
        if (value := scores[period]["auroc"]) is not None
    ]
    logger.info(
        "%s: AUROC %s", marked(title, predictions.off_protocol or ()), ", ".join(shown) or "undefined in every period"
    )
    if predictions.earlier_generators:
        logger.info("%s: unseen though released earlier, in no period: %s", title, _few(predictions.earlier_generators))
    return values


def _few(names: Sequence[str], n: int = 6) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
