"""Batches in the original framework's form: tuples of tensors."""

from __future__ import annotations

from torch import Tensor

from aigenbench.data.samples.collation import Batch


def training_tuple(batch: Batch, x: Tensor) -> tuple[Tensor, ...]:
    """(x, labels, generator ids, identifiers), a row an image."""
    return x, batch.labels, batch.generator_ids, batch.image_ids


def evaluation_tuple(batch: Batch, x: Tensor) -> tuple[Tensor, ...]:
    """(x, labels, generator ids, identifiers, crop_to_image_index), a row a crop."""
    of_crop = batch.crop_to_image
    return x, batch.labels[of_crop], batch.generator_ids[of_crop], batch.image_ids[of_crop], of_crop


def predict_tuple(x: Tensor) -> tuple[Tensor]:
    """(x,), a row a crop."""
    return (x,)
