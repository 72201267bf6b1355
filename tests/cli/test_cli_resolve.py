from __future__ import annotations

import importlib.util
import sys

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from aigenbench.cli.parser import resolve
from aigenbench.errors import InputError

PIPELINE = "training_configurations/benchmark_pipelines/base_benchmark_sliding_windows.yaml"
MODEL = "training_configurations/RN50_clip/RN50_clip_tune_resize.yaml"
BASE = ["--config", PIPELINE, "--config", MODEL]
# a class for `--model` that no one has to build
USERS = """
import torch
from algorithms import BaseDeepfakeDetectionModel
from algorithms.model_factory_registry import ModelFactoryRegistry

class Mine(BaseDeepfakeDetectionModel):
    def __init__(self, extra: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra

class Bare(BaseDeepfakeDetectionModel):
    def __init__(self, model_name: str, seen_as: str = "x"):
        super().__init__(model_name)

def make(model_name, pretrained=True, **kwargs):
    return torch.nn.Linear(3, kwargs["num_classes"]) if model_name == "users_own" else None

ModelFactoryRegistry().register_model_factory("users", make)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def write(folder):
    def write(text, name="local_config.yaml"):
        (folder / name).write_text(text)
        return ["--config", name]

    return write


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "users_detector.py"
    path.write_text(USERS)
    return ["--import", str(path)]


def at(config, key):
    for part in key.split("."):
        config = config[int(part)] if isinstance(config, tuple | list) else config[part]
    return config


def value(arguments, key, base=BASE):
    return at(resolve([*base, *arguments], "fit").config, key)


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        ("", "model.init_args.model_name", "RN50_tune"),
        ("", "trainer.accumulate_grad_batches", 8),
        ("--trainer.max_epochs 3", "trainer.max_epochs", 3),
        ("--trainer.devices 2", "trainer.devices", 2),
        ("--trainer.precision 16", "trainer.precision", 16),
        ("--trainer.precision bf16-mixed", "trainer.precision", "bf16-mixed"),
        ("--trainer.enable_progress_bar no", "trainer.enable_progress_bar", False),
        ("--trainer.strategy ddp", "trainer.strategy", "ddp"),
        ("--trainer.strategy.class_path DDPStrategy --trainer.strategy.process_group_backend gloo",
         "trainer.strategy.init_args.process_group_backend", "gloo"),
        ("--trainer.logger false", "trainer.logger", False),
        ("--model.model_name 5", "model.init_args.model_name", "5"),
        ("--model.model_input_size [96,64]", "model.init_args.model_input_size", (96, 64)),
        ("--model.base_weights null", "model.init_args.base_weights", None),
        ("--model.model_args.pretrained false", "model.init_args.model_args.pretrained", False),
        ("--model.optimizer.lr 1e-5", "model.init_args.optimizer.init_args.lr", 1e-5),
        ("--model.preprocessing.mean [0.5,0.5,0.5]", "model.init_args.preprocessing.mean", (0.5, 0.5, 0.5)),
        ("--model SoftTrainAugmentationsModel", "model.class_path", "aigenbench.training.SoftTrainAugmentationsModel"),
        ("--model algorithms.SoftTrainAugmentationsModel", "model.class_path",
         "aigenbench.training.original.SoftTrainAugmentationsModel"),
        ("--data.train_subset_size 0.5", "data.init_args.train_subset_size", 0.5),
        ("--data.train_subset_size 100", "data.init_args.train_subset_size", 100),
        ("--data.predict_path 2024 --trainer.max_epochs 2", "data.init_args.predict_path", "2024"),
        ("--data.predict_path 2024 --trainer.max_epochs 2", "trainer.max_epochs", 2),
        ("--experiment_info.experiment_id 123_4", "experiment_info.experiment_id", "123_4"),
        ("--experiment_info.experiment_id 7", "experiment_info.experiment_id", "7"),
        ("--experiment_info.sliding_windows_definition.current_window 2",
         "experiment_info.sliding_windows_definition.n_generators_per_window", 4),
        ("--checkpoint_callback.save_top_k 3", "checkpoint_callback.save_top_k", 3),
        ("", "checkpoint_callback", None),
        ("--dataset_path /d", "data.init_args.dataset_loader.init_args.dataset_path", "/d"),
        ("--data.dataset_loader.dataset_path /d", "dataset_path", "/d"),
        ("--seed_everything 3", "seed_everything", 3),
    ],
)  # fmt: skip
def test_what_is_typed_is_what_counts(arguments, key, expected):
    assert value(arguments.split(), key) == expected


def test_the_command_line_wins_wherever_it_stands(write):
    local = write("trainer: {max_epochs: 5}\ndata: {train_batch_size: 7}\n")
    assert value(local, "trainer.max_epochs") == 5
    assert value(local, "data.init_args.train_batch_size") == 7
    assert value([], "trainer.max_epochs", ["--trainer.max_epochs", "9", *BASE, *local]) == 9


def test_an_optimizer_of_another_class_keeps_what_it_also_takes(caplog):
    optimizer = value(["--model.optimizer", "AdamW", "--model.optimizer.lr", "0.1"], "model.init_args.optimizer")
    assert optimizer["class_path"] == "torch.optim.AdamW"
    assert {k: optimizer["init_args"][k] for k in ("lr", "weight_decay")} == {"lr": 0.1, "weight_decay": 1e-4}
    assert "does not take momentum: dropped" in caplog.text


def test_an_optimizer_takes_nothing_from_a_default_that_it_replaces():
    base = ["--model.model_name", "RN50_tune"]
    named = value(["--model.optimizer", "AdamW"], "model.init_args.optimizer.init_args", base)
    assert (named["weight_decay"], named["lr"]) == (0.01, 0.001)
    benchmark = value([], "model.init_args.optimizer", base)
    assert benchmark["class_path"] == "torch.optim.SGD"
    assert {k: benchmark["init_args"][k] for k in ("lr", "momentum", "weight_decay")} == {
        "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4,
    }  # fmt: skip
    assert value(["--model.optimizer.lr=2"], "model.init_args.optimizer.init_args.momentum", base) == 0.9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--trainer.max_epoch 3", "unknown key trainer.max_epoch (on the command line); did you mean 'max_epochs'"),
        ("--trainer.max_epochs abc", "trainer.max_epochs (on the command line): expected int or null, found 'abc'"),
        ("--trainer.max_epochs=", "trainer.max_epochs (on the command line): expected int or null, found ''"),
        ("--trainer.max_epochs+=3", "appends to a list"),
        ("--trainer.precision bf16_mixed", "did you mean 'bf16-mixed'"),
        ("--trainer.strategy.class_path DDPStrateg", "no class 'DDPStrateg'"),
        ("--trainer.logger.0.sav_dir x", "unknown key trainer.logger.0.init_args.sav_dir"),
        ("--trainer.callbacks+=LearningRateMonito", "did you mean 'LearningRateMonitor'"),
        ("--trainer.callbacks=[{class:_EarlyStopping}]", "expected class_path and init_args or null, found"),
        ("--trainer.callbacks+=torch.nn.Linear", "trainer.callbacks.0: expected a callback such as"),
        ("--trainer.logger=torch.nn.Linear", "trainer.logger: expected a logger such as TensorBoardLogger"),
        ("--model.optimizer=torch.optim.lr_scheduler.StepLR", "model.init_args.optimizer: expected an optimizer such"),
        ("--trainer.callbacks+=pytorch_lightning.callbacks.Timer", "did you mean 'lightning.pytorch.callbacks.Timer'?"),
        ("--model.modle_name x", "did you mean 'model_name'"),
        ("--model.clas_path x", "unknown key model.init_args.clas_path"),
        ("--model.model_input_size abc", "model.init_args.model_input_size (on the command line): expected int or tup"),
        ("--model nope.Nope", "no class 'nope.Nope': ModuleNotFoundError: No module named 'nope'"),
        ("--model aigenbench.training.BaseDeepFakeDetectionModel", "did you mean 'BaseDeepfakeDetectionModel'"),
        ("--model torch.optim.SGD", "model.class_path: expected a subclass of BaseDeepfakeDetectionModel"),
        ("--model.optimizer Adan", "did you mean 'Adam'"),
        ("--model.optimizer.lrr 1", "did you mean 'lr'"),
        ("--model.optimizer.lr x", "model.init_args.optimizer.init_args.lr (on the command line): expected float"),
        ("--model.model_args+=3", "model.init_args.model_args (on the command line): expected Mapping or null"),
        ("--model.optimizer.init_args 3", "model.init_args.optimizer.init_args: expected a mapping, found '3'"),
        ("--data.train_batch_size 1.5", "data.init_args.train_batch_size (on the command line): expected int"),
        ("--data.train_batch_size null", "is empty: expected int"),
        ("--data.dataset_loader.fo 1", "unknown key data.init_args.dataset_loader.init_args.fo"),
        ("--checkpoint_callback.save_top 3", "did you mean 'save_top_k'"),
        ("--checkpoint_callback.save_top_k x", "checkpoint_callback.save_top_k (on the command line): expected int"),
        # the text for text is not the one to blame
        ("--data.predict_path 2024 --trainer.max_epochs abc", "trainer.max_epochs (on the command line)"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_one_line(arguments, told):
    with pytest.raises(InputError) as caught:
        resolve([*BASE, *arguments.split()], "fit")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trainer: {foo: }", "unknown key trainer.foo (in local_config.yaml)"),
        ("model: {init_args: {modle_name: }}", "unknown key model.init_args.modle_name (in local_config.yaml)"),
        ("data: {train_batch_size: }", "data.init_args.train_batch_size (in local_config.yaml) is empty: expected int"),
        ("trainer: {max_epochs: [1]}", "trainer.max_epochs (in local_config.yaml): expected int or null, found [1]"),
        ("trainer: {logger: [{class_path: CSVLogger, name: 5, nam: 3}]}", "trainer.logger.0.init_args.nam"),
        ("data: {init_args: {dataset_loader: {class_path: a.B, clas: 1}}}", "no class 'a.B'"),
    ],
)
def test_a_wrong_key_or_value_in_a_file_names_the_file(write, text, told):
    with pytest.raises(InputError) as caught:
        resolve([*BASE, *write(text)], "fit")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_told():
    with pytest.raises(InputError, match=r"BaseDeepfakeDetectionModel needs model\.init_args\.model_name"):
        resolve(["--config", PIPELINE], "fit")


def test_nothing_of_a_config_is_lost_when_it_is_printed_and_run_again(write, capsys):
    typed = ["--trainer.logger+=CSVLogger", "--dataset_path=/d", "--experiment_info.experiment_id=123_4"]
    typed += ["--model.optimizer.lr=1e-5", "--checkpoint_callback.save_top_k=2", "--model.model_input_size=[96,64]"]
    first = resolve([*BASE, *typed], "fit").config
    with pytest.raises(SystemExit) as stop:
        resolve([*BASE, "--print_config", *typed], "fit")
    assert not stop.value.code
    printed = write(capsys.readouterr().out, "printed.yaml")
    again = resolve(printed, "fit").config
    assert again == first
    assert resolve([*printed, "--dataset_path=/e"], "fit").config["dataset_path"] == "/e"


def test_the_originals_own_config_runs_unchanged(write, caplog):
    theirs = write(
        """
seed_everything: true
dataset_path: /d
trainer:
  precision: bf16-mixed
  logger:
    - class_path: lightning.pytorch.loggers.TensorBoardLogger
      init_args: {save_dir: logs}
  callbacks:
    - class_path: training_metrics.DeepFakePredictionsDump
    - class_path: training_metrics.MetricsManagerSlidingWindow
      init_args: {compute_mechanism: fast}
data:
  class_path: lightning_data_modules.AIGenBenchPipeline
  init_args:
    dataset_loader:
      class_path: lightning_data_modules.datasets.AIGenBenchDatasetLoader
    old_argument: 1
model:
  class_path: algorithms.SoftTrainAugmentationsModel
  model_name: RN50_tune
"""
    )
    config = resolve(theirs, "fit").config
    assert config["data"]["class_path"] == "aigenbench.training.original.AIGenBenchPipeline"
    assert config["model"]["class_path"] == "aigenbench.training.original.SoftTrainAugmentationsModel"
    assert [c["class_path"].rpartition(".")[2] for c in config["trainer"]["callbacks"]] == [
        "DeepFakePredictionsDump", "MetricsManagerSlidingWindow",
    ]  # fmt: skip
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 2
    assert "old_argument has no use here" in told[0] + told[1]
    assert "compute_mechanism has no use here" in told[0] + told[1]


def test_loggers_and_callbacks_are_new_every_time():
    made = resolve([*BASE, "--trainer.logger+=CSVLogger", "--trainer.callbacks+=LearningRateMonitor"], "fit")
    first, second = made.trainer_arguments(), made.trainer_arguments()
    assert [type(logger) for logger in first["logger"]] == [TensorBoardLogger, CSVLogger]
    assert [type(callback) for callback in first["callbacks"]] == [LearningRateMonitor]
    for key in ("logger", "callbacks"):
        assert not {id(one) for one in first[key]} & {id(one) for one in second[key]}
    assert first["max_epochs"] == 1
    assert first["gradient_clip_val"] == 1.0


def test_list_patches_reach_the_loggers():
    both = ["--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=last", "--trainer.logger.0.save_dir=first"]
    loggers = resolve([*BASE, *both], "fit").trainer_arguments()["logger"]
    assert [logger.save_dir for logger in loggers] == ["first", "last"]


def test_a_logger_without_a_folder_gets_one():
    assert value(["--trainer.logger", "CSVLogger"], "trainer.logger.init_args.save_dir") == "experiments_logs"


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
@pytest.mark.parametrize("key", ["trainer.logger", "trainer.logger+"])
def test_a_logger_whose_package_is_not_installed_is_left_out_and_names_the_extra(key, folder, monkeypatch, caplog):
    from aigenbench.engine.assembly.loggers import warn_of_missing_loggers

    # W&B makes folders of its name, which Python takes for packages
    (folder / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(folder))
    made = resolve([*BASE, f"--{key}=WandbLogger"], "fit")
    kept = made.trainer_arguments()["logger"]
    assert [type(one).__name__ for one in kept] == (["TensorBoardLogger"] if key.endswith("+") else [])
    warn_of_missing_loggers(made.config)
    assert "wandb is not installed, the run goes on without it; pip install 'aigenbench[wandb]'" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="mlflow is installed")
def test_a_logger_that_was_chosen_is_not_done_without():
    from aigenbench.engine.assembly.loggers import warn_of_missing_loggers

    made = resolve([*BASE, "--trainer.logger+=MLFlowLogger"], "fit")
    with pytest.raises(
        InputError, match=r"trainer\.logger\.1: the package mlflow is not installed: pip install mlflow"
    ):
        warn_of_missing_loggers(made.config)


def test_true_is_tensorboard(write):
    typed = resolve([*BASE, "--trainer.logger=true"], "fit").trainer_arguments()["logger"]
    written = resolve([*BASE, *write("trainer: {logger: true}")], "fit").trainer_arguments()["logger"]
    for made in (typed, written):
        (one,) = made if isinstance(made, list) else [made]
        assert isinstance(one, TensorBoardLogger)
        assert one.save_dir == "experiments_logs"


def test_the_users_own_model_and_class(users):
    made = resolve([*users, "--model", "users_detector.Mine", "--model.model_name=users_own", "--model.extra=5"], "fit")
    model = made.instantiate_model()
    assert type(model).__name__ == "Mine"
    assert model.extra == 5
    assert made.instantiate_model() is not model
    # under the original's contract there is no model yet
    optimizer = model.optimizer_factory([torch.nn.Parameter(torch.zeros(1))])
    assert (type(optimizer).__name__, optimizer.defaults["lr"], optimizer.defaults["momentum"]) == ("SGD", 1e-3, 0.9)
    assert made.config["imports"] == (users[1],)


def test_arguments_that_the_users_class_lacks_are_dropped_with_a_warning(users, caplog):
    made = resolve([*BASE, *users, "--model", "users_detector.Bare", "--model.model_name=users_own"], "fit")
    assert made.config["model"]["init_args"] == {"model_name": "users_own", "seen_as": "x"}
    assert "does not take optimizer, scheduler, " in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model.training_cropping_strategy", "resise"], "did you mean 'resize'"),
        (["--model.model_name", "users_ownn"], "users_ownn"),
    ],
)
def test_what_a_constructor_refuses_stays_one_line(users, arguments, told):
    made = resolve([*users, "--model.model_name=users_own", *arguments], "fit")
    with pytest.raises(InputError) as caught:
        made.instantiate_model()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


SMALL = ["--model.model_name=small_cnn_tune", "--model.model_args.pretrained=false"]
FAILING = """
import torch
from lightning.pytorch import Callback
from algorithms import BaseDeepfakeDetectionModel

class Fails(BaseDeepfakeDetectionModel):
    def __init__(self, **kwargs):
        raise KeyError("mine")

class Misuses(BaseDeepfakeDetectionModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        torch.zeros(2) @ torch.zeros(3)

class Watches(Callback):
    def __init__(self, at: int):
        raise RuntimeError("no")
"""


@pytest.mark.parametrize(
    ("arguments", "section", "told"),
    [
        ("--model=failing.Fails", "model", "model: Fails cannot be made: KeyError: 'mine' (failing.py, line 8)"),
        ("--model=failing.Misuses", "model", "model: Misuses cannot be made: RuntimeError: "),
        (
            "--trainer.callbacks+={class_path:failing.Watches,init_args:{at:1}}",
            "trainer",
            "trainer.callbacks.0: Watches cannot be made: RuntimeError: no (failing.py, line 17)",
        ),
    ],
)
def test_an_error_in_a_users_constructor_is_one_line_with_its_place(write, arguments, section, told):
    write(FAILING, "failing.py")
    arguments = arguments.replace("class_path:", "class_path: ").replace("init_args:{at:", "init_args: {at: ")
    made = resolve(["--import=failing.py", *SMALL, arguments], "fit")
    with pytest.raises(InputError) as caught:
        made._made(section)
    assert told in str(caught.value)
    assert "(failing.py, line " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_of_our_own_is_not_hidden(monkeypatch):
    made = resolve(SMALL, "fit")
    monkeypatch.setattr("aigenbench.training.detector.base.StochasticTraining", None)
    with pytest.raises(TypeError, match="not callable"):
        made.instantiate_model()


def test_the_pipeline_is_made_without_reading_data():
    pipeline = resolve([*BASE, "--dataset_path=/nowhere"], "fit").instantiate_data()
    assert pipeline.train_batch_size == 64


def test_help_by_section_and_class(capsys):
    for topic, told in [
        ("--trainer.help", "--trainer.max_epochs"),
        ("--model.help", "--model.training_cropping_strategy"),
        ("--data.help", "--data.augmentation_factor"),
        ("--model.optimizer.help=AdamW", "--model.optimizer.weight_decay"),
    ]:
        with pytest.raises(SystemExit):
            resolve([topic], "fit")
        assert told in capsys.readouterr().out
    with pytest.raises(InputError, match="name a class"):
        resolve(["--model.optimizer.help"], "fit")
