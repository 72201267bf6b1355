"""What becomes of single images, made by the very samples that a run reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import EvaluationCrops
from aigenbench.curation.showing.choosing import REAL, Rows
from aigenbench.data.identity import FILE_ID
from aigenbench.data.pictures.decode import Pixels
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.data.samples.dataset import EvaluationSamples, EvaluationTransforms, TrainingSamples, TrainingTransforms
from aigenbench.data.samples.hooks import AugmentationHooks
from aigenbench.data.samples.transforms import Transform, as_transform, unchanged
from aigenbench.data.sources.tables import ImageTable
from aigenbench.errors import InputError

AS_IS = EvaluationCrops("as_is", (1, 1))
STORED, MANDATORY = "as stored", "mandatory steps"


class Tile(NamedTuple):
    """An image at one stage of its way: what it is called, and uint8 (h, w, 3)."""

    title: str
    pixels: Pixels


class Shown(NamedTuple):
    """An image of a sheet.

    Attributes:
        row: in its split.
        generator: its name, or ``real``.
        name: its ``file_id``, or its file's name.
        tiles: from the stored picture on; none where it cannot be read.
        trouble: why it cannot be read, or "".
    """

    row: int
    generator: str
    name: str
    tiles: tuple[Tile, ...]
    trouble: str = ""


class Model(NamedTuple):
    """Whose input is shown: the plan of its run, and its augmentations."""

    plan: Plan
    hooks: AugmentationHooks


Stage = Callable[[int], list[Tile]]
"""Gives the tiles of a row."""


def usable_rows(table: ImageTable, pipeline: AIGenBenchPipeline, model: Model | None) -> Rows:
    """Rows of a split that can be shown: all, or those that a model's run uses; int64 (n,)."""
    if model is None:
        return np.arange(len(table))
    if table.split == "train":
        return np.unique(np.concatenate(model.plan.training.own))
    return pipeline.evaluation_set(model.plan, _stage_of(table.split)).ids


def show_images(pipeline: AIGenBenchPipeline, split: str, rows: Rows, model: Model | None) -> Iterator[Shown]:
    """Images of a split: as stored, after the mandatory steps, and as a model gets them where there is one."""
    table = pipeline.source.table(split)
    stored, *stages = (_training if split == "train" else _evaluation)(pipeline, table, model)
    names = table.columns.get(FILE_ID)
    for row in rows.tolist():
        generator = table.generator_names[table.generator_codes[row]] or REAL
        name = str(names[row]) if names is not None else table.store.name(row)
        try:
            first = stored(row)
        except InputError as error:
            yield Shown(row, generator, name, (), str(error))
            continue
        yield Shown(row, generator, name, (*first, *(tile for stage in stages for tile in stage(row))))


def _training(pipeline: AIGenBenchPipeline, table: ImageTable, model: Model | None) -> list[Stage]:
    mandatory = as_transform(pipeline.mandatory_train_preprocessing(), "mandatory_train_preprocessing")
    every, ids, copies = (
        np.arange(len(table)),
        table.generator_ids(pipeline.timeline),
        range(pipeline.augmentation_factor),
    )
    seed, lasting = pipeline.augmentations_base_seed, pipeline.deterministic_augmentations

    def window_of(row: int) -> int:
        own = () if model is None else model.plan.training.own
        return next((k for k, rows in enumerate(own) if row in rows), 0)

    def crop(transforms: TrainingTransforms, row: int, copy: int = 0) -> Any:
        samples = TrainingSamples(table, ids, every, transforms, seed, window_of(row), lasting)
        return samples[(row, copy, 0)].crops[0]

    as_stored = TrainingTransforms(unchanged, unchanged, unchanged)
    first = TrainingTransforms(mandatory, unchanged, unchanged)
    stages: list[Stage] = [
        lambda row: [_tile(STORED, crop(as_stored, row))],
        lambda row: [_tile(f"{MANDATORY}, copy {copy}", crop(first, row, copy)) for copy in copies],
    ]
    if model is None:
        return stages
    samples_of = cache(lambda window: pipeline.training_samples(model.plan, model.hooks, window))

    def trained(row: int) -> list[Tile]:
        window = window_of(row)
        position = int(np.flatnonzero(model.plan.training.rows(window) == row)[0])
        crops = [samples_of(window)[(position, copy, 0)].crops[0] for copy in copies]
        return [_tile(f"trained on in window {window}, copy {copy}", crop) for copy, crop in enumerate(crops)]

    return [*stages, trained]


def _evaluation(pipeline: AIGenBenchPipeline, table: ImageTable, model: Model | None) -> list[Stage]:
    stage = _stage_of(table.split)
    given = {"validate": pipeline.mandatory_val_preprocessing, "test": pipeline.mandatory_test_preprocessing}
    mandatory = as_transform(given[stage](), f"the mandatory {stage} preprocessing")

    every, ids = np.arange(len(table)), table.generator_ids(pipeline.timeline)

    def crop(step: Transform, row: int) -> Any:
        transforms = EvaluationTransforms(step, unchanged, AS_IS, unchanged)
        return EvaluationSamples(table, ids, every, transforms, pipeline.augmentations_base_seed)[row].crops[0]

    stages: list[Stage] = [
        lambda row: [_tile(STORED, crop(unchanged, row))],
        lambda row: [_tile(MANDATORY, crop(mandatory, row))],
    ]
    if model is None:
        return stages
    samples: Any = pipeline.evaluation_loader(model.plan, model.hooks, stage).dataset
    order = pipeline.evaluation_set(model.plan, stage).ids

    def evaluated(row: int) -> list[Tile]:
        crops: Sequence[Any] = samples[int(np.flatnonzero(order == row)[0])].crops
        return [_tile("evaluated" + (f", crop {k}" if len(crops) > 1 else ""), crop) for k, crop in enumerate(crops)]

    return [*stages, evaluated]


def _tile(title: str, crop: Any) -> Tile:
    """A tile of a finished crop; of one that is normalised already, its values between their extremes."""
    if isinstance(crop, np.ndarray):
        return Tile(title, crop)
    values: npt.NDArray[np.float32] = crop.detach().float().numpy().transpose(1, 2, 0)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Tile(f"{title}, {low:.2g} to {high:.2g}", np.rint(scaled).astype(np.uint8))


def _stage_of(split: str) -> str:
    return "test" if split == "test" else "validate"
