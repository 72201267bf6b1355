"""The data set beside predictions: its columns and pictures, once it is known to be the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.data.sources.tables import ImageTable
    from aigenbench.evaluation.metrics.mistakes import Thumbnail
    from aigenbench.evaluation.predictions.experiment import ExperimentPredictions


def evaluation_table(path: str, stage: str) -> ImageTable:
    """The evaluation split of a data set.

    Raises:
        InputError: see `open_source`, or the split is missing.
    """
    from aigenbench.data.sources.opening import open_source

    return open_source(path).table("validation" if stage == "validate" else stage)


def check_belongs(path: str, table: ImageTable, experiment: ExperimentPredictions) -> None:
    """See that an experiment's predictions are of these images.

    Raises:
        InputError: naming the first image that the data set lacks or knows by another generator.
    """
    p = experiment.first
    ids = p.fused_identifiers
    if ids.max() >= len(table):
        raise InputError(f"--dataset {path} has {len(table)} images, but {experiment.name} scores image {ids.max()}")
    found = np.array(table.generator_names, dtype=object)[table.generator_codes[ids]]
    expected = np.array(p.generator_id_to_name, dtype=object)[p.fused_generator_ids]
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"--dataset {path} is not the data set of {experiment.name}: image {ids[row]} is of "
            f"{found[row] or 'no generator'!r} there, of {expected[row] or 'no generator'!r} in the predictions"
        )


def thumbnails(path: str, table: ImageTable) -> Thumbnail | None:
    """Gives small copies of the images; None for a columns file, which has none."""
    from aigenbench.data.pictures.decode import UnreadableImageError, decode
    from aigenbench.data.sources.opening import NoImages
    from aigenbench.evaluation.metrics.mistakes import shrink

    if isinstance(table.store, NoImages):
        return None

    def thumbnail(image_id: int) -> bytes:
        try:
            return shrink(decode(table.store.read(image_id)))
        except (UnreadableImageError, OSError) as error:
            raise InputError(f"--dataset {path}: image {image_id} cannot be shown: {error}") from error

    return thumbnail
