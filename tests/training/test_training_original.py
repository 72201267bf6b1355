"""Files written for the original framework: every hook is called, or refused by name; its configs train."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from torch import nn
from training_harness import arguments, run

from aigenbench.data import AIGenBenchPipeline
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.models import ModelFactoryRegistry
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.detector.arguments import NO_HOOKS, ORIGINAL_ALONE
from aigenbench.training.original import BaseDeepfakeDetectionModel as Adapter
from original_configs import MODELS, PIPELINES, model, pipeline

# every hook that the documentation of the original's detector names
DETECTOR_HOOKS = [
    "setup",
    "make_model",
    "adapt_model_for_training",
    "adapt_model_for_evaluation",
    "register_metrics",
    "training_step",
    "evaluation_step",
    "validation_step",
    "test_step",
    "predict_step",
    "scores_fusion",
    "configure_optimizers",
    "lr_scheduler_step",
    "train_augmentation",
    "val_augmentation",
    "test_augmentation",
    "predict_augmentation",
    "make_eval_crops",
    "make_val_crops",
    "make_test_crops",
    "make_predict_crops",
    "_update_metrics",
]
PIPELINE_HOOKS = [
    "mandatory_train_preprocessing",
    "mandatory_val_preprocessing",
    "mandatory_test_preprocessing",
    "mandatory_predict_preprocessing",
    "make_val_crops",
    "make_test_crops",
    "make_predict_crops",
]
LOADER_HOOKS = ["load_dataset", "get_generators_timeline"]
ATTRIBUTES = [
    "model_name",
    "classification_threshold",
    "optimizer_factory",
    "scheduler_name",
    "model_input_size",
    "base_weights",
    "logging_initial_step",
    "model_args",
    "model",
    "training_cropping_strategy",
    "evaluation_cropping_strategy",
    "training_task",
    "evaluation_type",
    "multiclass_output_mask",
]
OF_THE_PIPELINE = [
    "num_generators",
    "generator_id_to_name",
    "windows_timeline",
    "generators_so_far",
    "available_generators",
    "train_dataset",
    "sliding_windows_definition",
    "train_batch_size",
    "eval_batch_size",
]

RECORDS = """
def recording(name):
    def hook(self, *args, **kwargs):
        with open("called.txt", "a") as lines:
            lines.write(f"{type(self).__name__}.{name}\\n")
        return getattr(super(type(self), self), name)(*args, **kwargs)
    return hook


def overriding(base, names):
    return {name: recording(name) for name in names}
"""

EVERYTHING = (
    RECORDS
    + f"""
import json

from torchmetrics.classification import BinaryCalibrationError

from algorithms import BaseDeepfakeDetectionModel
from lightning_data_modules import AIGenBenchPipeline
from lightning_data_modules.datasets import AIGenBenchDatasetLoader


class Metrics(BaseDeepfakeDetectionModel):
    def register_metrics(self):
        super().register_metrics()
        self._managers_set_metrics(metrics=BinaryCalibrationError(), epoch_only=True)
        facts = {{name: str(getattr(self, name)) for name in {ATTRIBUTES!r}}}
        pipeline = self.trainer.datamodule
        facts |= {{name: str(getattr(pipeline, name)) for name in {OF_THE_PIPELINE!r} if name != "train_dataset"}}
        with open("facts.json", "w") as file:
            json.dump(facts, file)

    def on_train_start(self):
        image, label, generator, identifier = self.trainer.datamodule.train_dataset[3]
        with open("sample.json", "w") as file:
            json.dump([list(image.shape), label, generator, len(self.trainer.datamodule.train_dataset)], file)


M = type("M", (Metrics,), overriding(Metrics, {DETECTOR_HOOKS!r}))
P = type("P", (AIGenBenchPipeline,), overriding(AIGenBenchPipeline, {PIPELINE_HOOKS!r}))
L = type("L", (AIGenBenchDatasetLoader,), overriding(AIGenBenchDatasetLoader, {LOADER_HOOKS!r}))
"""
)


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


@pytest.fixture(scope="module")
def saved(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like, written by ``datasets`` itself."""
    import datasets

    kinds = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["real", "fake"]),
        "generator": datasets.Value("string"),
    }
    splits = {}
    for seed, split in enumerate(("train", "validation")):
        images, names = made.rows(["CycleGAN", "Cascaded Refinement Networks"], 4, 8, seed)
        columns = {
            "image": [{"bytes": data, "path": None} for data in images],
            "label": [int(bool(name)) for name in names],
            "generator": names,
        }
        splits[split] = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
    folder = tmp_path_factory.mktemp("data") / "saved"
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def command(dataset: Path, folder: Path, source: str, *more: str, name: str = "mine") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    one = "--experiment_info.sliding_windows_definition.current_window=0"
    return arguments(dataset, folder, f"--import={folder / f'{name}.py'}", one, *more)


def fit(dataset: Path, folder: Path, source: str, *more: str) -> Path:
    code, _ = run(folder, command(dataset, folder, source, "--model.class_path=mine.M", *more))
    assert code == 0, log(folder)[-3000:]
    return folder / "experiments_data/experiment_x/window_0"


def scores(window: Path) -> np.ndarray:
    return load_predictions(window / "predictions_validate_all.npz").fused_scores


def test_every_hook_is_called(saved: Path, tmp_path: Path) -> None:
    classes = [
        "--model.class_path=mine.M",
        "--data.class_path=mine.P",
        "--data.dataset_loader.class_path=mine.L",
        "--model.evaluation_cropping_strategy=multicrop",
        "--data.augmentation_factor=2",
    ]
    argv = command(saved, tmp_path, EVERYTHING, *classes)
    for what in ("fit", "validate", "test"):
        assert run(tmp_path, argv, command=what)[0] == 0, log(tmp_path)[-3000:]
    facts = yaml.safe_load((tmp_path / "facts.json").read_text())
    assert run(tmp_path, argv, command="predict")[0] == 0, log(tmp_path)[-3000:]
    called = set((tmp_path / "called.txt").read_text().split())
    expected = {f"M.{h}" for h in DETECTOR_HOOKS} | {f"P.{h}" for h in PIPELINE_HOOKS}
    assert expected | {f"L.{h}" for h in LOADER_HOOKS} == called
    assert facts["model_input_size"] == "(24, 24)"
    assert facts["num_generators"] == "3"
    assert facts["generators_so_far"] == "(['CycleGAN'], [2])"
    assert facts["windows_timeline"] == "[['CycleGAN'], ['Cascaded Refinement Networks']]"
    assert yaml.safe_load((tmp_path / "sample.json").read_text())[0] == [24, 24, 3]
    with (tmp_path / "experiments_data/experiment_x/window_0/metrics.csv").open() as lines:
        names = {row["name"] for row in csv.DictReader(lines)}
    assert {"train/BinaryCalibrationError", "validate/growing/BinaryCalibrationError"} <= names


@pytest.mark.parametrize("hook", sorted(ORIGINAL_ALONE | NO_HOOKS))
def test_hooks_that_ours_lacks_are_refused(hook: str) -> None:
    ModelFactoryRegistry().register_model_factory("linear", lambda name, **_: nn.Flatten() if name == "flat" else None)
    cls = type("Mine", (BaseDeepfakeDetectionModel,), {hook: lambda self: None, "__module__": "mine"})
    with pytest.raises(InputError, match=f"Mine.{hook} would never be called"):
        cls("flat")
    assert BaseDeepfakeDetectionModel("flat", model_input_size=8).model_input_size == (8, 8)


@pytest.mark.parametrize("hook", sorted(NO_HOOKS))
def test_loaders_of_ones_own_are_refused(hook: str) -> None:
    adapter = type("Mine", (Adapter,), {hook: lambda self: None, "__module__": "mine"})
    with pytest.raises(InputError, match=f"Mine.{hook} would never be called"):
        adapter("flat")
    own = type("Mine", (AIGenBenchPipeline,), {hook: lambda self: None, "__module__": "mine"})
    with pytest.raises(InputError, match=f"Mine.{hook} would never be called"):
        own(None)


PLAIN = """
from algorithms import BaseDeepfakeDetectionModel
class M(BaseDeepfakeDetectionModel):
    pass
"""
BY_HAND = """
import torch
from algorithms.base_model import BaseDeepfakeDetectionModel
from algorithms.augmentation_pipelines.baseline_augmentations import make_baseline_train_aug, make_baseline_val_aug

class M(BaseDeepfakeDetectionModel):
    def train_augmentation(self):
        return make_baseline_train_aug(self.model_input_size, self.training_cropping_strategy)

    def val_augmentation(self):
        return make_baseline_val_aug()

    def training_step(self, batch, batch_idx, dataloader_idx=0):
        x, y, generator_ids, identifiers = batch
        assert x.dtype == torch.float32 and x.shape[1:] == (3, 24, 24) and x.min() < 0
        return {"loss": torch.nn.functional.binary_cross_entropy_with_logits(self(x).squeeze(1), y.float())}

    def evaluation_step(self, batch, batch_idx, dataloader_idx, stage):
        x, y, generator_ids, identifiers, crop_to_image_index = batch
        assert stage == "val" and len(x) == len(y) == len(crop_to_image_index)
        logits = self(x).squeeze(1)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, y.float(), reduction="none")
        FORM
"""
FORMS = {
    "tuple": "return logits.sigmoid(), y, generator_ids, identifiers, losses",
    "taken apart": (
        "p, *others = super().evaluation_step(batch, batch_idx, dataloader_idx, stage); return (p.clamp(0, 1), *others)"
    ),
    "as it is": "return super().evaluation_step(batch, batch_idx, dataloader_idx, stage)",
    "mapping": (
        "p = logits.sigmoid(); return {f'{kind}_{name}': column for kind in ('crop', 'fused') for name, column in "
        "dict(scores=p, labels=y, generator_ids=generator_ids, identifiers=identifiers, losses=losses).items()} | "
        "{'crop_to_image_index': crop_to_image_index, 'identifier': identifiers}"
    ),
}


@pytest.fixture(scope="module")
def plain(two: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return scores(fit(two, tmp_path_factory.mktemp("plain"), PLAIN))


@pytest.mark.parametrize("form", FORMS)
def test_steps_written_by_hand_give_what_the_default_ones_give(
    two: Path, plain: np.ndarray, tmp_path: Path, form: str
) -> None:
    window = fit(two, tmp_path, BY_HAND.replace("FORM", FORMS[form]))
    assert np.allclose(scores(window), plain, atol=2e-7)


def test_logits_in_a_plain_tuple_are_refused(two: Path, tmp_path: Path) -> None:
    source = BY_HAND.replace("FORM", "return 9 * logits - 4, y, generator_ids, identifiers, losses")
    code, _ = run(tmp_path, command(two, tmp_path, source, "--model.class_path=mine.M"))
    assert code == 2
    assert "Traceback" not in log(tmp_path)
    assert "carries probabilities of being fake in [0, 1]" in log(tmp_path).splitlines()[-1]


FREEZES = """
from torch import nn
from algorithms import BaseDeepfakeDetectionModel

class M(BaseDeepfakeDetectionModel):
    def __init__(self, model_name: str, optimizer, factor: float = 2.0, **rest):
        super().__init__(model_name=model_name, optimizer=optimizer, **rest)
        assert isinstance(self.model, nn.Identity)
        self.factor = factor

    def make_model(self):
        assert self.trainer.datamodule.num_generators == 3
        self.model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 1))
        return self.model

    def adapt_model_for_training(self):
        super().adapt_model_for_training()
        self.model[2].requires_grad_(False)
"""


def test_a_model_of_ones_own_with_frozen_layers(two: Path, tmp_path: Path) -> None:
    import torch

    window = fit(two, tmp_path, FREEZES, "--model.factor=3", "--trainer.max_epochs=2")
    weights = torch.load(window / "final.ckpt", weights_only=True)["state_dict"]
    (tmp_path / "begun").mkdir()
    code, _ = run(
        tmp_path,
        command(
            two,
            tmp_path,
            FREEZES,
            "--model.class_path=mine.M",
            "--model.factor=3",
            "--trainer.max_epochs=2",
            "--experiment_info.experiment_id=y",
            "--model.optimizer.init_args.lr=0.5",
        ),
    )
    assert code == 0, log(tmp_path)[-3000:]
    other = torch.load(tmp_path / "experiments_data/experiment_y/window_0/final.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(weights["model.2.weight"], other["model.2.weight"]), "frozen"
    assert not torch.equal(weights["model.3.weight"], other["model.3.weight"])


LOADER = """
import datetime
from pathlib import Path

import datasets


class Mine:
    # nothing of ours or the original's behind it
    def __init__(self, dataset_path: str):
        self.dataset_path = dataset_path

    def load_dataset(self):
        loaded = datasets.load_from_disk(self.dataset_path)
        # only every second row, so with an index of indices
        return datasets.DatasetDict({k: s.select(range(0, len(s), 1)).sort("label") for k, s in loaded.items()})

    def get_generators_timeline(self):
        years = {"CycleGAN": 2020, "Cascaded Refinement Networks": 2019}
        return {name: datetime.datetime(year, 1, 2) for name, year in years.items()}
"""


@pytest.mark.parametrize("path", ["lightning_data_modules.AIGenBenchPipeline", "aigenbench.data.AIGenBenchPipeline"])
def test_a_loader_of_ones_own(saved: Path, tmp_path: Path, path: str) -> None:
    source = LOADER
    if path.startswith("aigenbench"):
        # ours takes subclasses alone
        base = "from lightning_data_modules.datasets import AIGenBenchDatasetLoader\n"
        source = base + LOADER.replace("class Mine:", "class Mine(AIGenBenchDatasetLoader):")
    data = [f"--data.class_path={path}", "--data.dataset_loader.class_path=loader.Mine"]
    argv = command(saved, tmp_path, source, *data, "--data.augmentation_factor=2", name="loader")
    code, _ = run(tmp_path, argv)
    assert code == 0, log(tmp_path)[-3000:]
    predictions = load_predictions(tmp_path / "experiments_data/experiment_x/window_0/predictions_validate_all.npz")
    assert predictions.windows_timeline[0] == ("Cascaded Refinement Networks",), "the loader's own dates"


WAYS = """
import json

from algorithms import *
from algorithms.augmentation_pipelines.baseline_augmentations import *
from lightning_data_modules import *
from torch import nn, optim, stack
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryAveragePrecision


class P(AIGenBenchPipeline):
    def __init__(self, *args, side: int = 24, **kwargs):
        super().__init__(*args, **kwargs)
        self.side = side

    def mandatory_val_preprocessing(self):
        mandatory = super().mandatory_val_preprocessing()
        return lambda image: mandatory(image).resize((self.side, self.side))


class M(BaseDeepfakeDetectionModel):
    def __init__(self, model_name, optimizer, share=0.5, **kwargs):
        super().__init__(model_name, optimizer, **kwargs)
        self.save_hyperparameters(ignore=["optimizer"])
        self.share, self.scheduler_name, self.model_input_size = share, None, (24, 20)
        self.training_cropping_strategy = "center_crop"

    def setup(self, stage):
        super().setup(stage)
        self.model = nn.Sequential(self.model, nn.Identity())
        told = [stage, self.trainer.max_epochs, self.multiclass_output_mask.tolist()]
        if stage == "fit":
            told.append(self.trainer.estimated_stepping_batches)
        with open(f"{stage}.json", "w") as file:
            json.dump(told, file)

    def train_augmentation(self):
        first, second = make_baseline_train_aug(self.model_input_size, self.training_cropping_strategy)
        return lambda image: second(first(image))

    def register_metrics(self):
        super().register_metrics()
        self._managers_set_metrics(stage="fit", generator_id=None, metrics=BinaryAccuracy(), epoch_only=True)
        self._managers_set_metrics(stage="fit", generator_id=[2], metrics=[BinaryAccuracy()], metrics_group="second")
        self._managers_set_metrics(stage=["validate", "test"], metrics=MetricCollection([BinaryAveragePrecision()]))

    def training_step(self, batch, batch_idx, dataloader_idx=0):
        x, y, generator_ids, identifiers = batch
        assert tuple(x.shape[1:]) == (3, 24, 20)
        outputs = self(x)[:, 0]
        self._update_metrics(outputs.sigmoid(), y, generator_ids, identifiers)
        return None if batch_idx == 1 else self.share * bce(outputs, y.float())

    def evaluation_step(self, batch, batch_idx, dataloader_idx, stage):
        x, y, generator_ids, identifiers, crop_to_image_index = batch
        scores = self(x)[:, 0].sigmoid()
        self._update_metrics(scores, y, generator_ids, identifiers)
        self.log("val_loss", bce(self(x)[:, 0], y.float()), on_epoch=True)
        return scores, y.float(), generator_ids.int(), identifiers.tolist(), 0.25

    def configure_optimizers(self):
        optimizer = self.optimizer_factory([{"params": self.model.parameters(), "lr": 0.02}])
        schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": schedule, "monitor": "val_loss"}
"""


def test_ways_of_writing(two: Path, tmp_path: Path) -> None:
    more = ["--data.class_path=mine.P", "--data.side=22", "--model.share=0.7", "--trainer.max_epochs=2"]
    optimizer = ["--model.optimizer.class_path=torch.optim.Adam", "--model.optimizer.init_args.lr=0.1"]
    window = fit(two, tmp_path, WAYS, *more, *optimizer)
    assert yaml.safe_load((tmp_path / "fit.json").read_text()) == ["fit", 2, [True, False, True], 4]
    # and as what it is made again to be evaluated
    argv = command(two, tmp_path, WAYS, "--model.class_path=mine.M", *more, *optimizer)
    assert run(tmp_path, argv, command="validate")[0] == 0, log(tmp_path)[-3000:]
    assert yaml.safe_load((tmp_path / "validate.json").read_text())[0] == "validate"
    assert (load_predictions(window / "predictions_validate_all.npz").fused_losses == 0.25).all()
    with (window / "metrics.csv").open() as lines:
        names = {row["name"] for row in csv.DictReader(lines)}
    assert "validate/growing/BinaryAveragePrecision" in names
    assert {name for name in names if "BinaryAccuracy" in name} == {
        "train/generators/CycleGAN/BinaryAccuracy",
        "train/second/BinaryAccuracy/generators_2_epoch",
        "train/second/BinaryAccuracy/generators_2_step",
    }


CLASSES = ["--model.training_task=multiclass", "--model.evaluation_type=multiclass"]
PREDICTS = {
    "the default": ([], ""),
    "outputs": ([], "def predict_step(self, batch, batch_idx, dataloader_idx=0): return self.model(batch[0])"),
    "scores": ([], "def predict_step(self, batch, *rest): return super().predict_step(batch, *rest).sigmoid()"),
    "classes": (CLASSES, "def multiclass_to_binary_prediction(self, scores): return scores[:, 1:].max(1).values / 2"),
    "fused classes": (CLASSES, "def scores_fusion(self, scores): return (scores ** 2).sum(0) / (scores ** 2).sum()"),
}


@pytest.mark.parametrize("name", PREDICTS)
def test_predictions_score_as_evaluations_do(two: Path, tmp_path: Path, name: str) -> None:
    options, hook = PREDICTS[name]
    source = PLAIN.replace("pass", hook or "pass") + (
        "from lightning_data_modules import AIGenBenchPipeline\n"
        "class P(AIGenBenchPipeline):\n"
        "    def mandatory_val_preprocessing(self):\n"
        "        return None\n"
    )
    more = ["--data.class_path=mine.P", *options]
    evaluated = scores(fit(two, tmp_path, source, *more))
    argv = command(two, tmp_path, source, "--model.class_path=mine.M", *more)
    assert run(tmp_path, argv, command="predict")[0] == 0, log(tmp_path)[-3000:]
    with (tmp_path / "experiments_data/experiment_x/window_0/predictions_predict.csv").open() as lines:
        predicted = [float(row["score"]) for row in csv.DictReader(lines)]
    assert np.allclose(np.sort(predicted), np.sort(evaluated), atol=1e-6)


def test_scores_that_a_step_fused_are_not_fused_again(two: Path, tmp_path: Path) -> None:
    crops = "--model.evaluation_cropping_strategy=multicrop"
    fusion = "def scores_fusion(self, scores): return scores.mean() ** 2\n"
    plain = scores(fit(two, tmp_path / "plain", PLAIN.replace("pass", fusion), crops))
    by_hand = """
        images = [crop_to_image_index == k for k in range(int(crop_to_image_index[-1]) + 1)]
        fused = torch.stack([self.scores_fusion(logits.sigmoid()[rows]) for rows in images])
        first = [int(rows.nonzero()[0]) for rows in images]
        return fused, y[first], generator_ids[first], identifiers[first], [0.0] * len(first)"""
    source = BY_HAND.replace("        FORM", by_hand) + f"    {fusion}"
    assert np.allclose(scores(fit(two, tmp_path / "mine", source, crops)), plain, atol=2e-7)


REFUSED = {
    "two optimizers": (
        "def configure_optimizers(self): return [self.optimizer_factory(self.parameters()) for _ in range(2)]",
        "configure_optimizers returned several optimizers",
    ),
    "a batch before it is one": (
        "def on_before_batch_transfer(self, batch, dataloader_idx): return batch",
        "M.on_before_batch_transfer would get no tuple",
    ),
    "a tensor to be cropped": (
        "def val_augmentation(self): return super().val_augmentation()[1], lambda tensor: tensor",
        "normalise in the second, which sees each crop",
    ),
    "a fusion that is none": ("def scores_fusion(self, scores): return scores.sum() + 1", "M.scores_fusion returned"),
    "classes as labels": (
        "def evaluation_step(self, *args, **kwargs): p, y, g, i, l = super().evaluation_step(*args, **kwargs); "
        "return p, g, g, i, l",
        "labels that are neither 0 (real) nor 1 (fake)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_a_line(two: Path, tmp_path: Path, name: str) -> None:
    hook, told = REFUSED[name]
    code, _ = run(tmp_path, command(two, tmp_path, PLAIN.replace("pass", hook), "--model.class_path=mine.M"))
    assert code == 2
    assert "Traceback" not in log(tmp_path)
    assert told in log(tmp_path).splitlines()[-1]


def test_metrics_that_cannot_be_told_apart_or_give_no_number_are_refused() -> None:
    from torchmetrics.classification import BinaryAUROC, BinaryConfusionMatrix

    from aigenbench.training.original.metrics import registered

    for metrics, generator_id, told in (
        (BinaryConfusionMatrix(), "*", "gives a Tensor of shape \\(2, 2\\); expected one number"),
        (BinaryAUROC(), "CycleGAN", "generator_id is '\\*' for all images"),
        ({"auroc": BinaryAUROC()}, "*", "'auroc' is one of aigenbench's own"),
        ({"mine": 3}, "*", "expected a torchmetrics metric"),
    ):
        with pytest.raises(InputError, match=told):
            registered(None, generator_id, metrics, "default", False)
    (one,), (other,) = (registered(stage, "*", BinaryAUROC(), "default", False) for stage in ("fit", None))
    assert one.clashes(other)
    assert not one.clashes(registered("test", "*", BinaryAUROC(), "default", False)[0])


def test_heads_beside_a_detector_of_the_originals(two: Path, tmp_path: Path) -> None:
    source = (
        WAYS.replace("(24, 20)", "(32, 32)").replace("(3, 24, 20)", "x.shape[1:]").split("    def configure_opt")[0]
    )
    source = source.replace("        self.model = nn.Sequential(self.model, nn.Identity())\n", "")
    source = source.replace("return lambda image: second(first(image))", "return first, second")
    probe = [
        "--model.model_name=timm/test_vit_probe",
        "--model.model_args={pretrained: false}",
        "--data.features=cache",
    ]
    heads = "--experiment_info.heads=[{name: same, lr: 0.05}, {name: other, lr: 0.5}]"
    window = fit(two, tmp_path, source, *probe, heads)
    folder = tmp_path / "experiments_data"
    assert np.array_equal(scores(window), scores(folder / "experiment_x_same/window_0"))
    assert not np.array_equal(scores(window), scores(folder / "experiment_x_other/window_0"))


def test_normalisation_is_clips_whatever_the_backbone(two: Path, tmp_path: Path) -> None:
    import torch

    argv = arguments(
        two,
        tmp_path,
        "--model.model_name=timm/test_vit_tune",
        "--model.model_args={pretrained: false}",
        "--model.model_input_size=32",
        "--experiment_info.sliding_windows_definition.current_window=0",
    )
    for name, path in (("original", "algorithms.BaseDeepfakeDetectionModel"), ("ours", "BaseDeepfakeDetectionModel")):
        more = [f"--model.class_path={path}", f"--experiment_info.experiment_id={name}"]
        assert run(tmp_path, [*argv, *more])[0] == 0, log(tmp_path)[-3000:]
    means = [
        torch.load(tmp_path / f"experiments_data/experiment_{name}/window_0/final.ckpt", weights_only=True)[
            "preprocessing"
        ]["mean"][0]
        for name in ("original", "ours")
    ]
    assert means == [0.48145466, 0.5]


@pytest.fixture(scope="module")
def sixteen(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generators in one window, one overall batch of 512 with four copies."""
    return made.default(tmp_path_factory.mktemp("data") / "sixteen", generators=4, fakes_each=16)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, *PIPELINES])
def test_the_originals_configs_train(sixteen: Path, tmp_path: Path, name: str) -> None:
    windows = name if name in PIPELINES else "sliding_windows"
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline(PIPELINES[windows])))
    configs = ["--config=pipeline.yaml"]
    kind = "tune"
    if name in MODELS:
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(model(name)))
        configs.append("--config=model.yaml")
        kind = name.split("_")[-2]
    tiny = [
        f"--model.model_name=timm/test_vit_{kind}",
        "--model.model_args={pretrained: false}",
        "--model.model_input_size=32",
    ]
    paths = [f"--dataset_path={sixteen}", "--experiment_info.experiment_id=x", "--data.num_workers=0"]
    code, _ = run(tmp_path, [*configs, *tiny, *paths])
    assert code == 0, log(tmp_path)[-3000:]
    window = tmp_path / "experiments_data/experiment_x/window_0"
    assert np.isfinite(scores(window)).all()
    assert "optimizer steps" in log(tmp_path)
    shutil.rmtree(tmp_path / "experiments_data")
