"""Views of images that a frozen backbone embeds: which ones a run draws, their pixels, and batches of their features.

A training view is an (image, copy, orientation), named by one number. The orientations that later windows and
epochs draw are thus known beforehand, and each view is embedded once however often it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import StochasticTraining
from aigenbench.augmentations.geometry import Orientation
from aigenbench.data.pictures.decode import Pixels
from aigenbench.data.samples.collation import Batch, Sample
from aigenbench.data.samples.dataset import TrainingTransforms, read_image, training_rng
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store import StoredTogether
from aigenbench.data.store.blocks import Keys
from aigenbench.data.views.views import COPIES
from aigenbench.protocol.randomness import first_uniforms

ORIENTATIONS = 8
"""Four rotations, each with and without a flip."""


@dataclass(frozen=True)
class TrainingViewNames:
    """Names the training view that a sample is.

    Attributes:
        base_seed: ``augmentations_base_seed``.
        per_copy: an image's copy has one orientation, in every window and epoch.
    """

    base_seed: int
    per_copy: bool

    def keys(self, rows: Keys, copies: Keys, window: int, epoch: int) -> Keys:
        """``(row * COPIES + copy) * 8 + orientation`` of samples, as a window and epoch draw it: int64 (n,).

        Args:
            rows: row numbers of the train split, int64 (n,).
            copies: copy numbers, int64 (n,).
            window: index of the window.
            epoch: epoch within the window.
        """
        passing = () if self.per_copy else (window, epoch)
        turn, flip = first_uniforms(self.base_seed, "train", rows, copies, "second", *passing).T
        orientation = 2 * (turn * 4).astype(np.int64) + (flip < 0.5)
        return (rows * COPIES + copies) * ORIENTATIONS + orientation


class TrainingViews:
    """Map-style data set over (row, copy, orientation codes): a copy's views, computed from one decoding.

    With ``stored`` (row, copy), what ``StochasticTraining.storable`` gave of an image's copy is read, not computed.
    """

    def __init__(
        self,
        table: ImageTable,
        generator_ids: npt.NDArray[np.int64],
        transforms: TrainingTransforms,
        crop: StochasticTraining,
        base_seed: int,
        stored: Callable[[int, int], Pixels] | None = None,
    ) -> None:
        self._table, self._generator_ids, self._transforms = table, generator_ids, transforms
        self._crop, self._base_seed, self._stored = crop, base_seed, stored

    def __getitem__(self, key: tuple[int, int, tuple[int, ...]]) -> Sample:
        """The views of an image's copy, one crop for each orientation code."""
        row, copy, codes = key
        rng_of = training_rng(self._base_seed, row, copy)
        if self._stored is not None:
            stored = self._stored(row, copy)
        else:
            stored = self._crop.storable(self._transforms.deterministic_part(read_image(self._table, row), rng_of))
        rng = rng_of("second")
        if self._crop.strategy == "random_crop":
            # one orientation and one place for each copy, drawn as the samples draw them
            views = [self._crop.finish(stored, rng)]
        else:
            views = [self._crop.orient(stored, Orientation(code // 2, bool(code % 2)), rng) for code in codes]
        return Sample(views, int(self._table.labels[row]), int(self._generator_ids[row]), row)


def rows_of(keys: Keys) -> Keys:
    """The images that views are of: distinct row numbers, rising."""
    return np.unique(keys // (ORIENTATIONS * COPIES))


def training_view_batches(keys: Keys, batch_size: int) -> Iterator[list[tuple[int, int, tuple[int, ...]]]]:
    """Keys of ``TrainingViews`` in the order of the views' keys, an image's copy never split.

    Args:
        keys: rising, int64 (n,).
        batch_size: views of a batch; the last of an image's copy may go beyond it.
    """
    starts = np.flatnonzero(np.diff(keys // ORIENTATIONS, prepend=-1))
    batch: list[tuple[int, int, tuple[int, ...]]] = []
    views = 0
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        row, copy = divmod(int(keys[start]) // ORIENTATIONS, COPIES)
        codes = tuple(int(code) for code in keys[start:end] % ORIENTATIONS)
        batch.append((row, copy, codes))
        views += len(codes)
        if views >= batch_size:
            yield batch
            batch, views = [], 0
    if batch:
        yield batch


class StoredTraining:
    """Data set over whole batches of training samples, their images replaced by stored features.

    Args:
        table: the train split.
        generator_ids: of its rows, int64.
        rows: the window's rows, int64.
        names: which view a sample is.
        stored: features (D,) by view.
        window: index of the window.
    """

    def __init__(
        self,
        table: ImageTable,
        generator_ids: npt.NDArray[np.int64],
        rows: Keys,
        names: TrainingViewNames,
        stored: StoredTogether,
        window: int,
    ) -> None:
        self._table, self._generator_ids, self._rows = table, generator_ids, rows
        self._names, self._stored, self._window = names, stored, window

    def __getitem__(self, keys: Sequence[tuple[int, int, int]]) -> Batch:
        """The batch of samples (row position, copy, epoch), all of one epoch."""
        positions, copies, epochs = np.array(keys, dtype=np.int64).T
        rows = self._rows[positions]
        views = self._names.keys(rows, copies, self._window, int(epochs[0]))
        return _batch(self._table, self._generator_ids, rows, self._stored.take(views), np.arange(len(rows)))


class StoredEvaluation:
    """Data set over whole batches of positions of an evaluation order, crops replaced by stored features.

    Args:
        table: the split.
        generator_ids: of its rows, int64.
        ids: row numbers in evaluation order, int64.
        stored: features (crops, D) by row number; NaN where an image has fewer crops.
    """

    def __init__(
        self, table: ImageTable, generator_ids: npt.NDArray[np.int64], ids: Keys, stored: StoredTogether
    ) -> None:
        self._table, self._generator_ids, self._ids, self._stored = table, generator_ids, ids, stored

    def __getitem__(self, positions: Sequence[int]) -> Batch:
        """The batch of the images at ``positions``."""
        rows = self._ids[np.asarray(positions, dtype=np.int64)]
        features = self._stored.take(rows)
        # bfloat16 comes as its bits, of which NaN is recognised too
        is_nan = (features[..., 0] & 0x7FFF) > 0x7F80 if features.dtype == np.uint16 else np.isnan(features[..., 0])
        crop_to_image, crop = np.nonzero(~is_nan)
        return _batch(self._table, self._generator_ids, rows, features[crop_to_image, crop], crop_to_image)


def _batch(
    table: ImageTable, generator_ids: npt.NDArray[np.int64], rows: Keys, features: npt.NDArray[Any], crop_to_image: Keys
) -> Batch:
    import torch

    tensor = torch.from_numpy(features)
    return Batch(
        tensor.view(torch.bfloat16) if features.dtype == np.uint16 else tensor,
        torch.from_numpy(table.labels[rows].astype(np.int64)),
        torch.from_numpy(generator_ids[rows]),
        torch.from_numpy(rows),
        torch.from_numpy(crop_to_image),
    )
