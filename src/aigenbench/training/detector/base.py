"""The detector: what is trained and evaluated, and the hooks to change either."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from aigenbench.augmentations import EvaluationCrops, SoftTraining, StochasticTraining
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.samples.collation import Batch
from aigenbench.data.samples.hooks import is_overridden, refuse_hooks
from aigenbench.data.samples.transforms import Augmentation
from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.definitions import check_own_name
from aigenbench.models import Preprocessing, check_input_size, preprocessing_of
from aigenbench.models.composing import build_with_parts
from aigenbench.models.finetune import Finetune, finetuned
from aigenbench.models.heads.choice import HeadChoice
from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, normalised
from aigenbench.models.probe import Classifier
from aigenbench.protocol.published import SGD
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.trained import Trained
from aigenbench.training.detector.arguments import NO_HOOKS, ORIGINAL_ALONE, check_arguments, check_overrides, size_of
from aigenbench.training.detector.base_weights import LoadsBaseWeights
from aigenbench.training.detector.objectives import Objective
from aigenbench.training.detector.picture_hooks import PictureHooks
from aigenbench.training.detector.records import said_of
from aigenbench.training.detector.seeding import BatchSeeds
from aigenbench.training.detector.stage import EvaluationOutput, Stage
from aigenbench.training.detector.tasks import BinaryTask, MulticlassTask, Task
from aigenbench.training.detector.teacher import Teacher
from aigenbench.training.detector.terms import Rows, Term, values_of
from aigenbench.training.detector.workbench import outputs_of_rows, put_on, trains

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
MetricFunction = Callable[..., Any]
PUBLISHED_CLASSES = len(PUBLISHED.id_to_name)


def _sgd(parameters: Iterable[Any]) -> Optimizer:
    """The benchmark's default (protocol section 6)."""
    return torch.optim.SGD(parameters, lr=SGD["lr"], momentum=SGD["momentum"], weight_decay=SGD["weight_decay"])


class BaseDeepfakeDetectionModel(PictureHooks, LightningModule, metaclass=LoadsBaseWeights):
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
        evaluation_cropping_strategy: ``resize``, ``crop``, ``multicrop`` or ``as_is``.
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

    Raises:
        InputError: an argument is none of the known ones, or no model has that name.
    """

    def __init__(
        self,
        model_name: str,
        optimizer: OptimizerFactory = _sgd,
        scheduler: str | None = "OneCycleLR",
        model_input_size: int | tuple[int, int] = 224,
        classification_threshold: float = 0.5,
        base_weights: str | None = None,
        training_cropping_strategy: str = "resize",
        evaluation_cropping_strategy: str = "resize",
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
        self._check_hooks()
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

    def _check_hooks(self) -> None:
        """Refuse an objective or a head beside a hook that would keep it from having its effect."""
        ours, objective = BaseDeepfakeDetectionModel, self._objective
        if objective.changes or objective.terms:
            hooks = ("training_step", "forward") if objective.needs_features else ("training_step",)
            check_overrides("model.objective", type(self), ours, hooks)
            if not trains(self.model):
                raise InputError(f"model.objective: {self.head_choice.head[0]} trains nothing, so it has no loss")
        if self._looks_at_rows:
            check_overrides("model.head, model.transform", type(self), ours, ("training_step", "forward"))

    @property
    def _looks_at_rows(self) -> bool:
        """Whether a transform or the head does in training what it does not do in an evaluation."""
        return isinstance(self.model, Classifier) and self.model.needs_rows

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
        self.evaluation_crop = EvaluationCrops(self.evaluation_crop.strategy, self.input_size)
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

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images to normalised floats on their device; floats are finished already and pass unchanged."""
        if images.is_floating_point():
            return images
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        return normalised(images, mean, std)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs of the model, float32 (or float64) (n, outputs).

        Args:
            images: uint8 or finished float images (n, 3, H, W), or stored features of a probe's backbone (n, D).
        """
        if images.ndim == 2:
            # what a frozen backbone gave when it was run over the images once, for all windows
            assert isinstance(self.model, Classifier), "features are stored of probes alone"
            outputs = self.model.classify(images)
        else:
            outputs = self.model(self.normalise(images))
        # what a user's own module computed under autocast is cast here; our heads run in float32 anyway
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs

    # training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a batch. Override to train otherwise; it must return the loss, a scalar tensor."""
        terms = self._terms()
        with_features = any(term.needs_features for term in terms.values())
        outputs, features = self._training_outputs(batch, batch_idx, with_features)
        if not outputs:
            return self.idle.sum()
        labels, generator_ids = batch.labels, batch.generator_ids
        losses = [self._objective.losses(self.task, one, labels, generator_ids).mean() for one in outputs]
        loss = sum(losses[1:], losses[0])
        if terms:
            seen = sorted({0, *self.stage.seen_generator_ids}) if self.stage.n_classes else ()
            earlier = None if self.teacher is None else self.teacher(self, batch.images, with_features)
            rows = Rows(outputs[-1], features, labels, generator_ids, seen, earlier)
            for name, (weight, value) in values_of(terms, rows).items():
                self.log(f"train/{name}", value, batch_size=len(labels))
                loss = loss + weight * value
        self.log("train/loss", loss, prog_bar=True, batch_size=len(labels))
        return loss

    def _terms(self) -> dict[str, Term]:
        own: Any = self.objective_terms.items() if self._objective.terms else ()
        return {**dict(own), **self.window_terms}

    def _training_outputs(
        self, batch: Batch, batch_idx: int, with_features: bool
    ) -> tuple[list[Tensor], Tensor | None]:
        """Outputs that are each given the loss, the last of them the detector's own; and features where needed."""
        if self._looks_at_rows:
            assert isinstance(self.model, Classifier), "or it would not"
            return outputs_of_rows(self.model, batch, batch_idx, self.normalise)
        if not with_features:
            return [self(batch.images)], None
        outputs, features = self.model(self.normalise(batch.images), with_features=True)
        return [outputs], features

    def configure_optimizers(self) -> Any:
        """The optimizer over what trains, stepped each optimizer step by OneCycleLR where asked for."""
        optimizer = self.optimizer_factory([p for p in self.parameters() if p.requires_grad])
        if self.scheduler is None:
            return optimizer
        groups = optimizer.param_groups
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=self._optimizer_steps(),
            cycle_momentum=all(group.get("momentum", 0) > 0 for group in groups),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _optimizer_steps(self) -> int:
        """Optimizer steps of the whole window."""
        trainer = self.attached_trainer
        return self.stage.total_steps if trainer is None else int(trainer.estimated_stepping_batches)

    @property
    def attached_trainer(self) -> Any:
        """The Trainer it stands under; None where there is none, as a further head is trained without one."""
        try:
            return self.trainer
        except RuntimeError:
            return None

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Step the scheduler. Override only for a scheduler that is stepped in a way of its own."""
        super().lr_scheduler_step(scheduler, metric)

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
    """A detector trained on images degraded as the evaluation's are (the soft recipe, protocol section 7)."""

    def train_augmentation(self) -> tuple[Augmentation, ...]:
        """The mandatory evaluation steps without their centre crop, then the stochastic part."""
        return SoftTraining(), self.training_crop


def scores_classes(detector: BaseDeepfakeDetectionModel) -> bool:
    """Whether a subclass makes images' scores of the probabilities of classes in a way of its own."""
    if not isinstance(detector.task, MulticlassTask):
        return False
    by_class = detector.evaluation_type == "multiclass" and fusion_is_overridden(detector)
    return by_class or is_overridden(type(detector), "multiclass_to_binary_prediction")


def fusion_is_overridden(detector: BaseDeepfakeDetectionModel) -> bool:
    """Whether a subclass fuses the scores of an image's crops in a way of its own."""
    return is_overridden(type(detector), "scores_fusion")
