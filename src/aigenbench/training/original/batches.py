"""Batches in the original framework's form: tuples of tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aigenbench.data.collation import Batch
from aigenbench.data.predict import PredictBatch


def training_tuple(batch: Batch, x: Tensor) -> tuple[Tensor, ...]:
    """(x, labels, generator ids, identifiers), a row an image."""
    return x, batch.labels, batch.generator_ids, batch.image_ids


def evaluation_tuple(batch: Batch, x: Tensor) -> tuple[Tensor, ...]:
    """(x, labels, generator ids, identifiers, crop_to_image_index), a row a crop."""
    of_crop = batch.crop_to_image
    return x, batch.labels[of_crop], batch.generator_ids[of_crop], batch.image_ids[of_crop], of_crop


class PredictTuple(tuple[Any, ...]):
    """(x,), a row a crop; knows which images the crops are of.

    Attributes:
        positions: of the images among those to be scored; int64 (n_images,).
        crop_to_image: position within the batch of every crop's image; int64 (n_crops,).
    """

    positions: Tensor
    crop_to_image: Tensor


def predict_tuple(batch: PredictBatch, x: Tensor) -> PredictTuple:
    """The batch of a prediction."""
    made = PredictTuple((x,))
    made.positions, made.crop_to_image = batch.positions, batch.batch.crop_to_image
    return made
