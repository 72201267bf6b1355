"""Values of the Trainer and the optimizer are told in one line before anything is read; one progress bar at most."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    OnExceptionCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from aigenbench.cli.parser import resolve
from aigenbench.errors import InputError
from aigenbench.training.lightning.trainer_check import check_optimizer, check_trainer
from aigenbench.training.lightning.trainers import (
    WindowProgressBar,
    check_trainer_arguments,
    make_trainer,
    with_one_bar,
)
from aigenbench.training.processes.failures import failures_told

CALLBACKS = "lightning.pytorch.callbacks"
CPU: dict[str, Any] = {"accelerator": "cpu", "devices": 1}


def callback(name: str, **arguments: Any) -> dict[str, Any]:
    return {"callbacks": [{"class_path": f"{CALLBACKS}.{name}", "init_args": arguments}]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_epochs": 0}, "trainer.max_epochs must be at least 1, found 0"),
        ({"max_epochs": -1}, "trainer.max_epochs must be at least 1"),
        ({"min_epochs": 3, "max_epochs": 2}, "trainer.min_epochs is 3, more than trainer.max_epochs, 2"),
        ({"min_epochs": 2}, "more than trainer.max_epochs, 1"),
        ({"accumulate_grad_batches": 0}, "trainer.accumulate_grad_batches must be at least 1"),
        ({"gradient_clip_val": -0.5}, "trainer.gradient_clip_val must be at least 0"),
        ({"gradient_clip_val": float("nan")}, "trainer.gradient_clip_val must be at least 0"),
        ({"check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch must be at least 1"),
        ({"num_nodes": 0}, "trainer.num_nodes must be at least 1"),
        ({"limit_train_batches": 0}, "trainer.limit_train_batches is 0, which trains nothing"),
        ({"limit_train_batches": 0.0}, "expected a share above 0 and up to 1.0"),
        ({"limit_train_batches": 1.5}, "expected a share above 0 and up to 1.0"),
        ({"limit_train_batches": 3, "accumulate_grad_batches": 4}, "an optimizer step takes 4 batches"),
        ({"barebones": True}, "trainer.barebones = True is not supported"),
        ({"max_steps": 10}, "trainer.max_steps = 10 is not supported"),
        ({"max_steps": 0}, "trainer.max_steps = 0 is not supported"),
        ({"limit_val_batches": 0}, "trainer.limit_val_batches = 0 is not supported"),
        ({"limit_val_batches": 0.0}, "trainer.limit_val_batches = 0.0 is not supported"),
        ({"limit_test_batches": 1}, "trainer.limit_test_batches = 1 is not supported"),
        ({"limit_predict_batches": 0}, "trainer.limit_predict_batches = 0 is not supported"),
        ({"val_check_interval": 1}, "use trainer.check_val_every_n_epoch"),
        ({"strategy": "ddp_spawn"}, "write strategy: ddp"),
        ({"strategy": "ddp_fork_find_unused_parameters_true"}, "write strategy: ddp"),
        ({"strategy": "ddp_notebook"}, "write strategy: ddp"),
        (
            {
                "strategy": {
                    "class_path": "lightning.pytorch.strategies.DDPStrategy",
                    "init_args": {"start_method": "fork"},
                }
            },
            "write strategy: ddp",
        ),
        ({"strategy": "deepspeed"}, "write strategy: fsdp"),
        (callback("LearningRateFinder"), "trainer.callbacks.0: LearningRateFinder cannot work here; set model.opt"),
        (callback("BatchSizeFinder"), "set data.train_batch_size"),
        (callback("GradientAccumulationScheduler", scheduling={0: 2}), "trainer.accumulate_grad_batches"),
        (callback("StochasticWeightAveraging", swa_lrs=0.1), "its average is in no checkpoint"),
        (callback("EMAWeightAveraging"), "its average is in no checkpoint"),
        (callback("BackboneFinetuning"), "a model named *_probe"),
        (callback("ModelPruning"), "it renames the weights"),
        (callback("Timer", duration="00:01:00:00"), "can be stopped at any time"),
    ],
)
def test_what_has_no_place_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        check_trainer_arguments(given)
    assert told in str(caught.value)


def test_a_users_subclass_of_what_cannot_work_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    from lightning.pytorch.callbacks import BaseFinetuning

    class Mine(BaseFinetuning):
        pass

    class BatchSizeFinder:
        """Of the same name as Lightning's, and nothing of it."""

    module = types.ModuleType("users_callbacks")
    module.Mine, module.BatchSizeFinder = Mine, BatchSizeFinder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_callbacks", module)
    with pytest.raises(InputError, match=r"callbacks\.1: Mine cannot work here"):
        check_trainer_arguments({"callbacks": [{"class_path": "users_callbacks.BatchSizeFinder"},
                                               {"class_path": "users_callbacks.Mine"}]})  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"max_epochs": 1, "min_epochs": 1},
        {"max_epochs": None, "min_epochs": None, "limit_train_batches": None},
        {"max_epochs": 3, "min_epochs": 2, "check_val_every_n_epoch": 2},
        {"limit_train_batches": 1.0, "accumulate_grad_batches": 8, "limit_val_batches": 1.0, "val_check_interval": 1.0},
        {
            "strategy": {
                "class_path": "lightning.pytorch.strategies.DDPStrategy",
                "init_args": {"start_method": "popen"},
            }
        },
        {"limit_train_batches": 8, "accumulate_grad_batches": 8, "gradient_clip_val": 0},
        {"strategy": "ddp_find_unused_parameters_true", "max_steps": -1, "fast_dev_run": False, "overfit_batches": 0.0},
        callback("LearningRateMonitor"),
        callback("EarlyStopping", monitor="x"),
        callback("ModelCheckpoint", save_top_k=2, monitor="x"),
        callback("Timer"),
    ],
)
def test_what_has_a_place_is_let_through(given: dict[str, Any]) -> None:
    check_trainer_arguments(given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"enable_checkpointing": False}, "are always written"),
        ({"num_sanity_val_steps": 2}, "no evaluation comes before training"),
        ({"default_root_dir": "x"}, "experiment_info.experiments_data_folder"),
        ({"model_registry": "x"}, "weights are in its folder"),
        (
            {"limit_train_batches": 7, "accumulate_grad_batches": 3},
            "is 7: 6 batches are used, whole optimizer steps of 3",
        ),
        ({"enable_checkpointing": True, "num_sanity_val_steps": 0, "default_root_dir": None}, ""),
    ],
)
def test_what_has_no_effect_is_said_to_have_none(
    given: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_trainer_arguments(given)
    assert len(caplog.records) == bool(told)
    assert told in caplog.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"strategy": "nothere"}, "trainer.strategy = 'nothere' is refused: You selected an invalid strategy name"),
        ({"accelerator": "nothere"}, "trainer.accelerator = 'nothere' is refused"),
        ({"devices": 0}, "trainer.devices = 0 is refused"),
        ({"devices": "abc"}, "trainer.devices = 'abc' is refused"),
        ({"precision": "nothere"}, "trainer.precision = 'nothere' is refused"),
        ({"precision": "16-mixed"}, "trainer.precision 16-mixed needs a GPU"),
        ({"precision": "16-true"}, "trainer.precision 16-true needs a GPU"),
        ({"precision": 16}, "trainer.precision 16 needs a GPU"),
        ({"gradient_clip_algorithm": "foo"}, "trainer.gradient_clip_algorithm = 'foo' is refused"),
        ({"profiler": "foo"}, "trainer.profiler = 'foo' is refused"),
        ({"callbacks": [ModelCheckpoint(), ModelCheckpoint()]}, "[ModelCheckpoint, ModelCheckpoint] is refused"),
        ({"callbacks": [TQDMProgressBar(), RichProgressBar()]}, "multiple progress bar"),
    ],
)
def test_what_lightning_refuses_is_told_with_its_key(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        check_trainer({**CPU, **given})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_evaluation_takes_another_precision_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    check_trainer({**CPU, "precision": "16-mixed"}, trains=False)
    assert "trainer.precision 16-mixed: on the CPU, bf16-mixed is used" in caplog.text


def test_samples_are_stored_without_the_devices_that_train(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aigenbench.training.window.inputs import set_up

    monkeypatch.chdir(tmp_path)
    argv = [
        "--model.model_name=small_cnn_tune",
        "--model.model_args.pretrained=false",
        f"--dataset_path={small_dataset}",
    ]
    inputs = resolve([*argv, "--trainer.accelerator=cpu", "--trainer.devices=0", "--data.num_workers=0"], "fit")
    assert set_up(inputs, "store").plan.windows
    for purpose in ("train", "evaluate"):
        with pytest.raises(InputError, match=r"trainer\.devices = 0 is refused"):
            set_up(inputs, purpose)  # type: ignore[arg-type]


def test_all_of_it_is_told_before_the_data_is_read(tmp_path: Path) -> None:
    from aigenbench.training.window.inputs import set_up

    argv = ["--model.model_name=small_cnn_tune", "--model.model_args.pretrained=false", "--dataset_path=/nowhere"]
    for wrong, told in (
        ("--trainer.strategy=nothere", "trainer.strategy"),
        ("--model.optimizer.lr=-1", "optimizer.lr"),
    ):
        resolved = resolve([*argv, "--trainer.accelerator=cpu", wrong], "fit")
        with pytest.raises(InputError, match=told):
            set_up(resolved, "train")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match=r"trainer\.accelerator = 'gpu' is refused: No supported gpu backend"):
        check_trainer({"accelerator": "gpu", "devices": 1})


def test_a_monitor_of_devices_names_the_package_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigenbench.training.lightning.trainer_check.find_spec", lambda name: None)
    with pytest.raises(InputError, match="DeviceStatsMonitor needs the package psutil"):
        check_trainer({**CPU, "callbacks": [DeviceStatsMonitor()]})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"precision": "bf16-mixed", "gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
        {"strategy": "ddp_find_unused_parameters_true"},
        {"strategy": "fsdp"},
        {"callbacks": [EarlyStopping("x"), LearningRateMonitor(), ModelCheckpoint(), TQDMProgressBar()]},
        {"callbacks": [OnExceptionCheckpoint(".")]},
        {"callbacks": LearningRateMonitor(), "max_epochs": 3, "logger": False, "enable_progress_bar": False},
        {"callbacks": [TQDMProgressBar()], "enable_progress_bar": False},
    ],
)
def test_a_trainer_that_can_be_made_passes(given: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    check_trainer({**CPU, **given})
    assert ("fsdp is experimental" in caplog.text) == (given.get("strategy") == "fsdp")


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)


def node(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"torch.optim.{name}", "init_args": arguments}


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("SGD", {"lr": -1.0}, "model.optimizer.lr = -1.0 is refused: Invalid learning rate: -1.0"),
        ("SGD", {"lr": 1.0, "momentum": -1.0}, "model.optimizer.momentum = -1.0 is refused"),
        ("SGD", {"lr": 1.0, "nesterov": True}, "model.optimizer.nesterov = True is refused: Nesterov momentum"),
        ("AdamW", {"lr": 1.0, "betas": [2.0, 3.0]}, "model.optimizer.betas = [2.0, 3.0] is refused"),
        ("SparseAdam", {"lr": 1.0}, "torch.optim.SparseAdam is refused (lr = 1.0): SparseAdam does not support dense"),
        ("Muon", {"lr": 1.0}, "torch.optim.Muon is refused (lr = 1.0): Muon only supports 2D parameters"),
    ],
)
def test_what_torch_refuses_is_told_with_its_key(name: str, arguments: dict[str, Any], told: str) -> None:
    cls = getattr(torch.optim, name, None)
    if cls is None:
        pytest.skip(f"this torch has no {name}")
    with pytest.raises(InputError) as caught:
        check_optimizer(partial(cls, **arguments), Detector(), node(name, **arguments))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_can_be_made_changes_nothing() -> None:
    detector = Detector()
    before = detector.convolution.weight.detach().clone()
    for name in ("SGD", "Adam", "AdamW", "LBFGS", "Adagrad", "RMSprop"):
        check_optimizer(partial(getattr(torch.optim, name), lr=0.1), detector, node(name, lr=0.1))
    assert torch.equal(before, detector.convolution.weight)
    assert detector.convolution.weight.grad is None
    check_optimizer(partial(torch.optim.SGD, lr=0.1), nn.Identity(), node("SGD", lr=0.1))


def broken(parameters: Any) -> Any:
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (broken, "model.optimizer is refused: 'mine' (test_training_trainers.py, line "),
        (lambda parameters: 3, "model.optimizer is refused: expected an optimizer, found int"),
    ],
)
def test_a_function_of_ones_own_that_fails_is_told_with_its_place(factory: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        check_optimizer(factory, Detector(), "mine.make")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("terminal", "enabled", "given", "shown"),
    [
        (True, None, [], [WindowProgressBar]),
        (True, True, [], [WindowProgressBar]),
        (True, False, [], []),
        (False, None, [], []),
        (True, None, [TQDMProgressBar], [TQDMProgressBar]),
        (True, True, [RichProgressBar], [RichProgressBar]),
        (False, None, [TQDMProgressBar], [TQDMProgressBar]),
        (True, False, [TQDMProgressBar], []),
    ],
)
def test_one_bar_the_users_own_first(
    terminal: bool,
    enabled: bool | None,
    given: list[Any],
    shown: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    others = [LearningRateMonitor()]
    chosen = with_one_bar([*others, *(cls() for cls in given)], enabled, "window 0 of 0..8")
    assert [type(one) for one in chosen] == [LearningRateMonitor, *shown]
    arguments = {**CPU, "callbacks": [cls() for cls in given], "enable_progress_bar": enabled}
    trainer = make_trainer(arguments, tmp_path, 1, [], "window 0 of 0..8", [])
    assert [type(trainer.progress_bar_callback)] == (shown or [type(None)])


def test_a_notebook_shows_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None))
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    assert [type(one) for one in with_one_bar([], None, "window 1/9")] == [WindowProgressBar]
    # IPython in a terminal that was redirected
    kernel.get_ipython = lambda: SimpleNamespace()
    assert with_one_bar([], None, "window 1/9") == []


def test_several_devices_in_a_notebook_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.trainer.connectors import accelerator_connector

    monkeypatch.setattr(accelerator_connector, "_IS_INTERACTIVE", True)
    with pytest.raises(InputError, match=r"2 devices in a notebook .* give trainer\.devices = 1"):
        check_trainer({"accelerator": "cpu", "devices": 2})
    check_trainer({"accelerator": "cpu", "devices": 1})


def test_every_kind_of_checkpoint_callback_has_its_place(tmp_path: Path) -> None:
    trainer = make_trainer({**CPU, "callbacks": [OnExceptionCheckpoint(tmp_path)]}, tmp_path, 1, [], "", [])
    assert any(isinstance(one, OnExceptionCheckpoint) for one in trainer.callbacks)  # type: ignore[attr-defined]


def test_what_lightning_refuses_only_later_is_one_line() -> None:
    with (
        pytest.raises(InputError, match="refused by Lightning's Trainer: could not find the monitored key"),
        failures_told(),
    ):
        raise MisconfigurationException("could not find\nthe monitored key")
    with (
        pytest.raises(InputError, match="Early stopping conditioned on metric `x` which is not available"),
        failures_told(),
    ):
        raise RuntimeError("Early stopping conditioned on metric `x` which is not available. Pass in ...")
    with pytest.raises(RuntimeError, match="a fault"), failures_told():
        raise RuntimeError("a fault of ours")


def test_a_default_that_is_an_object_is_no_text_in_the_config(recwarn: pytest.WarningsRecorder) -> None:
    averaging = "{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.1}}"
    config = resolve(["--model.model_name=x_tune", f"--trainer.callbacks+={averaging}"], "fit").config
    assert "Unable to serialize" not in config.to_yaml()
    assert not recwarn
