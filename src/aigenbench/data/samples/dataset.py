"""Rows to samples: reading, decoding and transforming one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import EvaluationCrops
from aigenbench.data.pictures.decode import Pixels, UnreadableImageError, decode
from aigenbench.data.pictures.formats import FormatMissingError
from aigenbench.data.samples.collation import Sample
from aigenbench.data.samples.transforms import Foreign, ForeignCrops, Transform
from aigenbench.data.sources.tables import ImageTable
from aigenbench.errors import InputError
from aigenbench.protocol.randomness import sample_rng

TRIED_ROWS = 16
"""So many images are passed over in search of one that can be read."""


def read_image(table: ImageTable, row: int) -> Pixels:
    """Read and decode one image.

    Raises:
        InputError: the image cannot be read; the message names its id, split and file.
    """
    try:
        return decode(table.store.read(row))
    except (UnreadableImageError, OSError) as error:
        file = table.store.name(row) if not isinstance(error, FileNotFoundError) else str(error.filename)
        what_to_do = "" if isinstance(error.__cause__, FormatMissingError) else "; repair or remove it"
        raise InputError(
            f"image {row} of split {table.split!r} ({file or 'file name unknown'}) cannot be read: {error}{what_to_do}"
        ) from error


def first_readable(table: ImageTable) -> tuple[int, Pixels] | None:
    """The first image of a table that can be read, with its row; a few that cannot be are passed over."""
    # OpenCV's thread pool must not be running when workers are forked
    cv2.setNumThreads(1)
    for row in range(min(len(table), TRIED_ROWS)):
        try:
            return row, read_image(table, row)
        except InputError:
            # whoever comes to need it is told
            continue
    return None


RngOf = Callable[[str], np.random.Generator]
"""Gives the generator of a stage of one sample."""


def training_rng(base_seed: int, row: int, copy: int, window: int | None = None, epoch: int | None = None) -> RngOf:
    """The generators of a training image's copy; with window and epoch, of that reading of it."""
    return lambda stage: sample_rng(base_seed, "train", row, copy, stage, window, epoch)


def evaluation_rng(base_seed: int, row: int, split: str = "validation") -> RngOf:
    """The generators of an evaluated image."""
    return lambda stage: sample_rng(base_seed, split, row, 0, stage)


@dataclass(frozen=True)
class TrainingTransforms:
    """The steps of a training sample: mandatory and first are deterministic unless told otherwise; second is not."""

    mandatory: Transform
    first: Transform
    second: Transform

    def deterministic_part(self, image: Pixels, rng_of: RngOf) -> Any:
        """Mandatory and first step."""
        return self.first(self.mandatory(image, rng_of("mandatory")), rng_of("first"))

    def try_on(self, table: ImageTable) -> list[Any]:
        """Have a user's callables see a real image, so that what is wrong with them is told before there are workers.

        Returns:
            What they make of it; nothing where there is no callable of a user's, or no image.

        Raises:
            InputError: one of them fails, or cannot be repeated.
        """
        if not any(isinstance(step, Foreign) for step in (self.mandatory, self.first, self.second)):
            return []
        found = first_readable(table)
        if found is None:
            return []
        row, image = found
        rng_of = training_rng(0, row, 0)
        return [self.second(self.deterministic_part(image, rng_of), rng_of("second"))]


@dataclass(frozen=True)
class EvaluationTransforms:
    """The steps of an evaluated image: mandatory, a perturbation if any, first, crops, and second on each crop."""

    mandatory: Transform
    first: Transform
    crops: EvaluationCrops | ForeignCrops
    second: Transform
    perturbation: Transform | None = None

    def crops_of(self, image: Pixels, rng_of: RngOf) -> Sequence[Any]:
        """The image's crops, before the second step."""
        image = self.mandatory(image, rng_of("mandatory"))
        if self.perturbation is not None:
            image = self.perturbation(image, rng_of("perturbation"))
        image = self.first(image, rng_of("first"))
        if isinstance(self.crops, ForeignCrops):
            return self.crops(image, rng_of("crops"))
        if not isinstance(image, np.ndarray):
            raise InputError(
                "the evaluation's first augmentation returns a finished float tensor, which the cropping strategies do "
                "not take: normalise in the second, which sees each crop, or override make_eval_crops"
            )
        return self.crops(image)

    def try_on(self, table: ImageTable) -> list[Any]:
        """As of ``TrainingTransforms``."""
        if not any(isinstance(step, Foreign) for step in (self.mandatory, self.first, self.crops, self.second)):
            return []
        found = first_readable(table)
        if found is None:
            return []
        row, image = found
        rng_of = evaluation_rng(0, row)
        return self.finished(self.crops_of(image, rng_of), rng_of)

    def finished(self, crops: Sequence[Any], rng_of: RngOf) -> list[Any]:
        """The second step of each crop."""
        return [self.second(crop, rng_of(f"second {i}")) for i, crop in enumerate(crops)]


class TrainingSamples:
    """Map-style data set over (position among the window's rows, copy, epoch).

    With ``stored`` (row, copy), what ``StochasticTraining.storable`` gave of an image's copy is read, not computed.
    """

    def __init__(
        self,
        table: ImageTable,
        generator_ids: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        transforms: TrainingTransforms,
        base_seed: int,
        window: int,
        deterministic: bool = True,
        orientation: str = "per_epoch",
        stored: Callable[[int, int], Pixels] | None = None,
    ) -> None:
        self._table, self._generator_ids, self._rows = table, generator_ids, rows
        self._transforms, self._base_seed = transforms, base_seed
        self._window, self._deterministic, self._orientation = window, deterministic, orientation
        self._stored = stored

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: tuple[int, int, int]) -> Sample:
        """The sample of one (row position, copy, epoch): a function of image id, copy and seed.

        Its second step draws from window and epoch too, unless ``orientation`` is ``per_copy``.
        """
        position, copy, epoch = key
        row = int(self._rows[position])
        steps = self._transforms
        lasting = training_rng(self._base_seed, row, copy)
        passing = training_rng(self._base_seed, row, copy, self._window, epoch)
        rng = (lasting if self._orientation == "per_copy" else passing)("second")
        if self._stored is not None:
            image = steps.second.finish(self._stored(row, copy), rng)  # type: ignore[attr-defined]
        else:
            decoded = read_image(self._table, row)
            image = steps.second(steps.deterministic_part(decoded, lasting if self._deterministic else passing), rng)
        return Sample([image], int(self._table.labels[row]), int(self._generator_ids[row]), row)


class WindowSamples:
    """Training samples counted from 0: image by image, copy by copy, in the window's first epoch.

    Args:
        samples: by position, copy and epoch.
        copies: of every image.
        chosen: those that are trained on, ``position * copies + copy``; None for all.
    """

    def __init__(self, samples: TrainingSamples, copies: int, chosen: npt.NDArray[np.int64] | None = None) -> None:
        self._samples, self._copies = samples, copies
        self._chosen = np.arange(len(samples) * copies) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> tuple[Any, int, int, int]:
        """(image, label, generator id, identifier) of a sample."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        crops, label, generator_id, image_id = self._samples[(*divmod(int(self._chosen[index]), self._copies), 0)]
        return crops[0], label, generator_id, image_id


class EvaluationSamples:
    """Map-style data set over positions of an evaluation order.

    With ``stored`` (row), an image's crops before the second step are read, not computed.
    """

    def __init__(
        self,
        table: ImageTable,
        generator_ids: npt.NDArray[np.int64],
        ids: npt.NDArray[np.int64],
        transforms: EvaluationTransforms,
        base_seed: int,
        stored: Callable[[int], Sequence[Pixels]] | None = None,
    ) -> None:
        self._table, self._generator_ids, self._ids = table, generator_ids, ids
        self._transforms, self._base_seed, self._stored = transforms, base_seed, stored

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, position: int) -> Sample:
        """The crops of the image at ``position``: a function of split, image id and seed."""
        row = int(self._ids[position])
        # validation and test draw alike: where a data set has no test split, they are the same images
        rng_of = evaluation_rng(self._base_seed, row)
        if self._stored is not None:
            crops = self._stored(row)
        else:
            crops = self._transforms.crops_of(read_image(self._table, row), rng_of)
        finished = self._transforms.finished(crops, rng_of)
        return Sample(finished, int(self._table.labels[row]), int(self._generator_ids[row]), row)
