"""The detector: what is trained and evaluated, and the hooks to change either."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aigenbench.augmentations import EvaluationCrops, StochasticTraining, recipe_given
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.samples.collation import Batch
from aigenbench.data.samples.hooks import is_overridden, refuse_hooks
from aigenbench.evaluation.metrics.definitions import check_own_name
from aigenbench.evaluation.predictions.fusion import Fusion
from aigenbench.models import Preprocessing, check_input_size, preprocessing_of
from aigenbench.models.composing import build_with_parts
from aigenbench.models.finetune import Finetune, finetuned
from aigenbench.models.heads.choice import HeadChoice
from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD
from aigenbench.models.probe import Classifier
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.trained import Trained
from aigenbench.training.detector.arguments import (
    NO_HOOKS,
    ORIGINAL_ALONE,
    check_arguments,
    check_fusion,
    check_recipe,
    size_of,
)
from aigenbench.training.detector.base_weights import LoadsBaseWeights
from aigenbench.training.detector.learning import Learning, OptimizerFactory, published_sgd
from aigenbench.training.detector.objectives import Objective
from aigenbench.training.detector.picture_hooks import PictureHooks
from aigenbench.training.detector.records import said_of
from aigenbench.training.detector.seeding import BatchSeeds
from aigenbench.training.detector.stage import EvaluationOutput, Stage
from aigenbench.training.detector.tasks import BinaryTask, MulticlassTask, Task
from aigenbench.training.detector.teacher import Teacher
from aigenbench.training.detector.terms import Term
from aigenbench.training.detector.workbench import put_on, trains

MetricFunction = Callable[..., Any]
PUBLISHED_CLASSES = len(PUBLISHED.id_to_name)


class BaseDeepfakeDetectionModel(PictureHooks, Learning, metaclass=LoadsBaseWeights):
    """A detector of generated images. Subclass it and override hooks; name the class as ``model.class_path``.

    Args:
        model_name: see ``aigenbench models list``; ends in ``_tune`` or ``_probe``.
        optimizer: makes the optimizer from parameters or parameter groups.
        scheduler: ``OneCycleLR``, or None for a constant learning rate.
        model_input_size: pixels a side, or (height, width).
        classification_threshold: a score counts as fake where it is strictly greater. It changes accuracy,
            precision, recall and their kin; never AUROC, never training.
        base_weights: a checkpoint or state dict to start from.
        training_cropping_strategy: ``resize``, ``random_crop``, ``center_crop`` or ``as_is``.
        evaluation_cropping_strategy: ``resize``, ``crop``, ``multicrop``, ``mixed``, ``tiles`` (or with its arguments,
            ``{"tiles": {"n": 6, "choose": "texture"}}``) or ``as_is``.
        training_task: ``binary`` or ``multiclass`` (real and each generator a class).
        evaluation_type: likewise; a multiclass detector may be evaluated as binary.
        model_args: passed on to the model factory, such as ``{"pretrained": False}``.
        preprocessing: overrides of the backbone's own mean and std.
        n_classes: outputs of a multiclass detector; None takes one for real and each published generator (37).
        finetune: which of a ``_tune`` model's weights train beside its head: ``all``, or one of
            `aigenbench.models.finetune.KINDS`, with its arguments where it has some: ``{"lora": {"rank": 4}}``.
        objective: what it is trained for: one of the names in docs/objectives.md, or several, each with
            its arguments: ``{"focal": {"gamma": 2}, "auxiliary": {"weight": 0.5}}``. Evaluations do not change.
        head: what gives outputs of a backbone's features: one of the names in docs/workbench.md, with its arguments
            where it has some: ``{"knn": {"k": 9}}``.
        transform: what is done to the features before the head, likewise; of several a list, in their order.
        features: which layers and tokens of the backbone the head sees, ``{"layers": [3, 6, -1], "tokens": "cls"}``;
            None for the backbone's own output (docs/workbench.md).
        backbones: names of further backbones beside that of a ``_probe`` model, each alone or with ``features`` and
            ``model_args`` of its own.
        recipe: how training images are degraded: ``baseline``, ``soft``, ``mild``, ``none``, a YAML file, or steps, see
            docs/recipes.md; None takes the class's ``usual_recipe``, or what its ``train_augmentation`` says.
        fusion: how an image's score comes of those of its crops: ``mean``, ``max``, or ``learned`` on the Past period.

    Raises:
        InputError: an argument is none of the known ones, or no model has that name.
    """

    def __init__(
        self,
        model_name: str,
        optimizer: OptimizerFactory = published_sgd,
        scheduler: str | None = "OneCycleLR",
        model_input_size: int | tuple[int, int] = 224,
        classification_threshold: float = 0.5,
        base_weights: str | None = None,
        training_cropping_strategy: str = "resize",
        evaluation_cropping_strategy: str | dict[str, Any] = "resize",
        training_task: str = "binary",
        evaluation_type: str = "binary",
        model_args: Mapping[str, Any] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        n_classes: int | None = None,
        finetune: str | dict[str, Any] = "all",
        objective: str | dict[str, Any] = "cross_entropy",
        head: str | dict[str, Any] = "linear",
        transform: str | dict[str, Any] | list[Any] | None = None,
        features: dict[str, Any] | None = None,
        backbones: list[str | dict[str, Any]] | None = None,
        recipe: str | dict[str, Any] | None = None,
        fusion: str | dict[str, Any] = "mean",
    ) -> None:
        super().__init__()
        self._objective, self.head_choice = Objective.of(objective), HeadChoice.of(head, transform)
        self.finetune = Finetune.of(finetune)
        check_arguments(training_task, evaluation_type, n_classes, scheduler, classification_threshold)
        self.model_name, self.input_size = model_name, size_of(model_input_size)
        self.optimizer_factory, self.scheduler = optimizer, scheduler
        self.classification_threshold, self.base_weights = classification_threshold, base_weights
        self.training_crop = StochasticTraining(training_cropping_strategy, self.input_size)
        self.evaluation_crop = EvaluationCrops(evaluation_cropping_strategy, self.input_size)
        self.recipe = recipe_given(type(self).usual_recipe if recipe is None else recipe)
        self.fusion = Fusion.of(fusion)
        if recipe is not None:
            check_recipe(type(self))
        check_fusion(type(self), self.fusion, self.evaluation_crop, evaluation_type)
        self.training_task, self.evaluation_type = training_task, evaluation_type
        self.task: Task = BinaryTask() if training_task == "binary" else MulticlassTask(n_classes or PUBLISHED_CLASSES)
        self.n_outputs = self.task.n_outputs
        """Outputs of the model; of more classes than a timeline has, the first count."""
        self.stage = Stage()
        self.trained: Trained | None = None
        """What the weights that were loaded say they were trained on."""
        self.description: dict[str, Any] = {}
        """What it takes to make this detector again, in plain values; checkpoints keep it."""
        self.configured_metrics: dict[str, MetricFunction] = {}
        """Those of the section ``metrics``, which no hook has to add."""
        self.extra_metrics: ChainMap[str, MetricFunction] = ChainMap({}, self.configured_metrics)
        """And those that hooks have added; only these are cleared."""
        self.registered_metrics: list[Any] = []
        """Those of the original framework's contract."""
        self.default_metrics = False
        self.window_terms: dict[str, Term] = {}
        """Terms of the loss that a run's strategy adds in a window."""
        self.teacher: Teacher | None = None
        """The detector of the window before, where one of them needs it."""
        self.fused_in_step = False
        """Whether the evaluation step under way fuses its images' scores itself; the original's contract tells."""
        arguments = {"pretrained": True, **(model_args or {})}
        self.model_args: dict[str, Any] = arguments
        self.parts = {key: of for key, of in (("features", features), ("backbones", backbones)) if of}
        """Layers, tokens and further backbones that are asked for, as the config says them."""
        self.model: nn.Module = self._first_model()
        self._check_learning()
        if not trains(self.model):
            # optimizers and processes that share the work want a weight; this one has no numbers
            self.idle = nn.Parameter(torch.empty(0))
        if self._objective.terms:
            self.objective_terms = self._objective.terms_for(self.model, self.model_name, training_task)
        self.register_buffer("pixel_mean", torch.zeros(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.ones(1, 3, 1, 1), persistent=False)
        self.use_preprocessing(self._preprocessing(preprocessing))
        self._first_metrics()

    def _first_model(self) -> nn.Module:
        """The model that the detector begins with."""
        refuse_hooks(type(self), {**ORIGINAL_ALONE, **NO_HOOKS})
        return self._built_model()

    def _first_metrics(self) -> None:
        self.register_metrics()

    def _built_model(self) -> nn.Module:
        built = build_with_parts(self.model_name, self.n_outputs, self.model_args, **self.parts)
        model = finetuned(built, self.finetune, self.model_name)
        put_on(model, self.head_choice, self.model_name)
        if isinstance(model, Classifier):
            # a user's own module is used as it is
            check_input_size(model, self.input_size)
        return model

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let Lightning's own checkpoints say what ours do: the model, and what its weights were trained on."""
        checkpoint.update(said_of(self))

    @property
    def model_input_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.input_size

    @property
    def scheduler_name(self) -> str | None:
        """The scheduler that the config names."""
        return self.scheduler

    @property
    def training_cropping_strategy(self) -> str:
        """How training images are brought to the model's size."""
        return self.training_crop.strategy

    @property
    def evaluation_cropping_strategy(self) -> str:
        """Likewise in evaluations."""
        return self.evaluation_crop.strategy

    @property
    def multiclass_output_mask(self) -> Tensor:
        """Which classes were seen so far: bool (n_classes,), on the detector's device."""
        seen = self.task.seen if isinstance(self.task, MulticlassTask) else [0, *self.stage.seen_generator_ids]
        mask = torch.zeros(self.stage.n_classes or PUBLISHED_CLASSES, dtype=torch.bool, device=self.device)
        mask[list(seen)] = True
        return mask

    def _preprocessing(self, overrides: Mapping[str, Any] | None) -> Preprocessing:
        # a user's module that says nothing gets what the benchmark's authors used for every backbone
        own = preprocessing_of(self.model) or Preprocessing(CLIP_MEAN, CLIP_STD)
        return own.for_detector(self.input_size, overrides)

    # the model

    def use_preprocessing(self, preprocessing: Preprocessing) -> None:
        """Normalise and crop by ``preprocessing`` from now on: what the weights in use were trained with."""
        self.preprocessing, self.input_size = preprocessing, preprocessing.input_size
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        mean.copy_(torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        std.copy_(torch.tensor(preprocessing.std).view(1, 3, 1, 1))
        self.training_crop = StochasticTraining(self.training_crop.strategy, self.input_size)
        self.evaluation_crop = self.evaluation_crop.of_size(self.input_size)
        if isinstance(self.model, Classifier):
            self.model.images_are(preprocessing)

    def begin(self, stage: Stage) -> None:
        """Take note of where the run stands; the windows loop calls it."""
        self.stage = stage
        if isinstance(self.task, MulticlassTask):
            self.task = MulticlassTask(stage.n_classes, stage.seen_generator_ids)

    def setup(self, stage: str) -> None:
        """Under a Trainer of one's own with a pipeline of ours: take note of the window that it serves."""
        pipeline = getattr(self.trainer, "datamodule", None)
        if isinstance(pipeline, AIGenBenchPipeline) and (served := pipeline.serving()).loaders is None:
            images = pipeline.training_fingerprint(served.plan, served.window)
            self.begin(Stage.at(served.plan, served.window, images=images))

    def configure_callbacks(self) -> list[Any]:
        """Under such a Trainer: what seeds every batch as the windows loop does."""
        trainer: Any = self.trainer
        if any(isinstance(callback, BatchSeeds) for callback in trainer.callbacks):
            return []
        pipeline = getattr(trainer, "datamodule", None)
        if not isinstance(pipeline, AIGenBenchPipeline):
            return []
        served = pipeline.serving()
        return [BatchSeeds(served.seed, served.window)]

    # evaluation

    def evaluation_step(self, batch: Batch, batch_idx: int) -> EvaluationOutput:
        """Outputs and losses of every crop of a batch; serves validate and test."""
        outputs = self(batch.images)
        labels = batch.labels[batch.crop_to_image]
        generator_ids = batch.generator_ids[batch.crop_to_image]
        losses = self.task.evaluation_losses(outputs, labels, generator_ids)
        return EvaluationOutput(outputs, labels, generator_ids, batch.image_ids[batch.crop_to_image], losses)

    def validation_step(self, batch: Batch, batch_idx: int) -> Any:
        """``evaluation_step`` on a validation batch."""
        return self.evaluation_step(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> Any:
        """``evaluation_step`` on a test batch."""
        return self.evaluation_step(batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Positions of the images (n,), fake logits of the crops (m,), and the crops' images (m,)."""
        outputs = self(batch.batch.images)
        # a hook on classes' probabilities is applied to them where the images' scores are made
        scored = outputs if scores_classes(self) else self.task.fake_logits(outputs)
        return batch.positions, scored, batch.batch.crop_to_image

    def multiclass_to_binary_prediction(self, scores: Tensor) -> Tensor:
        """Probabilities of being fake (n,), from those of the classes (n, n_classes)."""
        return scores[:, 1:].sum(dim=1)

    def predicted(self, batch: Any, returned: Any) -> tuple[Tensor, Any, Tensor]:
        """What ``predict_step`` returned of a batch, as its own three."""
        positions, logits, crop_to_image = returned
        return positions, logits, crop_to_image

    def scores_fusion(self, crop_scores: Tensor) -> Tensor:
        """One probability from those of an image's crops: float64 (n_crops,) to (); the mean unless overridden."""
        return crop_scores.mean(dim=0)

    def register_metrics(self) -> None:
        """Choose what evaluations log: the defaults, and what is added with ``add_metric`` in an override."""
        self.default_metrics = True

    def add_metric(self, name: str, metric: MetricFunction) -> None:
        """Add a metric to every period of every evaluation, fed with the gathered arrays.

        Args:
            name: under which it is logged.
            metric: a torchmetrics Metric (called with probabilities float64 (n,) and labels int64 (n,)), or a
                function of (labels, probabilities), NumPy arrays of the same kinds, that returns a number.
        """
        check_own_name(name)
        # past nn.Module's registration: a metric is no part of the model or its checkpoint
        self.extra_metrics[name] = metric


class SoftTrainAugmentationsModel(BaseDeepfakeDetectionModel):
    """A detector trained on images degraded as the evaluation's are, unless ``model.recipe`` says otherwise."""

    usual_recipe = "soft"


def scores_classes(detector: BaseDeepfakeDetectionModel) -> bool:
    """Whether a subclass makes images' scores of the probabilities of classes in a way of its own."""
    if not isinstance(detector.task, MulticlassTask):
        return False
    by_class = detector.evaluation_type == "multiclass" and fusion_is_overridden(detector)
    return by_class or is_overridden(type(detector), "multiclass_to_binary_prediction")


def fusion_is_overridden(detector: BaseDeepfakeDetectionModel) -> bool:
    """Whether a subclass fuses the scores of an image's crops in a way of its own."""
    return is_overridden(type(detector), "scores_fusion")
