"""Views: what is the same each time an image is read, stored once.

Of an evaluated image these are its finished crops, before the detector's second callable; of a copy of a training image
it is the resized square that rotation and flip then turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import EvaluationCrops, StochasticTraining
from aigenbench.data.pictures.decode import Pixels
from aigenbench.data.samples.dataset import (
    EvaluationTransforms,
    TrainingTransforms,
    evaluation_rng,
    read_image,
    training_rng,
)
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store.blocks import Keys
from aigenbench.data.store.identity import NotStorableError, describe_format, describe_step, table_identity
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Store

KIND = "views"
COPIES = 2**16
"""A training view's key is row * COPIES + copy, so runs with other numbers of copies share them."""


@dataclass(frozen=True)
class Packing:
    """How the crops of an image form one row.

    A single crop is the row. Of several, which may be fewer, the row holds the bytes, one crop after the other, and
    how many there are in its last 8 bytes.

    Attributes:
        size: (height, width) of a crop.
        slots: the most crops of an image.
    """

    size: tuple[int, int]
    slots: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row, uint8."""
        if self.slots == 1:
            return (*self.size, 3)
        return (self.slots * self.size[0] * self.size[1] * 3 + 8,)

    def pack(self, crops: Sequence[Pixels]) -> Pixels:
        """The row of an image's crops."""
        if self.slots == 1:
            return crops[0]
        row = np.zeros(self.shape, dtype=np.uint8)
        stacked = np.stack(crops)
        row[: stacked.size] = stacked.reshape(-1)
        row[-8] = len(crops)
        return row

    def unpack(self, row: Pixels) -> list[Pixels]:
        """The crops, as views of the row."""
        if self.slots == 1:
            return [row]
        return list(row[:-8].reshape(self.slots, *self.size, 3)[: int(row[-8])])


@dataclass(frozen=True)
class StoredCrops:
    """Reads the stored crops of an evaluated image."""

    rows: StoredRows
    packing: Packing

    def __call__(self, image_id: int) -> list[Pixels]:
        """The crops, read-only."""
        return self.packing.unpack(self.rows.row(image_id))


@dataclass(frozen=True)
class StoredSquares:
    """Reads the stored square of a training image's copy."""

    rows: StoredRows

    def __call__(self, image_id: int, copy: int) -> Pixels:
        """The square, read-only."""
        square: Pixels = self.rows.row(image_id * COPIES + copy)
        return square


class CropViews:
    """The crops of a split's evaluated images: a map-style data set from key (the row) to stored row.

    Raises:
        NotStorableError: a step cannot be described, or crops have no fixed size.
    """

    def __init__(self, root: Path, table: ImageTable, transforms: EvaluationTransforms, base_seed: int) -> None:
        self._table, self._transforms, self._base_seed = table, transforms, base_seed
        crops = transforms.crops
        if type(crops) is not EvaluationCrops:
            raise NotStorableError("the crops hook is overridden")
        if crops.strategy == "as_is":
            raise NotStorableError("crops of strategy 'as_is' have no fixed size")
        self._packing = Packing(crops.size, crops.most)
        perturbation = transforms.perturbation
        identity = {
            **describe_format(),
            "seed": base_seed,
            "mandatory": describe_step(transforms.mandatory, "the mandatory step"),
            "perturbation": None if perturbation is None else describe_step(perturbation, "the perturbation"),
            "first": describe_step(transforms.first, "the callable before cropping"),
            "crops": crops.describe(),
            "data": table_identity(table),
        }
        self.store = Store(root, KIND, identity, self._packing.shape, "uint8")

    def keys(self, ids: npt.NDArray[np.int64]) -> Keys:
        """Keys of the images."""
        return ids

    def __getitem__(self, key: int) -> Pixels:
        rng_of = evaluation_rng(self._base_seed, key)
        return self._packing.pack(self._transforms.crops_of(read_image(self._table, key), rng_of))

    def stored(self) -> StoredCrops:
        """What is stored now."""
        return StoredCrops(self.store.open(), self._packing)


class SquareViews:
    """The squares of a split's training copies: a map-style data set from key to stored row.

    Raises:
        NotStorableError: a step cannot be described, or what is the same in every epoch has no fixed size.
    """

    def __init__(self, root: Path, table: ImageTable, transforms: TrainingTransforms, base_seed: int) -> None:
        self._table, self._transforms, self._base_seed = table, transforms, base_seed
        self._last: tuple[int, Pixels | None] = (-1, None)
        second = transforms.second
        if type(second) is not StochasticTraining:
            raise NotStorableError("the second callable of train_augmentation is not the benchmark's own")
        if not second.is_storable:
            raise NotStorableError(f"strategy {second.strategy!r} of size {second.size} gives no square to store")
        identity = {
            **describe_format(),
            "seed": base_seed,
            "mandatory": describe_step(transforms.mandatory, "the mandatory step"),
            "first": describe_step(transforms.first, "the first callable of train_augmentation"),
            "crops": second.describe(),
            "data": table_identity(table),
        }
        self._second = second
        self.store = Store(root, KIND, identity, (*second.size, 3), "uint8")

    def keys(self, rows: npt.NDArray[np.int64], copies: int) -> Keys:
        """Keys of all copies of the images."""
        return (rows[:, np.newaxis] * COPIES + np.arange(copies)).reshape(-1)

    def __getitem__(self, key: int) -> Pixels:
        row, copy = divmod(key, COPIES)
        rng_of = training_rng(self._base_seed, row, copy)
        return self._second.storable(self._transforms.deterministic_part(self._decoded(row), rng_of))

    def _decoded(self, row: int) -> Any:
        # keys come sorted: the copies of an image follow each other, and no step changes its input
        if self._last[0] != row:
            decoded = read_image(self._table, row)
            decoded.flags.writeable = False
            self._last = row, decoded
        return self._last[1]

    def stored(self) -> StoredSquares:
        """What is stored now."""
        return StoredSquares(self.store.open())
