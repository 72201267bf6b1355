"""Features of a frozen backbone: embedded once, stored, and served in place of images.

Which training views a run draws is known beforehand, so exactly those are embedded; what is stored already, by this
run or another with the same backbone and recipe, is not embedded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aigenbench.augmentations import EvaluationCrops, Recipe, StochasticTraining
from aigenbench.data.pipeline import AIGenBenchPipeline, split_of
from aigenbench.data.plan import Plan
from aigenbench.data.samples.batches import EvaluationBatches, TrainingBatches, WindowBatches
from aigenbench.data.samples.collation import collate
from aigenbench.data.samples.dataset import EvaluationSamples, EvaluationTransforms
from aigenbench.data.samples.loading import make_loader
from aigenbench.data.samples.transforms import unchanged
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store import Store, StoredTogether
from aigenbench.data.store.identity import NotStorableError, describe_format, describe_step, table_identity
from aigenbench.data.views.features import (
    Keys,
    StoredEvaluation,
    StoredTraining,
    TrainingViewNames,
    TrainingViews,
    rows_of,
    training_view_batches,
)
from aigenbench.errors import InputError
from aigenbench.models.finetune import PartlyTrained
from aigenbench.models.parts import Part
from aigenbench.models.probe import Classifier
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.features.cost import scaled_cost
from aigenbench.training.features.embedding import BatchesOf, BlockQueue, embed
from aigenbench.training.features.identity import described_parts
from aigenbench.training.lightning.operations import Count
from aigenbench.training.processes.signals import StopRequest


@dataclass(frozen=True)
class FeatureCache:
    """The features of a run.

    Attributes:
        pipeline: the samples.
        detector: a probe.
        plan: windows, rows and evaluation set.
        trainer_arguments: makes arguments of a Trainer, which embeds.
        precision: the Trainer's, under which the backbone runs.
        stores: those used so far, by folder.
        spent: seconds that embedding has taken, as long as nobody has recorded them.
    """

    pipeline: AIGenBenchPipeline
    detector: BaseDeepfakeDetectionModel
    plan: Plan
    trainer_arguments: Callable[[], dict[str, Any]]
    precision: str
    stores: dict[Path, Store] = field(default_factory=dict)
    spent: list[float] = field(default_factory=list)

    def check(self) -> None:
        """Refuse what cannot be trained from stored features.

        Raises:
            InputError: the detector is no probe, or its samples are not a function of image, copy and orientation.
        """
        model = self.detector.model
        if not isinstance(model, Classifier) or not model.frozen or isinstance(model, PartlyTrained):
            raise InputError(
                f"data.features: cache needs a frozen backbone; {self.detector.model_name} trains its own: use its "
                "_probe form, or data.features: none"
            )
        for hook in ("forward", "normalise"):
            if getattr(type(self.detector), hook) is not getattr(BaseDeepfakeDetectionModel, hook):
                raise InputError(
                    f"data.features: cache trains the head on stored features, but {type(self.detector).__name__} "
                    f"overrides {hook}; use data.features: none"
                )
        if not self.pipeline.deterministic_augmentations:
            raise InputError("data.features: cache needs data.deterministic_augmentations: true")
        self._crop()
        for stage in ("validate", "test"):
            self._crops(self.pipeline.evaluation_transforms(self.detector, stage))

    def _crop(self) -> StochasticTraining:
        transforms = self.pipeline.training_transforms(self.detector)
        _described(mandatory=transforms.mandatory, first=transforms.first)
        crop = transforms.second
        if type(crop) is not StochasticTraining:
            raise InputError("data.features: cache needs the benchmark's rotation, flip and crop as stochastic part")
        if crop.strategy == "random_crop" and self.pipeline.orientation != "per_copy":
            raise InputError(
                "data.features: cache cannot store random_crop, which is drawn anew in every epoch; use "
                "data.orientation: per_copy, or another model.training_cropping_strategy"
            )
        return crop

    @staticmethod
    def _crops(transforms: EvaluationTransforms) -> EvaluationCrops:
        _described(mandatory=transforms.mandatory, first=transforms.first, second=transforms.second)
        if type(transforms.crops) is not EvaluationCrops:
            raise InputError("data.features: cache needs the crops of model.evaluation_cropping_strategy, not a hook")
        return transforms.crops

    # training

    def names(self) -> TrainingViewNames:
        """Names the views that samples are."""
        return TrainingViewNames(self.pipeline.augmentations_base_seed, self.pipeline.orientation == "per_copy")

    def views_of(self, batches: TrainingBatches, window: int, epoch: int) -> Keys:
        """The views that the batches of an epoch draw: int64 (n,)."""
        positions, copies = np.divmod(batches.visited(), self.pipeline.augmentation_factor)
        return self.names().keys(self.plan.training.rows(window)[positions], copies, window, epoch)

    def embed_training(self, views: Iterable[Keys], world: int, stop: StopRequest | None) -> None:
        """Embed what is not stored yet of training views, shared out over ``world`` processes.

        Raises:
            InputError: the disk lacks room, or a feature cannot be stored.
            StoppedError: a signal asked for it; what is embedded is kept.
        """
        keys = np.unique(np.concatenate([np.empty(0, np.int64), *views]))
        table, transforms = self.pipeline.train_table, self.pipeline.training_transforms(self.detector)
        ids, seed = table.generator_ids(self.plan.timeline), self.pipeline.augmentations_base_seed

        def samples(missing: Keys) -> TrainingViews:
            stored = self.pipeline.stored_squares(table, rows_of(missing), transforms)
            return TrainingViews(table, ids, transforms, self._crop(), seed, stored)

        def batches(of: Keys) -> Iterator[Any]:
            return training_view_batches(of, self.pipeline.eval_batch_size)

        self._embed(self._training_stores(), keys, samples, batches, "training views", world, stop)

    def training_batches(self, batches: WindowBatches, window: int) -> Any:
        """A loader of a window's epochs, features in place of images."""
        table = self.pipeline.train_table
        ids, rows = table.generator_ids(self.plan.timeline), self.plan.training.rows(window)
        stored = self._opened(self._training_stores())
        return _loader(StoredTraining(table, ids, rows, self.names(), stored, window), batches)

    # evaluation

    def embed_evaluation(self, stage: str, perturbation: Recipe | None, world: int, stop: StopRequest | None) -> None:
        """Embed what is not stored yet of the evaluation images of a stage; raises as ``embed_training``."""
        table, chosen = self.pipeline.source.table(split_of(stage)), self.pipeline.evaluation_set(self.plan, stage)
        keys = np.unique(chosen.ids)
        transforms = self._evaluation_transforms(stage, perturbation)
        ids, seed = table.generator_ids(self.plan.timeline), self.pipeline.augmentations_base_seed

        def samples(missing: Keys) -> EvaluationSamples:
            stored = self.pipeline.views.evaluation(table, keys, transforms, seed)
            return EvaluationSamples(table, ids, keys, transforms, seed, stored)

        size = self.pipeline.eval_batch_size

        def batches(of: Keys) -> Iterator[Any]:
            positions = np.searchsorted(keys, of).tolist()
            return (positions[start : start + size] for start in range(0, len(positions), size))

        self._embed(
            self._evaluation_stores(stage, perturbation), keys, samples, batches, f"{stage} images", world, stop
        )

    def evaluation_batches(self, stage: str, rank: int, world: int, perturbation: Recipe | None) -> Any:
        """A loader of this rank's share of an evaluation, features in place of crops."""
        table, chosen = self.pipeline.source.table(split_of(stage)), self.pipeline.evaluation_set(self.plan, stage)
        stored = self._opened(self._evaluation_stores(stage, perturbation))
        samples = StoredEvaluation(table, table.generator_ids(self.plan.timeline), chosen.ids, stored)
        # rows of numbers: many to a batch, whatever fits of images
        size = max(self.pipeline.eval_batch_size, 1024)
        return _loader(samples, EvaluationBatches(len(chosen.ids), size, rank, world))

    def _evaluation_transforms(self, stage: str, perturbation: Recipe | None) -> EvaluationTransforms:
        transforms = self.pipeline.evaluation_transforms(self.detector, stage)
        return transforms if perturbation is None else replace(transforms, perturbation=perturbation)

    def _embed(
        self,
        stores: Mapping[Part, Store],
        keys: Keys,
        samples: Callable[[Keys], Any],
        batches_of: BatchesOf,
        what: str,
        world: int,
        stop: StopRequest | None,
    ) -> None:
        def loader(queue: BlockQueue, missing: Keys) -> Any:
            return make_loader(samples(missing), queue, collate, self.pipeline.num_workers)

        embed(stores, keys, batches_of, loader, self.detector, self.trainer_arguments, world, what, stop, self.spent)

    def budget(self, views: int, is_first: bool) -> dict[str, Count]:
        """What it costs to embed so many training views and, for the first window, the evaluation images.

        It goes by what it took whoever stored them, so a run counts its features however many of them it found stored.
        """
        found = {"embedding": scaled_cost(self._training_stores(), views)}
        if is_first:
            images = len(np.unique(self.pipeline.evaluation_set(self.plan, "validate").ids))
            found["evaluation_embedding"] = scaled_cost(self._evaluation_stores("validate", None), images)
        return found

    # stores

    def _training_stores(self) -> dict[Part, Store]:
        transforms, crop = self.pipeline.training_transforms(self.detector), self._crop()
        recipe = _described(mandatory=transforms.mandatory, first=transforms.first)
        return self._stores(self.pipeline.train_table, {**recipe, "crops": crop.describe()}, ())

    def _evaluation_stores(self, stage: str, perturbation: Recipe | None) -> dict[Part, Store]:
        transforms = self._evaluation_transforms(stage, perturbation)
        crops = self._crops(transforms)
        recipe = _described(
            mandatory=transforms.mandatory,
            perturbation=transforms.perturbation or unchanged,
            first=transforms.first,
            second=transforms.second,
        )
        table = self.pipeline.source.table(split_of(stage))
        return self._stores(table, {**recipe, "crops": crops.describe()}, (crops.most,))

    def _stores(self, table: ImageTable, recipe: dict[str, Any], crops: tuple[int, ...]) -> dict[Part, Store]:
        """One a part, whichever other parts stand beside it."""
        pipeline = self.pipeline
        common = {
            **describe_format(),
            "seed": pipeline.augmentations_base_seed,
            **recipe,
            "data": table_identity(table),
            "precision": self.precision,
        }
        stores = {}
        for part, described in described_parts(self.detector):
            shape = (*crops, part.width)
            store = Store(Path(pipeline.cache_folder), "features", common | described, shape, pipeline.features_dtype)
            # a store remembers the blocks that it has looked into
            stores[part] = self.stores.setdefault(store.folder, store)
        return stores

    @staticmethod
    def _opened(stores: Mapping[Part, Store]) -> StoredTogether:
        return StoredTogether([store.open() for store in stores.values()])


def _described(**steps: Any) -> dict[str, Any]:
    try:
        return {name: describe_step(step, f"the {name} step") for name, step in steps.items()}
    except NotStorableError as error:
        raise InputError(
            f"data.features: cache needs augmentations that say what they do: {error}; use data.features: none"
        ) from error


def _loader(samples: Any, batches: Any) -> Any:
    from torch.utils.data import DataLoader

    # a batch is a gather from memory maps: workers would only add copies
    return DataLoader(samples, sampler=batches, batch_size=None, pin_memory=torch.cuda.is_available())
