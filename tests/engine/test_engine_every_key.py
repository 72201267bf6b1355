"""Every documented key set to another value: something is seen to change, or a line says why nothing does."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from aigenbench.config.experiment import experiment_info
from aigenbench.config.layer import SECTIONS, layer
from aigenbench.engine.assembly.objects import NAMED
from aigenbench.engine.assembly.request import Request
from aigenbench.engine.assembly.run import Run
from aigenbench.engine.assembly.signatures import parameters
from aigenbench.errors import InputError
from aigenbench.models.weights.locate import use_weights_folder, weights_folder
from aigenbench.training.detector.outputs import ScoredCrops
from aigenbench.training.detector.stage import EvaluationOutput, Stage
from aigenbench.training.lightning import trainers
from aigenbench.training.loop import commands
from aigenbench.training.window.evaluations import named_weights
from aigenbench.training.window.inputs import Setup, set_up

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
BASE: dict[str, Any] = {
    "model": {"model_name": "small_cnn_tune", "model_input_size": 16, "model_args": {"pretrained": False}},
    "data": {"num_workers": 0, "augmentation_factor": 2},
    "trainer": {"accelerator": "cpu", "logger": False},
    "experiment_info": {"experiment_id": "x", "sliding_windows_definition": {"n_generators_per_window": 2}},
}


class Seen:
    """What can be seen of a run without training, made when it is asked for."""

    def __init__(self, *values: dict[str, Any]) -> None:
        layers = (layer("changed", one) for one in values)
        self.run: Run = Request((layer("base", BASE), *layers)).run("fit")

    def setup(self) -> Setup:
        return set_up(self.run, "train")

    def detector(self) -> Any:
        return self.setup().detector

    def pipeline(self) -> Any:
        return self.setup().pipeline

    def plan(self) -> Any:
        """Windows, their training rows, and the evaluation's."""
        plan = self.setup().plan
        rows = [plan.training.rows(k).tolist() for k in range(len(plan.windows))]
        return plan.windows, rows, plan.evaluation.ids.tolist()

    def sample(self) -> Any:
        """A training sample of a second copy in a second epoch."""
        setup = self.setup()
        return setup.pipeline.training_samples(setup.plan, setup.detector, 1)[(0, 1, 1)].crops[0]

    def batch(self) -> Any:
        """The first images of an evaluation, as the model is given them."""
        setup = self.setup()
        batch = next(iter(setup.pipeline.evaluation_loader(setup.plan, setup.detector, "validate")))
        return setup.detector.normalise(batch.images)

    def steps(self) -> Any:
        """Optimizer steps of an epoch."""
        pipeline = self.pipeline()
        return pipeline.arithmetic().steps(51, pipeline.augmentation_factor)

    def optimizer(self) -> Any:
        """The optimizer's class and arguments, and whether a scheduler is beside it."""
        detector = self.detector()
        detector.begin(Stage(total_steps=5))
        made = detector.configure_optimizers()
        optimizer = made["optimizer"] if isinstance(made, dict) else made
        arguments = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        return type(optimizer), type(made), str(arguments)

    def scores(self) -> Any:
        """Shape of what an evaluation step's hooks are given as scores."""
        detector, rows = self.detector(), torch.zeros(2, dtype=torch.int64)
        output = EvaluationOutput(torch.zeros(2, detector.n_outputs), rows, rows, rows, rows.float())
        return tuple(ScoredCrops.of(detector, output)[0].shape)

    def weights(self) -> Any:
        return torch.cat([value.float().flatten() for value in self.detector().state_dict().values()])

    def trained(self) -> Any:
        return [name for name, parameter in self.detector().named_parameters() if parameter.requires_grad]

    def begun(self) -> Any:
        """What a fit is about to begin: its windows' folders, the windows, when checkpoints come, the first step."""
        told: list[Any] = []

        class Stopped(commands.WindowsLoop):
            def run(self, windows: Any) -> None:
                folder = self.experiment.window_folder(0).absolute()
                told.extend([str(folder), windows, self.rule, self._logged_before(0, None, {})])  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commands, "WindowsLoop", Stopped)
            commands.fit(self.run)
        return told

    def stored(self) -> Any:
        """What is stored by an evaluation."""
        self.batch()
        return sorted(path.name for path in Path(self.pipeline().cache_folder).glob("*"))

    def files(self) -> Any:
        return self.pipeline().predict_set(lambda: self.setup().plan).table.split

    def callbacks(self) -> Any:
        return [type(one).__name__ for one in self.run.trainer_arguments()["callbacks"]]


class Row(NamedTuple):
    """How a key is tried.

    Attributes:
        value: another valid one.
        seen: where it shows, or the words with which it is refused where it can have no effect.
        with_: what else it takes to have an effect.
    """

    value: Any
    seen: Callable[[Seen], Any] | str
    with_: dict[str, Any] = {}


MULTICLASS = {"model": {"training_task": "multiclass"}}
PROBE = {"model": {"model_name": "small_cnn_probe"}}
RESNET = {"model": {"model_name": "timm/test_resnet_probe"}}
CACHED = {"data": {"features": "cache"}}
MODEL = {
    "model_name": Row("small_cnn_probe", Seen.trained),
    "optimizer": Row({"class_path": "AdamW", "init_args": {"lr": 0.3}}, Seen.optimizer),
    "scheduler": Row(None, Seen.optimizer),
    "model_input_size": Row([24, 16], Seen.batch),
    "classification_threshold": Row(0.25, lambda seen: seen.detector().classification_threshold),
    "base_weights": Row("weights.ckpt", lambda seen: named_weights(seen.run)),
    "training_cropping_strategy": Row("center_crop", Seen.sample),
    "evaluation_cropping_strategy": Row("crop", Seen.batch),
    "training_task": Row("multiclass", lambda seen: seen.detector().n_outputs),
    "evaluation_type": Row("multiclass", Seen.scores, MULTICLASS),
    "model_args": Row({"channels_last": True}, lambda seen: [w.stride() for w in seen.detector().model.parameters()]),
    "finetune": Row("bias", Seen.trained),
    "objective": Row("auxiliary", Seen.trained),
    "features": Row({"layers": [1]}, lambda seen: seen.detector().model.layout, RESNET),
    "backbones": Row(["timm/test_resnet"], lambda seen: seen.detector().model.layout, PROBE),
    "head": Row("mlp", Seen.trained),
    "transform": Row("simlbr", lambda seen: seen.detector().head_choice.transforms),
    "n_classes": Row(40, lambda seen: seen.detector().n_outputs, MULTICLASS),
    "preprocessing": Row({"mean": [0.1, 0.1, 0.1]}, Seen.batch),
}
DATA = {
    "dataset_loader": Row({"dataset_path": "other"}, Seen.plan),
    "train_batch_size": Row(8, Seen.steps),
    "eval_batch_size": Row(5, lambda seen: len(seen.batch())),
    "num_workers": Row(3, lambda seen: seen.pipeline().num_workers),
    "train_subset_size": Row(6, Seen.plan),
    "validation_subset_size": Row(8, Seen.plan),
    "augmentation_factor": Row(40, Seen.steps),
    "deterministic_augmentations": Row(False, Seen.sample),
    "augmentations_base_seed": Row(1, Seen.sample),
    "maximum_processing_size": Row(20, Seen.batch),
    "evaluation_jpeg": Row("uniform", Seen.batch),
    "timeline": Row("timeline.csv", "holds none of the 1 generators that timeline timeline"),
    "predict_path": Row("picture.png", Seen.files),
    "cache": Row("evaluation", Seen.stored),
    "cache_folder": Row(
        "elsewhere", lambda seen: (seen.stored(), Path("elsewhere").is_dir()), {"data": {"cache": "all"}}
    ),
    "orientation": Row("per_copy", Seen.sample),
    "features": Row("cache", lambda seen: type(seen.setup().features), PROBE),
    "features_dtype": Row("bfloat16", lambda seen: seen.pipeline().features_dtype, PROBE | CACHED),
}
INFO = {
    "experiment_id": Row("other", Seen.begun),
    "experiment_name_prefix": Row("trial_", Seen.begun),
    "window_name_prefix": Row("step_", Seen.begun),
    "experiments_data_folder": Row("elsewhere", Seen.begun),
    "logging_initial_step": Row(1000, Seen.begun),
    "checkpoint_every_n_minutes": Row(3, Seen.begun),
    "checkpoint_every_n_steps": Row(2, Seen.begun),
    "heads": Row([{"lr": 0.5}], "heads are trained on stored features"),
    "extends": Row("nowhere", "no experiment nowhere"),
    "strategy": Row("new_window", Seen.plan),
    "sliding_windows_definition.n_generators_per_window": Row(3, Seen.plan),
    "sliding_windows_definition.benchmark_type": Row("continual_learning", Seen.plan),
    "sliding_windows_definition.current_window": Row(1, Seen.begun),
}
SECTION = {
    "trainer": Row({"max_epochs": 3}, lambda seen: seen.setup().epochs),
    "model": Row({"model_name": "small_cnn_probe"}, Seen.trained),
    "data": Row({"train_batch_size": 8}, Seen.steps),
    "dataset_path": Row("other", Seen.plan),
    "experiment_info": Row({"experiment_id": "other"}, Seen.begun),
    "seed_everything": Row(7, Seen.weights),
    "checkpoint_callback": Row({"save_top_k": 1}, Seen.callbacks),
    "metrics": Row({"mine": "numpy.mean"}, lambda seen: list(seen.detector().configured_metrics)),
    "ckpt_path": Row("weights.ckpt", lambda seen: named_weights(seen.run)),
    "weights_dir": Row("elsewhere", lambda seen: str(weights_folder())),
    "imports": Row(["mark.py"], lambda seen: (os.environ.pop("MARKED", None), seen.run.config["imports"])),
}
TABLES = {
    "## Sections": ("", SECTION),
    "### `model.init_args`": ("model", MODEL),
    "### `data.init_args`": ("data", DATA),
    "### `experiment_info`": ("experiment_info", INFO),
}
ROWS = [(section, key, row) for section, rows in TABLES.values() for key, row in rows.items()]


@pytest.fixture(scope="module")
def place(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two data sets and whatever else the rows name."""
    folder = tmp_path_factory.mktemp("keys")
    made.default(folder / "data")
    made.default(folder / "other", generators=4)
    (folder / "timeline.csv").write_text("generator,date\nA new one,2030-01-01\n")
    (folder / "picture.png").write_bytes(made.encoded(made.image(np.random.default_rng(0), False)))
    (folder / "mark.py").write_text("import os\nos.environ['MARKED'] = 'yes'\n")
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(place)
    monkeypatch.setitem(BASE, "dataset_path", "data")
    yield
    use_weights_folder(None)


def as_layer(section: str, key: str, value: Any) -> dict[str, Any]:
    for part in reversed([part for part in (section, *key.split(".")) if part]):
        value = {part: value}
    return value


def is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray | torch.Tensor):
        return a.shape == b.shape and bool((a == b).all())
    return bool(a == b)


def documented(title: str) -> set[str]:
    """The keys in the first column of the table under a title."""
    rows = re.findall(r"(?m)^\| (.*?) \|", PAGE.partition(f"{title}\n")[2].partition("\n#")[0])[1:]
    return {key for row in rows for key in re.findall(r"`([\w.]+)`", row)}


@pytest.mark.parametrize("title", TABLES)
def test_every_documented_key_is_tried_here(title: str) -> None:
    assert documented(title) == set(TABLES[title][1])


def test_every_argument_is_documented() -> None:
    assert documented("## Sections") == set(SECTIONS)
    assert documented("### `model.init_args`") == set(parameters(NAMED["model"]).defaults)
    assert documented("### `data.init_args`") == set(parameters(NAMED["data"]).defaults)
    info = experiment_info({"sliding_windows_definition": {}})
    windows = {f"sliding_windows_definition.{key}" for key in vars(info.sliding_windows_definition)}
    assert documented("### `experiment_info`") == (set(vars(info)) - {"sliding_windows_definition"}) | windows


@pytest.mark.parametrize(("section", "key", "row"), ROWS, ids=[f"{s}.{k}".lstrip(".") for s, k, _ in ROWS])
def test_another_value_is_seen(section: str, key: str, row: Row) -> None:
    changed = as_layer(section, key, row.value)
    if isinstance(row.seen, str):
        with pytest.raises(InputError, match=row.seen):
            Seen(changed).setup()
        return
    before = row.seen(Seen(row.with_))
    assert not is_equal(before, row.seen(Seen(row.with_, changed)))


@pytest.mark.parametrize(
    ("preprocessing", "told"),
    [
        ({"interpolation": "bicubic"}, "interpolation: 'bicubic' would change nothing"),
        ({"input_size": 24}, "contradicts model_input_size"),
        ({"size": 3}, "unknown field 'size'"),
    ],
)
def test_preprocessing_that_cannot_be_had_is_refused(preprocessing: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Seen(as_layer("model", "preprocessing", preprocessing)).setup()


def test_the_other_field_of_preprocessing() -> None:
    assert not is_equal(Seen(as_layer("model", "preprocessing", {"std": [0.1, 0.1, 0.1]})).batch(), Seen().batch())


def test_a_binary_detector_has_no_classes() -> None:
    with pytest.raises(InputError, match=r"model\.n_classes: a binary detector has one output"):
        Seen(as_layer("model", "n_classes", 40)).setup()


# of the Trainer: values other than the defaults, which Lightning's own Trainer is given
PASSED: dict[str, Any] = {
    "accelerator": "gpu",
    "strategy": "ddp",
    "devices": 2,
    "num_nodes": 2,
    "precision": "bf16-mixed",
    "accumulate_grad_batches": 3,
    "gradient_clip_val": 2.0,
    "gradient_clip_algorithm": "value",
    "deterministic": True,
    "benchmark": True,
    "inference_mode": False,
    "profiler": "simple",
    "detect_anomaly": True,
    "sync_batchnorm": True,
    "check_val_every_n_epoch": 4,
    "log_every_n_steps": 7,
    "min_epochs": 1,
    "enable_model_summary": True,
    "reload_dataloaders_every_n_epochs": 2,
    "plugins": ["a plugin"],
    "callbacks": [pl.Callback()],
    "enable_autolog_hparams": False,
}
# what the windows loop honours itself, and where that is tested
ELSEWHERE = {
    "max_epochs": "above, as the section's key",
    "limit_train_batches": "tests/training/test_training_epochs.py",
    "logger": "tests/training/test_training_tracking.py",
    "enable_progress_bar": "tests/training/test_training_trainers.py",
}
REFUSED = {
    "fast_dev_run": True,
    "overfit_batches": 0.5,
    "max_steps": 3,
    "min_steps": 3,
    "max_time": "00:00:01:00",
    "limit_val_batches": 2,
    "limit_test_batches": 2,
    "limit_predict_batches": 2,
    "val_check_interval": 0.5,
    "barebones": True,
}
WITHOUT_EFFECT = {
    "enable_checkpointing": False,
    "num_sanity_val_steps": 2,
    "default_root_dir": "elsewhere",
    "model_registry": "mine",
    "use_distributed_sampler": False,
}


def test_every_argument_of_the_trainer_is_tried_here() -> None:
    tried = [*PASSED, *ELSEWHERE, *REFUSED, *WITHOUT_EFFECT]
    assert sorted(tried) == sorted(set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"})
    section = PAGE.partition("### `trainer`\n")[2].partition("\n## ")[0]
    for key in (*REFUSED, *WITHOUT_EFFECT):
        assert key in section, f"docs/configuration.md says nothing of trainer.{key}"


def test_the_trainer_is_given_what_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(trainers.pl, "Trainer", lambda **arguments: given.update(arguments) or MagicMock())
    trainers.make_trainer(PASSED, tmp_path, 1, [], "", [])
    assert {key: given[key] for key in PASSED} == PASSED


@pytest.mark.parametrize(("key", "value"), REFUSED.items())
def test_what_would_contradict_the_windows_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"trainer\.{key} = .* is not supported; "):
        Seen(as_layer("trainer", key, value)).setup()


@pytest.mark.parametrize(("key", "value"), WITHOUT_EFFECT.items())
def test_a_warning_says_why_there_is_no_effect(key: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    Seen(as_layer("trainer", key, value)).setup()
    assert re.search(rf"trainer\.{key} = .* has no effect: \w+", caplog.text)
