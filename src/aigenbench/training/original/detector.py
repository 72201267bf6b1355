"""The original framework's detector, as its users subclass it, over ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import ModuleDict

from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.predict import PredictBatch
from aigenbench.data.samples.collation import Batch
from aigenbench.data.samples.hooks import is_overridden, refuse_hooks
from aigenbench.errors import InputError
from aigenbench.models import Preprocessing
from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD
from aigenbench.training.detector import base as ours
from aigenbench.training.detector.arguments import NO_HOOKS
from aigenbench.training.detector.base import OptimizerFactory
from aigenbench.training.detector.outputs import ScoredCrops, rows_of_outputs, rows_of_probabilities
from aigenbench.training.detector.records import load_detector
from aigenbench.training.detector.stage import EvaluationOutput, Stage
from aigenbench.training.original.attributes import SettableAttributes, as_factory
from aigenbench.training.original.augmentations import (
    make_baseline_predict_aug,
    make_baseline_test_aug,
    make_baseline_train_aug,
    make_baseline_val_aug,
    make_soft_train_aug,
    pil_crops,
)
from aigenbench.training.original.batches import evaluation_tuple, predict_tuple, training_tuple
from aigenbench.training.original.registering import RegistersMetrics


class AbstractBaseDeepfakeDetectionModel(SettableAttributes, RegistersMetrics, ours.BaseDeepfakeDetectionModel):
    """A detector with the original framework's contract; see docs/hooks.md.

    The model does not exist before ``setup``, which calls ``make_model`` and ``adapt_model_for_training``.

    Args:
        model_name: a name that the model factories know.
        optimizer: makes the optimizer from parameters or parameter groups; a mapping with ``class_path`` and
            ``init_args`` will do, which is what a subclass gets whose own argument has no type.
        scheduler: ``OneCycleLR``, or None.
        model_input_size: pixels a side, or (height, width).
        classification_threshold: a score counts as fake where it is strictly greater.
        base_weights: a checkpoint or state dict to start from.
        logging_initial_step: of the logs; ``experiment_info.logging_initial_step`` sets it.
        training_cropping_strategy: ``resize``, ``random_crop``, ``center_crop`` or ``as_is``.
        evaluation_cropping_strategy: ``resize``, ``crop``, ``multicrop``, ``mixed``, ``tiles`` or ``as_is``.
        training_task: ``binary`` or ``multiclass``.
        evaluation_type: likewise.
        model_args: passed on to the model factory.
        preprocessing: overrides of the normalisation, which is CLIP's for every backbone.
        n_classes: outputs of a multiclass detector; None takes one for real and each published generator (37).

    Raises:
        InputError: an argument is none of the known ones, or a hook is overridden that nothing would call.
    """

    base_weights_when_built = False
    """There is no model then."""

    def __init__(
        self,
        model_name: str,
        optimizer: OptimizerFactory = ours.published_sgd,
        scheduler: str | None = "OneCycleLR",
        model_input_size: int | tuple[int, int] = 224,
        classification_threshold: float = 0.5,
        base_weights: str | None = None,
        logging_initial_step: int = 0,
        training_cropping_strategy: str = "resize",
        evaluation_cropping_strategy: str = "resize",
        training_task: str = "binary",
        evaluation_type: str = "binary",
        model_args: Mapping[str, Any] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        n_classes: int | None = None,
    ) -> None:
        super().__init__(
            model_name=model_name,
            optimizer=as_factory(optimizer),
            scheduler=scheduler,
            model_input_size=model_input_size,
            classification_threshold=classification_threshold,
            base_weights=base_weights,
            training_cropping_strategy=training_cropping_strategy,
            evaluation_cropping_strategy=evaluation_cropping_strategy,
            training_task=training_task,
            evaluation_type=evaluation_type,
            model_args=model_args,
            preprocessing=preprocessing,
            n_classes=n_classes,
        )
        self.logging_initial_step = logging_initial_step
        self.training_metrics = ModuleDict()
        self._is_set_up = False
        self._asked: PredictBatch | None = None
        self._given: list[Tensor] = []

    def _first_model(self) -> nn.Module:
        refuse_hooks(type(self), NO_HOOKS)
        if is_overridden(type(self), "on_before_batch_transfer"):
            raise InputError(
                f"{type(self).__name__}.on_before_batch_transfer would get no tuple: a batch becomes one on its "
                "device; override on_after_batch_transfer"
            )
        return nn.Identity()

    def _first_metrics(self) -> None:
        """None yet: ``setup`` registers them."""

    def _preprocessing(self, overrides: Mapping[str, Any] | None) -> Preprocessing:
        return Preprocessing(CLIP_MEAN, CLIP_STD).for_detector(self.input_size, overrides)

    # life

    def first_setup(self, trainer: pl.Trainer, stage: str = "fit") -> None:
        """Call ``setup`` as a user wrote it, once and before anything needs the model.

        What Lightning then calls before each training and evaluation adapts the model that is there: weights go on
        from window to window.

        Args:
            trainer: its ``datamodule`` is the pipeline.
            stage: ``fit``, ``validate``, ``test`` or ``predict``.
        """
        if self._is_set_up:
            return
        # Lightning's modules keep a weak reference
        object.__setattr__(self, "_early_trainer", trainer)
        self.trainer = trainer
        if isinstance(pipeline := getattr(trainer, "datamodule", None), AIGenBenchPipeline):
            served = pipeline.serving()
            images = pipeline.training_fingerprint(served.plan, served.window)
            self.begin(Stage.at(served.plan, served.window, images=images))
        self.setup(stage)
        if isinstance(self.model, nn.Identity):
            raise InputError(
                f"{type(self).__name__}: setup left no model; call super().setup(stage), or set self.model"
            )
        self._is_set_up = True
        if self.base_weights is not None and not _is_windows_loop(trainer):
            load_detector(self, Path(self.base_weights))
        object.__setattr__(self, "setup", self._set_up_again)
        object.__setattr__(self, "validation_step", partial(self._watched, self.validation_step))
        object.__setattr__(self, "test_step", partial(self._watched, self.test_step))
        object.__setattr__(self, "scores_fusion", partial(self._fused, self.scores_fusion))

    def _watched(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.fused_in_step = False
        return step(*args, **kwargs)

    def _fused(self, fusion: Callable[[Tensor], Any], scores: Tensor) -> Any:
        # an evaluation step that calls it returns scores that are not to be fused once more
        self.fused_in_step = True
        return fusion(scores)

    def setup(self, stage: str) -> None:
        """Make the model, adapt it for training, register metrics."""
        made = self.make_model()
        if isinstance(made, nn.Module):
            self.model = made
        self.adapt_model_for_training()
        self.extra_metrics.clear()
        self.registered_metrics.clear()
        self.training_metrics.clear()
        self.register_metrics()

    def _set_up_again(self, stage: str) -> None:
        self._follow_window()
        if stage == "fit":
            self.adapt_model_for_training()

    def _follow_window(self) -> None:
        pipeline = getattr(self.trainer, "datamodule", None)
        if isinstance(pipeline, AIGenBenchPipeline) and not _is_windows_loop(self.trainer):
            served = pipeline.serving()
            images = pipeline.training_fingerprint(served.plan, served.window)
            self.begin(Stage.at(served.plan, served.window, images=images))

    def configure_callbacks(self) -> list[Any]:
        """As ours; under a Trainer of one's own, the model is made now."""
        self.first_setup(self.trainer, self.trainer.state.fn or "fit")
        return super().configure_callbacks()

    def make_model(self) -> nn.Module:
        """Make ``self.model`` of ``model_name``, and return it."""
        self.model = self._built_model()
        return self.model

    def adapt_model_for_training(self) -> None:
        """Train mode, gradients on; the place to freeze layers. Called at set-up and after each evaluation."""
        self.train()
        for parameter in self.parameters():
            parameter.requires_grad_(True)

    def adapt_model_for_evaluation(self, stage: str) -> None:
        """Evaluation mode. Called before ``validation``, ``test`` and ``predict``."""
        self.eval()

    def on_validation_model_eval(self) -> None:
        """Lightning's hook for the evaluation mode."""
        self.adapt_model_for_evaluation("validation")

    def on_validation_model_train(self) -> None:
        """Lightning's hook for going back."""
        self.adapt_model_for_training()

    def on_test_model_eval(self) -> None:
        """Likewise."""
        self.adapt_model_for_evaluation("test")

    def on_predict_model_eval(self) -> None:
        """Likewise."""
        self.adapt_model_for_evaluation("predict")

    # batches and steps

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """A batch on the device, in the original's form: a tuple whose first is finished floats (n, 3, H, W)."""
        batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if isinstance(batch, PredictBatch):
            self._asked = batch
            self._note_outputs()
            return predict_tuple(self.normalise(batch.batch.images))
        if not isinstance(batch, Batch):
            return batch
        form = training_tuple if self.trainer.training else evaluation_tuple
        return form(batch, self._finished(batch.images))

    def _finished(self, images: Tensor) -> Tensor:
        # stored features of a probe's backbone are no images
        return images if images.ndim == 2 else self.normalise(images)

    def training_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Mean loss of a batch (x, y, generator ids, identifiers), or a mapping with ``loss``."""
        x, y, generator_ids, identifiers = batch[:4]
        outputs = self(x)
        loss = self.task.losses(outputs, y, generator_ids).mean()
        if len(self.training_metrics):
            self._update_metrics(self.task.fake_logits(outputs.detach()).sigmoid(), y, generator_ids, identifiers)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(y))
        return loss

    def evaluation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0, stage: str = "val") -> Any:
        """(predictions, labels, generator ids, identifiers, losses), a row for every crop; probabilities."""
        x, y, generator_ids, identifiers = batch[:4]
        outputs = self(x)
        losses = self.task.evaluation_losses(outputs, y, generator_ids)
        return ScoredCrops.of(self, EvaluationOutput(outputs, y, generator_ids, identifiers, losses))

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """``evaluation_step`` on a validation batch."""
        return self.evaluation_step(batch, batch_idx, dataloader_idx, stage="val")

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """``evaluation_step`` on a test batch."""
        return self.evaluation_step(batch, batch_idx, dataloader_idx, stage="test")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """The model's outputs for the crops ``batch[0]``, or probabilities of being fake: (n,) or (n, 1).

        Of several classes, (n, n_classes).
        """
        return self(batch[0])

    def predicted(self, batch: Any, returned: Any) -> tuple[Tensor, Any, Tensor]:
        """Positions of the images (n,), rows of the crops (m,), and the crops' images (m,)."""
        assert self._asked is not None, "a batch was transferred"
        asked, crops = self._asked, self._asked.batch.crop_to_image
        if not isinstance(returned, Tensor) or returned.ndim not in (1, 2) or len(returned) != len(crops):
            found = f"a tensor {tuple(returned.shape)}" if isinstance(returned, Tensor) else type(returned).__name__
            raise InputError(
                f"{type(self).__name__}.predict_step returned {found} for {len(crops)} crops; expected the model's "
                "outputs, or probabilities of being fake: a tensor with a row for each crop of batch[0]"
            )
        if not is_overridden(type(self), "predict_step") or any(_same(returned, one) for one in self._given):
            return asked.positions, rows_of_outputs(self, returned.float()), crops
        return asked.positions, rows_of_probabilities(self, returned, "predict_step"), crops

    def _note_outputs(self) -> None:
        """Keep what the model gives from now on: what ``predict_step`` returns of it unchanged are no probabilities."""
        self._given.clear()
        for module in (self, self.model):
            if not hasattr(module, "_notes_outputs_for"):
                object.__setattr__(module, "_notes_outputs_for", self._given)
                module.register_forward_hook(_noted)

    # augmentation

    def train_augmentation(self) -> Any:
        """One or two callables: deterministic; stochastic. The last gives a normalised float tensor."""
        return make_baseline_train_aug(self.model_input_size, self.training_cropping_strategy)

    def val_augmentation(self) -> Any:
        """Two callables for validate: before and after cropping."""
        return make_baseline_val_aug()

    def test_augmentation(self) -> Any:
        """Likewise for test."""
        return make_baseline_test_aug()

    def predict_augmentation(self) -> Any:
        """Likewise for predict."""
        return make_baseline_predict_aug()

    def make_eval_crops(self, image: Any) -> Any:
        """The crops of an image that are scored: PIL images; an override returns one image or a sequence."""
        return pil_crops(super().make_eval_crops(image))


class BaseDeepfakeDetectionModel(AbstractBaseDeepfakeDetectionModel):
    """The detector that the original's configs name."""


class SoftTrainAugmentationsModel(BaseDeepfakeDetectionModel):
    """A detector trained on images degraded as the evaluation's are."""

    def train_augmentation(self) -> Any:
        """The soft recipe, then the stochastic part."""
        return make_soft_train_aug(self.model_input_size, self.training_cropping_strategy)


def _noted(module: Any, _: Any, output: Any) -> None:
    if isinstance(output, Tensor):
        module._notes_outputs_for.append(output.detach())


def _same(returned: Tensor, outputs: Tensor) -> bool:
    """Whether they are the same numbers, of whatever shape."""
    given, own = (one.detach().float().cpu().flatten() for one in (returned, outputs))
    return torch.equal(given, own)


def _is_windows_loop(trainer: Any) -> bool:
    """Whether the windows loop uses a Trainer, which loads weights and says where it stands itself."""
    pipeline = getattr(trainer, "datamodule", None)
    return isinstance(pipeline, AIGenBenchPipeline) and pipeline.serving().loaders is not None
