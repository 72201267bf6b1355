"""How a detector of the original framework's contract registers and feeds metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import ModuleDict

from aigenbench.errors import InputError
from aigenbench.training.original.metrics import TRAINING, feed, registered


class RegistersMetrics(LightningModule):
    """``_managers_set_metrics`` in ``register_metrics``, and ``_update_metrics`` in ``training_step``."""

    registered_metrics: list[Any]
    training_metrics: ModuleDict

    def _managers_set_metrics(
        self,
        stage: str | Sequence[str] | None = None,
        generator_id: Any = "*",
        metrics: Any = (),
        metrics_group: str = "default",
        epoch_only: bool = False,
        sliding_window_only: bool = False,
        non_sliding_window_only: bool = False,
    ) -> None:
        """Add torchmetrics metrics.

        Args:
            stage: ``fit``, ``validate``, ``test``, a list of these, or None for all.
            generator_id: ``"*"`` for all images, None for one metric a generator, or ids to restrict it to.
            metrics: a metric, a list of them, or a collection.
            metrics_group: part of the name where it is not ``default``.
            epoch_only: of training, log at an epoch's end alone.
            sliding_window_only: leave them out where there are no windows.
            non_sliding_window_only: leave them out where there are.

        Raises:
            InputError: something is none of these.
        """
        windows = self._windows_are_used()
        if (sliding_window_only and not windows) or (non_sliding_window_only and windows):
            return
        for one in registered(stage, generator_id, metrics, metrics_group, epoch_only):
            if any(one.clashes(other) for other in self.registered_metrics):
                raise InputError(
                    f"_managers_set_metrics: there are two metrics {one.name!r}; give one a metrics_group of its own, "
                    "or a name in a mapping or MetricCollection"
                )
            self.registered_metrics.append(one)
            if TRAINING in one.stages:
                # now: Lightning looks for metrics once
                for place in one.places(self._generator_names()):
                    self.training_metrics[one.attribute(place)] = one.of_training()

    def _generator_names(self) -> list[str]:
        trainer: Any = self.trainer
        names: list[str] = trainer.datamodule.generator_id_to_name
        return names

    def _windows_are_used(self) -> bool:
        pipeline = getattr(self.trainer, "datamodule", None)
        return getattr(pipeline, "sliding_windows_definition", None) is not None

    def _update_metrics(self, scores: Tensor, y: Tensor, generator_ids: Tensor, identifiers: Tensor) -> None:
        """Feed the metrics of stage ``fit``, from a ``training_step`` of one's own.

        Args:
            scores: probabilities of being fake (n,).
            y: labels (n,).
            generator_ids: of the images (n,).
            identifiers: of the images (n,).
        """
        if not self.trainer.training:
            # those of evaluations are fed with all images' scores once they are gathered
            return
        for one in self.registered_metrics:
            if TRAINING not in one.stages:
                continue
            for place, chosen in one.chosen(generator_ids, self._generator_names()):
                metric = self.training_metrics[one.attribute(place)]
                feed(metric, one.name, scores[chosen], y[chosen], one.epoch_only)
                self.log(
                    f"train/{place}{one.name}",
                    metric,
                    on_step=not one.epoch_only,
                    on_epoch=True,
                    batch_size=int(chosen.sum()),
                )
