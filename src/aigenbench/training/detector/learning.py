"""What a detector computes of images, and how it learns: loss, optimizer, what would keep either from its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from aigenbench.data.samples.collation import Batch
from aigenbench.errors import InputError
from aigenbench.models.heads.choice import HeadChoice
from aigenbench.models.preprocessing import normalised
from aigenbench.models.probe import Classifier
from aigenbench.protocol.published import SGD
from aigenbench.training.detector.arguments import check_overrides
from aigenbench.training.detector.objectives import Objective
from aigenbench.training.detector.stage import Stage
from aigenbench.training.detector.tasks import Task
from aigenbench.training.detector.teacher import Teacher
from aigenbench.training.detector.terms import Rows, Term, values_of
from aigenbench.training.detector.workbench import outputs_of_rows, trains

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]


def published_sgd(parameters: Iterable[Any]) -> Optimizer:
    """The benchmark's default (protocol section 6)."""
    return torch.optim.SGD(parameters, lr=SGD["lr"], momentum=SGD["momentum"], weight_decay=SGD["weight_decay"])


class Learning(LightningModule):
    """The detector's hooks on its model and its training.

    Attributes:
        model: what trains.
        task: what it tells apart.
        stage: where the run stands.
        head_choice: the head and the transforms that are asked for.
        optimizer_factory: makes the optimizer.
        scheduler: ``OneCycleLR`` or None.
        window_terms: terms of the loss that a run's strategy adds in a window.
        teacher: the detector of the window before, where one of them needs it.
    """

    model: nn.Module
    task: Task
    stage: Stage
    head_choice: HeadChoice
    optimizer_factory: OptimizerFactory
    scheduler: str | None
    window_terms: dict[str, Term]
    teacher: Teacher | None
    objective_terms: nn.ModuleDict
    idle: nn.Parameter
    _objective: Objective

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images to normalised floats on their device; floats are finished already and pass unchanged."""
        if images.is_floating_point():
            return images
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        return normalised(images, mean, std)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs of the model, float32 (or float64) (n, outputs).

        Args:
            images: uint8 or finished float images (n, 3, H, W), or stored features of a probe's backbone (n, D).
        """
        if images.ndim == 2:
            # what a frozen backbone gave when it was run over the images once, for all windows
            assert isinstance(self.model, Classifier), "features are stored of probes alone"
            outputs = self.model.classify(images)
        else:
            outputs = self.model(self.normalise(images))
        # what a user's own module computed under autocast is cast here; our heads run in float32 anyway
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a batch. Override to train otherwise; it must return the loss, a scalar tensor."""
        terms = self._terms()
        with_features = any(term.needs_features for term in terms.values())
        outputs, features = self._training_outputs(batch, batch_idx, with_features)
        if not outputs:
            return self.idle.sum()
        labels, generator_ids = batch.labels, batch.generator_ids
        losses = [self._objective.losses(self.task, one, labels, generator_ids).mean() for one in outputs]
        loss = sum(losses[1:], losses[0])
        if terms:
            seen = sorted({0, *self.stage.seen_generator_ids}) if self.stage.n_classes else ()
            earlier = None if self.teacher is None else self.teacher(self, batch.images, with_features)
            rows = Rows(outputs[-1], features, labels, generator_ids, seen, earlier)
            for name, (weight, value) in values_of(terms, rows).items():
                self.log(f"train/{name}", value, batch_size=len(labels))
                loss = loss + weight * value
        self.log("train/loss", loss, prog_bar=True, batch_size=len(labels))
        return loss

    def _terms(self) -> dict[str, Term]:
        own: Any = self.objective_terms.items() if self._objective.terms else ()
        return {**dict(own), **self.window_terms}

    def _training_outputs(
        self, batch: Batch, batch_idx: int, with_features: bool
    ) -> tuple[list[Tensor], Tensor | None]:
        """Outputs that are each given the loss, the last of them the detector's own; and features where needed."""
        if self._looks_at_rows:
            assert isinstance(self.model, Classifier), "or it would not"
            return outputs_of_rows(self.model, batch, batch_idx, self.normalise)
        if not with_features:
            return [self(batch.images)], None
        outputs, features = self.model(self.normalise(batch.images), with_features=True)
        return [outputs], features

    def configure_optimizers(self) -> Any:
        """The optimizer over what trains, stepped each optimizer step by OneCycleLR where asked for."""
        optimizer = self.optimizer_factory([p for p in self.parameters() if p.requires_grad])
        if self.scheduler is None:
            return optimizer
        groups = optimizer.param_groups
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=self._optimizer_steps(),
            cycle_momentum=all(group.get("momentum", 0) > 0 for group in groups),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _optimizer_steps(self) -> int:
        """Optimizer steps of the whole window."""
        trainer = self.attached_trainer
        return self.stage.total_steps if trainer is None else int(trainer.estimated_stepping_batches)

    @property
    def attached_trainer(self) -> Any:
        """The Trainer it stands under; None where there is none, as a further head is trained without one."""
        try:
            return self.trainer
        except RuntimeError:
            return None

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Step the scheduler. Override only for a scheduler that is stepped in a way of its own."""
        super().lr_scheduler_step(scheduler, metric)

    def _check_learning(self) -> None:
        """Refuse an objective or a head beside a hook that would keep it from having its effect."""
        objective = self._objective
        if objective.changes or objective.terms:
            hooks = ("training_step", "forward") if objective.needs_features else ("training_step",)
            check_overrides("model.objective", type(self), Learning, hooks)
            if not trains(self.model):
                raise InputError(f"model.objective: {self.head_choice.head[0]} trains nothing, so it has no loss")
        if self._looks_at_rows:
            check_overrides("model.head, model.transform", type(self), Learning, ("training_step", "forward"))

    @property
    def _looks_at_rows(self) -> bool:
        """Whether a transform or the head does in training what it does not do in an evaluation."""
        return isinstance(self.model, Classifier) and self.model.needs_rows
