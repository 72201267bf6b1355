"""Transforms and heads of a detector in training: what they are given of a batch, and where they can have no effect."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aigenbench.data.samples.collation import Batch
from aigenbench.errors import InputError
from aigenbench.models.heads.choice import HeadChoice
from aigenbench.models.heads.rows import Rows
from aigenbench.models.heads.scorers import Scorer
from aigenbench.models.probe import Classifier
from aigenbench.training.processes.collectives import everyones, have_met


def put_on(model: nn.Module, choice: HeadChoice, name: str) -> None:
    """Let a model called ``name`` have the transforms and the head that are chosen.

    Raises:
        InputError: it is a user's own module, they cannot stand on its features, or a scorer would leave weights
            without a loss.
    """
    if choice.is_default:
        return
    if not isinstance(model, Classifier):
        raise InputError(f"model.head, model.transform: {name} is a module of its own, not a backbone with a head")
    model.use_head(*choice.built(model.layout, model.num_classes))
    if not model.head.trains and any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(
            f"model.head {choice.head[0]}: a scorer trains nothing, and the backbone of {name} would train without a "
            "loss; use its _probe form"
        )


def trains(model: nn.Module) -> bool:
    """Whether a model learns by gradients: all but those with a scorer."""
    return not isinstance(model, Classifier) or model.head.trains


def outputs_of_rows(
    model: Classifier, batch: Batch, batch_idx: int, normalise: Callable[[Tensor], Tensor]
) -> tuple[list[Tensor], Tensor]:
    """``Classifier.training_outputs`` of a batch, and the features before transforms, (n, D).

    A scorer begins anew at an epoch's first batch.
    """
    if isinstance(model.head, Scorer) and batch_idx == 0:
        model.head.reset()
    features = batch.images if batch.images.ndim == 2 else model.features(normalise(batch.images))
    return model.training_outputs(features, Rows(batch.labels, batch.generator_ids, _everyones)), features


def _everyones(*tensors: Tensor) -> tuple[Tensor, ...]:
    if not have_met():
        return tensors
    of_all = everyones([tuple(tensor.cpu() for tensor in tensors)])
    return tuple(torch.cat(parts).to(one.device) for parts, one in zip(zip(*of_all, strict=True), tensors, strict=True))


def check_run(model: nn.Module, epochs: int, heads: bool, is_sharded: bool) -> None:
    """Refuse a run in which a transform or a head could not do its part.

    Args:
        model: of the detector.
        epochs: of a window.
        heads: whether further heads are asked for.
        is_sharded: ``trainer.strategy`` is fsdp.

    Raises:
        InputError: one could not.
    """
    if not trains(model):
        if heads:
            raise InputError("experiment_info.heads: a scorer has nothing that lr, weight_decay or seed would train")
        if epochs > 1:
            raise InputError(f"trainer.max_epochs is {epochs}: a scorer takes the rows of a window once; give 1")
    if is_sharded and isinstance(model, Classifier) and model.needs_rows:
        raise InputError(
            "trainer.strategy fsdp: a head or transform that looks at training rows is not sharded; use ddp"
        )
