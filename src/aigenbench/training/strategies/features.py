"""Features of the images that a window has for itself, by which the next one may choose what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
from torch import Tensor

from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.data.samples.batches import EvaluationBatches
from aigenbench.errors import InputError
from aigenbench.models.probe import Classifier
from aigenbench.protocol.windows import Rows, TrainingSelection
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.features.stored import FeatureCache
from aigenbench.training.lightning.internals import callbacks_of
from aigenbench.training.lightning.trainers import SHARDED, make_trainer
from aigenbench.training.processes.collectives import everyones
from aigenbench.training.strategies.base import KEY


def check_features(name: str, detector: BaseDeepfakeDetectionModel, trainer: dict[str, Any]) -> None:
    """Refuse a strategy that chooses by features where there are none.

    Raises:
        InputError: the model is a module of its own, or is sharded.
    """
    if not isinstance(detector.model, Classifier):
        raise InputError(
            f"{KEY}: {name} chooses by features, and {detector.model_name} is a module of its own, not a backbone with "
            "a head; use replay's balanced or reservoir selection"
        )
    if trainer.get("strategy") == SHARDED:
        raise InputError(f"{KEY}: {name} chooses by features, which trainer.strategy fsdp keeps in parts; use ddp")


def own_views(cache: FeatureCache, window: int) -> Rows:
    """The views that ``stored_features`` reads, int64 (n,)."""
    rows = cache.plan.training.own[window]
    return cache.names().keys(rows, np.zeros_like(rows), window, 0)


def stored_features(cache: FeatureCache, window: int) -> npt.NDArray[np.float32]:
    """Of a frozen backbone, float32 (n, D) in the order of the window's own rows; they must be stored."""
    batches = OwnImages(len(cache.plan.training.own[window]), 1024)
    loader = replace(cache, plan=_alone(cache.plan)).training_batches(batches, window)  # type: ignore[arg-type]
    return np.concatenate([_flat(batch.images) for batch in loader])


def detector_features(
    detector: BaseDeepfakeDetectionModel,
    pipeline: AIGenBenchPipeline,
    plan: Plan,
    window: int,
    trainer_arguments: dict[str, Any],
    folder: Path,
) -> npt.NDArray[np.float32]:
    """Of a detector as it is, float32 (n, D) in the order of the window's own rows; shared out over processes."""
    what = f"features of window {window}"
    # the config's own callbacks expect the detector
    trainer = make_trainer({**trainer_arguments, "callbacks": []}, folder, 1, [], what, [])
    n = len(plan.training.own[window])
    batches = OwnImages(n, pipeline.eval_batch_size, trainer.global_rank, trainer.world_size)
    kept = _Kept()
    callbacks_of(trainer).append(kept)
    loader = pipeline.training_loader(_alone(plan), detector, batches, window)  # type: ignore[arg-type]
    trainer.validate(_Features(detector), dataloaders=loader, verbose=False)
    mine = np.arange(trainer.global_rank, n, trainer.world_size)
    parts = everyones([(mine, np.concatenate(kept.batches))])
    return np.concatenate([of_one for _, of_one in parts])[np.argsort(np.concatenate([at for at, _ in parts]))]


class OwnImages(EvaluationBatches):
    """Batch sampler over a window's own images: each once, its first copy as the window's first epoch shows it."""

    @property
    def sampler(self) -> OwnImages:
        """Itself, as of ``WindowBatches``."""
        return self

    def __iter__(self) -> Iterator[Any]:
        return ([(position, 0, 0) for position in batch] for batch in super().__iter__())


class _Features(pl.LightningModule):
    """Runs a detector up to its head, under the Trainer's precision and on its devices."""

    def __init__(self, detector: BaseDeepfakeDetectionModel) -> None:
        super().__init__()
        self._detector = detector

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Features float (n, D)."""
        features: Callable[[Tensor], Tensor] = self._detector.model.features  # type: ignore[assignment]
        return features(self._detector.normalise(batch.images))


class _Kept(pl.Callback):
    def __init__(self) -> None:
        self.batches: list[npt.NDArray[np.float32]] = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        self.batches.append(_flat(outputs))


def _alone(plan: Plan) -> Plan:
    """A plan by which each window trains on its own images."""
    return replace(plan, training=TrainingSelection(plan.training.own, "continual_learning"))


def _flat(features: Tensor) -> npt.NDArray[np.float32]:
    return features.detach().float().cpu().flatten(1).numpy()
