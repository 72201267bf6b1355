"""AIGenBenchPipeline: from a data set on disk to batches, by the benchmark's rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aigenbench.augmentations import MandatoryEvaluation, MandatoryTraining, Recipe
from aigenbench.data.arguments import check_at_least, check_choices
from aigenbench.data.identity import keys_of
from aigenbench.data.loaders import source_of_loader, timeline_of_loader
from aigenbench.data.plan import Plan, make_plan
from aigenbench.data.predict import PredictLoader, PredictSamples, PredictSet, collate_predict, open_predict_set
from aigenbench.data.samples.batches import BatchArithmetic, EvaluationBatches, TrainingBatches, WindowBatches
from aigenbench.data.samples.collation import collate
from aigenbench.data.samples.dataset import (
    EvaluationSamples,
    EvaluationTransforms,
    TrainingSamples,
    TrainingTransforms,
)
from aigenbench.data.samples.hooks import (
    NO_LOADERS,
    AugmentationHooks,
    evaluation_steps,
    is_overridden,
    named,
    refuse_hooks,
    training_steps,
    tried,
)
from aigenbench.data.samples.loading import make_loader, usable_processors
from aigenbench.data.samples.transforms import Augmentation, ForeignCrops
from aigenbench.data.sources.opening import open_source
from aigenbench.data.sources.shards import tell_cost
from aigenbench.data.sources.tables import ImageTable, SplitTables
from aigenbench.data.store.pictures import WithPictures
from aigenbench.data.views.cached import ViewCache
from aigenbench.data.views.reconstructed import Reconstruct
from aigenbench.data.views.views import StoredSquares
from aigenbench.data.window_module import WindowDataModule
from aigenbench.files import user_path
from aigenbench.protocol.identity import Keys, training_fingerprint
from aigenbench.protocol.pairing import EvaluationSet, evaluation_set
from aigenbench.protocol.published import (
    AUGMENTATION_FACTOR,
    AUGMENTATIONS_BASE_SEED,
    GENERATORS_PER_WINDOW,
    MAXIMUM_PROCESSING_SIZE,
)
from aigenbench.protocol.timeline import load_timeline

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

CROPS = {"validate": "make_val_crops", "test": "make_test_crops", "predict": "make_predict_crops"}
"""Hooks of a subclass that crop in place of the detector's, each from an image to an image or a sequence."""


class AIGenBenchDatasetLoader:
    """Opens the data set.

    Args:
        dataset_path: a folder saved with Hugging Face ``save_to_disk``, one of Parquet shards, or one with
            ``index.csv``.
        follow_links: read files outside that folder (or ``predict``'s), where paths or links in it lead there.
    """

    follow_links = False

    def __init__(self, dataset_path: str | None = None, follow_links: bool = False) -> None:
        self.dataset_path, self.follow_links = dataset_path, follow_links

    def load(self) -> SplitTables:
        """Open the splits; metadata is read, images are not.

        Raises:
            InputError: there is no data set at the path, or it lacks a file or column.
        """
        return open_source(self.dataset_path, self.follow_links)


class AIGenBenchPipeline(WindowDataModule):
    """The benchmark's samples; under a Trainer of one's own, a data module of one window (see ``use_window``).

    Args:
        dataset_loader: opens the data set.
        train_batch_size: samples per device and accumulation part.
        eval_batch_size: images per device in evaluation.
        num_workers: loader processes; None takes one a usable processor, at most 8.
        train_subset_size: train on so many rows (int) or that share (float) of each window's own, by generator;
            None or 0 for all of them.
        validation_subset_size: likewise of the evaluation images.
        deterministic_augmentations: an image's copy is degraded alike each time it is read.
        augmentation_factor: copies of each training image.
        augmentations_base_seed: seed of every sample's draws.
        maximum_processing_size: larger images are cropped to this many pixels a side; None for no limit.
        evaluation_jpeg: ``two_point`` (qualities 50 and 100) or ``uniform`` (50..100).
        timeline: YAML or CSV with generators of one's own.
        predict_path: picture, folder or data set ``predict`` reads; None takes the evaluation images.
        cache: ``evaluation`` keeps the finished evaluation images on disk, ``all`` the training images and
            evaluations under perturbations too, ``none`` nothing; the samples are the same.
        cache_folder: where that is kept.
        features: ``cache`` trains a probe on the stored outputs of its frozen backbone; ``none`` runs the backbone
            every time.
        features_dtype: how these are stored, ``float16`` or ``bfloat16``.
        orientation: ``per_epoch`` turns and flips (and crops at random) anew in every window and epoch,
            ``per_copy`` once for each image and copy.
        reconstruct: ``vae``, ``share`` and ``size``: reals that are trained on as fakes too, as an autoencoder gives
            them back; off protocol. See ``Reconstruct``.
    """

    def __init__(
        self,
        dataset_loader: AIGenBenchDatasetLoader,
        train_batch_size: int = 64,
        eval_batch_size: int = 64,
        num_workers: int | None = None,
        train_subset_size: int | float | None = None,
        validation_subset_size: int | float | None = None,
        deterministic_augmentations: bool = True,
        augmentation_factor: int = AUGMENTATION_FACTOR,
        augmentations_base_seed: int = AUGMENTATIONS_BASE_SEED,
        maximum_processing_size: int | None = MAXIMUM_PROCESSING_SIZE,
        evaluation_jpeg: str = "two_point",
        timeline: str | None = None,
        predict_path: str | None = None,
        cache: str = "none",
        cache_folder: str = "experiments_cache",
        features: str = "none",
        features_dtype: str = "float16",
        orientation: str = "per_epoch",
        reconstruct: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        refuse_hooks(type(self), NO_LOADERS)
        check_at_least(
            1,
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            augmentation_factor=augmentation_factor,
            maximum_processing_size=maximum_processing_size,
        )
        check_at_least(0, num_workers=num_workers)
        check_choices(cache=cache, features=features, features_dtype=features_dtype, orientation=orientation)
        self.dataset_loader = dataset_loader
        self.train_batch_size = train_batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = usable_processors() if num_workers is None else num_workers
        self.train_subset_size = train_subset_size or None
        self.validation_subset_size = validation_subset_size or None
        self.deterministic_augmentations = deterministic_augmentations
        self.augmentation_factor = augmentation_factor
        self.augmentations_base_seed = augmentations_base_seed
        self.maximum_processing_size = maximum_processing_size
        self.evaluation_jpeg = evaluation_jpeg
        own = timeline_of_loader(dataset_loader)
        self.timeline = own if own is not None and timeline is None else load_timeline(timeline)
        self.predict_path = predict_path
        self.cache, self.cache_folder = cache, str(user_path(cache_folder))
        self.views = ViewCache(cache, Path(self.cache_folder), self.num_workers)
        self.cropping: Any = None
        """The detector whose crops a subclass's hooks may ask for."""
        self.features, self.features_dtype, self.orientation = features, features_dtype, orientation
        self.reconstruct = Reconstruct.of(reconstruct)
        # told before any data is read; not by the hook, which may need what a subclass's constructor sets later
        MandatoryEvaluation(maximum_processing_size, evaluation_jpeg)

    # the benchmark's own steps

    def mandatory_train_preprocessing(self) -> Augmentation:
        """What every training image goes through before the detector's augmentation."""
        return MandatoryTraining(self.maximum_processing_size)

    def mandatory_val_preprocessing(self) -> Augmentation:
        """What every validation image goes through before the detector sees it."""
        return MandatoryEvaluation(self.maximum_processing_size, self.evaluation_jpeg)

    def mandatory_test_preprocessing(self) -> Augmentation:
        """What every test image goes through; the validation steps unless overridden."""
        return self.mandatory_val_preprocessing()

    def mandatory_predict_preprocessing(self) -> Augmentation | None:
        """What a user's picture goes through: nothing, it is judged as it is."""
        return None

    def describe_mandatory_evaluation(self, perturbation: Recipe | None = None) -> dict[str, Any]:
        """The mandatory evaluation recipe, and a perturbation after it, as the protocol fingerprint takes them."""
        recipe = self.mandatory_val_preprocessing()
        describe = getattr(recipe, "describe", None)
        described = describe() if describe is not None else {"custom": type(recipe).__qualname__}
        return described if perturbation is None else {**described, "perturbation": perturbation.describe()}

    # rows

    @property
    def follow_links(self) -> bool:
        """Whether the data set's user trusts who made it (see the loader)."""
        return bool(getattr(self.dataset_loader, "follow_links", False))

    @cached_property
    def source(self) -> SplitTables:
        """The data set, opened once."""
        return source_of_loader(self.dataset_loader)

    @cached_property
    def train_table(self) -> ImageTable:
        """The images that training reads: the train split, with a reconstruction of each behind it where asked for."""
        table = self.source.table("train")
        return table if self.reconstruct is None else self.reconstruct.table(table, Path(self.cache_folder))

    @cached_property
    def training_keys(self) -> Keys:
        """Which image every row of ``train_table`` is (protocol section 4), uint64 (n,)."""
        table = self.source.table("train")
        keys = keys_of(table, np.arange(len(table)))
        return keys if self.reconstruct is None else self.reconstruct.keys(keys)

    def training_fingerprint(self, plan: Plan, window: int) -> str | None:
        """Of the images that a window of a plan trains on (protocol section 4); None where it trains on none."""
        if window >= len(plan.training.own):
            return None
        return training_fingerprint(self.training_keys[plan.training.rows(window)])

    def plan(
        self,
        n_generators_per_window: int = GENERATORS_PER_WINDOW,
        benchmark_type: str = "cumulative",
        stage: str = "fit",
        chosen: Sequence[npt.NDArray[np.int64]] = (),
    ) -> Plan:
        """Windows, training rows and evaluation set of this data set; see ``make_plan``."""
        plan = make_plan(
            self.source,
            n_generators_per_window,
            benchmark_type,
            self.train_subset_size,
            self.validation_subset_size,
            self.timeline,
            stage,
            chosen,
        )
        if self.reconstruct is None or stage != "fit":
            return plan
        table = self.source.table("train")
        return self.reconstruct.in_plan(plan, table.labels == 0, self.training_keys, self.augmentations_base_seed)

    def evaluation_set(self, plan: Plan, stage: str) -> EvaluationSet:
        """The images of ``validate`` or ``test``; one and the same where the data set has no test split."""
        table = self.source.table(split_of(stage))
        if table.split == "validation":
            return plan.evaluation
        return evaluation_set(table.generator_ids(plan.timeline), self.validation_subset_size)

    # batches

    def arithmetic(self, devices: int = 1, accumulate: int = 1) -> BatchArithmetic:
        """The overall batch for so many devices and accumulation parts."""
        return BatchArithmetic(self.train_batch_size, devices, accumulate)

    def training_loader(
        self,
        plan: Plan,
        hooks: AugmentationHooks,
        batches: TrainingBatches | WindowBatches,
        window: int,
    ) -> DataLoader[Any]:
        """Training batches of a window.

        Args:
            plan: what the run uses.
            hooks: the detector's augmentations.
            batches: what is left of an epoch, or of the window.
            window: index of the window.
        """
        return make_loader(self.training_samples(plan, hooks, window), batches, collate, self.num_workers)

    def training_samples(self, plan: Plan, hooks: AugmentationHooks, window: int) -> TrainingSamples:
        """The training samples of a window, by (position among its rows, copy, epoch)."""
        table, rows = self.train_table, plan.training.rows(window)
        if isinstance(table, WithPictures):
            table.check(rows)
        transforms = self.training_transforms(hooks)
        stored = self.stored_squares(table, rows, transforms)
        if stored is None:
            tell_cost(table, self.source.path)
        return TrainingSamples(
            table,
            table.generator_ids(plan.timeline),
            rows,
            transforms,
            self.augmentations_base_seed,
            window,
            self.deterministic_augmentations,
            self.orientation,
            stored,
        )

    def evaluation_loader(
        self,
        plan: Plan,
        hooks: AugmentationHooks,
        stage: str,
        rank: int = 0,
        world: int = 1,
        perturbation: Recipe | None = None,
    ) -> DataLoader[Any]:
        """Batches of ``validate`` or ``test``: this rank's share of the evaluation order.

        A ``perturbation`` stands between the mandatory steps and the detector's own.
        """
        table, chosen = self.source.table(split_of(stage)), self.evaluation_set(plan, stage)
        transforms = replace(self.evaluation_transforms(hooks, stage), perturbation=perturbation)
        samples = EvaluationSamples(
            table,
            table.generator_ids(plan.timeline),
            chosen.ids,
            transforms,
            self.augmentations_base_seed,
            self.views.evaluation(table, chosen.ids, transforms, self.augmentations_base_seed),
        )
        return make_loader(
            samples, EvaluationBatches(len(chosen.ids), self.eval_batch_size, rank, world), collate, self.num_workers
        )

    def store_views(self, plan: Plan, hooks: AugmentationHooks, windows: Sequence[int]) -> None:
        """Compute and store the views that fitting ``windows`` reads, as far as ``cache`` asks for them.

        Raises:
            InputError: the disk has no room, or an image cannot be read.
        """
        table, transforms = self.source.table("validation"), self.evaluation_transforms(hooks, "validate")
        self.views.evaluation(table, plan.evaluation.ids, transforms, self.augmentations_base_seed)
        rows = np.unique(np.concatenate([plan.training.candidates(window) for window in windows]))
        self.stored_squares(self.train_table, rows, self.training_transforms(hooks))

    def stored_squares(
        self, table: ImageTable, rows: npt.NDArray[np.int64], transforms: TrainingTransforms
    ) -> StoredSquares | None:
        """The stored squares of all copies of these training images, as far as ``cache`` asks for them."""
        return self.views.training(
            table,
            rows,
            self.augmentation_factor,
            transforms,
            self.augmentations_base_seed,
            self.deterministic_augmentations,
        )

    def predict_set(self, plan: Callable[[], Plan]) -> PredictSet:
        """The images ``predict`` scores: those at ``predict_path``, or the evaluation images."""
        if self.predict_path is not None:
            return open_predict_set(self.predict_path, self.follow_links)
        return PredictSet(self.source.table("validation"), plan().evaluation.ids)

    def predict_loader(
        self, chosen: PredictSet, hooks: AugmentationHooks, rank: int = 0, world: int = 1
    ) -> PredictLoader:
        """Batches of ``predict``: this rank's share."""
        transforms = self.evaluation_transforms(hooks, "predict", chosen.table)
        samples = PredictSamples(chosen, transforms, self.augmentations_base_seed)
        batches = EvaluationBatches(len(chosen.rows), self.eval_batch_size, rank, world)
        return PredictLoader(make_loader(samples, batches, collate_predict, self.num_workers))

    def training_transforms(self, hooks: AugmentationHooks) -> TrainingTransforms:
        """The steps of a training sample under the detector's hooks, tried on a real image.

        Raises:
            InputError: a hook returns something else than it must, or that fails.
        """
        return tried(
            lambda: training_steps(hooks, self.mandatory_train_preprocessing()),
            self.source.table("train"),
            named(hooks, "train_augmentation"),
        )

    def evaluation_transforms(
        self, hooks: AugmentationHooks, stage: str, table: ImageTable | None = None
    ) -> EvaluationTransforms:
        """The steps of an image in ``validate``, ``test`` or ``predict``; raises likewise.

        Tried on an image of ``table``; without one, of the stage's split.
        """
        mandatory = {
            "validate": self.mandatory_val_preprocessing,
            "test": self.mandatory_test_preprocessing,
            "predict": self.mandatory_predict_preprocessing,
        }[stage]
        if table is None and stage == "predict":
            return self._evaluation_steps(hooks, stage, mandatory())
        return tried(
            lambda: self._evaluation_steps(hooks, stage, mandatory()),
            self.source.table(split_of(stage)) if table is None else table,
            f"the augmentation and crops hooks of {stage}",
        )

    def _evaluation_steps(
        self, hooks: AugmentationHooks, stage: str, mandatory: Augmentation | None
    ) -> EvaluationTransforms:
        steps, crops = evaluation_steps(hooks, stage, mandatory), CROPS[stage]
        if not is_overridden(type(self), crops):
            return steps
        # the pipeline's own stand in place of the detector's
        self.cropping = hooks
        return replace(steps, crops=ForeignCrops(getattr(self, crops), named(self, crops)))


def split_of(stage: str) -> str:
    """The split that ``validate`` or ``test`` evaluates."""
    return {"validate": "validation", "test": "test"}[stage]
