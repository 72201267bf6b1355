"""Values that Lightning or torch would refuse in the middle of a run, tried before any data is read."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import DeviceStatsMonitor, ProgressBar
from lightning.pytorch.strategies import Strategy

from aigenbench.config.imports import reason
from aigenbench.errors import InputError
from aigenbench.training.lightning.internals import check_internals
from aigenbench.training.lightning.trainers import HALF, SHARDED, quiet_lightning, with_one_bar
from aigenbench.training.processes.sharding import ShardedStrategy

logger = logging.getLogger(__name__)

# what a run gives the Trainer by itself
_OURS = (
    "max_epochs",
    "min_epochs",
    "limit_train_batches",
    "check_val_every_n_epoch",
    "default_root_dir",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "logger",
    "num_sanity_val_steps",
    "use_distributed_sampler",
)


def check_trainer(arguments: Mapping[str, Any], trains: bool = True) -> None:
    """Make a Trainer as the run will, and forget it.

    Args:
        arguments: of the config, with callbacks of their own.
        trains: refuse a precision that the device lacks, where an evaluation takes another with a warning.

    Raises:
        InputError: Lightning refuses them; the message names the argument that is to blame, where it is one alone.
    """
    quiet_lightning()
    given = {key: value for key, value in arguments.items() if key not in _OURS and value != _defaults().get(key)}
    callbacks = given.get("callbacks") or []
    several = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    given["callbacks"] = with_one_bar(several, arguments.get("enable_progress_bar"), "")
    if given.get("strategy") == SHARDED:
        logger.warning("trainer.strategy fsdp is experimental: tested with processes of one CPU only")
        given["strategy"] = ShardedStrategy()
    try:
        trainer = _trainer(given)
    except Exception as error:
        told = {key: arguments[key] for key in given if key in arguments}
        raise InputError(_refusal("trainer", told, _to_blame(_trainer, given), error)) from error
    check_internals(trainer)
    launcher = trainer.strategy.launcher
    if launcher is not None and launcher.is_interactive_compatible:
        # what Lightning takes in a notebook where nothing is said
        raise InputError(
            f"trainer.devices: {trainer.num_devices} devices in a notebook would share the work as forked processes, "
            "which give no results back; give trainer.devices = 1, or run the same as a script"
        )
    on_cpu = trainer.strategy.root_device.type == "cpu"
    if arguments.get("precision") in HALF and on_cpu and not trains:
        logger.warning("trainer.precision %s: on the CPU, %s is used", arguments["precision"], trainer.precision)
    elif arguments.get("precision") in HALF and on_cpu:
        raise InputError(
            f"trainer.precision {arguments.get('precision')} needs a GPU, and this run is on the CPU; use 32-true or "
            "bf16-mixed, or --trainer.accelerator gpu where there is one"
        )
    for callback in several:
        if isinstance(callback, DeviceStatsMonitor) and on_cpu and find_spec("psutil") is None:
            raise InputError("trainer.callbacks: DeviceStatsMonitor needs the package psutil: pip install psutil")


def check_optimizer(factory: Callable[[Any], Any], detector: torch.nn.Module, node: Any) -> None:
    """Make the optimizer as the run will, take a step with one that has a single weight, and forget them.

    Args:
        factory: makes it from parameters.
        detector: whose trained parameters it gets; one of no detector's where it has none yet.
        node: what the config says of the optimizer, for the message.

    Raises:
        InputError: it cannot be made of its arguments; the message names the one to blame, where it is one alone.
    """
    trained = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    single = torch.nn.Parameter(torch.zeros(2, 2))
    trained = trained or [single]
    try:
        factory(list(trained))
        _step(factory([single]))
    except InputError:
        raise
    except Exception as error:
        made = _optimizer_class(node)
        arguments = dict(node.get("init_args") or {}) if made else {}

        def again(given: dict[str, Any]) -> None:
            made(list(trained), **given)
            _step(made([single], **given))

        key = _to_blame(again, arguments) if made else None
        raise InputError(_refusal("model.optimizer", arguments, key, error, node)) from error


def _step(optimizer: Any) -> None:
    """A step on the CPU, unless the optimizer is asked to be one for the GPU."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"expected an optimizer, found {type(optimizer).__name__}")
    if optimizer.defaults.get("fused") or optimizer.defaults.get("capturable"):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step(lambda: 0.0)


def _trainer(given: Mapping[str, Any]) -> pl.Trainer:
    with warnings.catch_warnings():
        # the run's own Trainer will warn
        warnings.simplefilter("ignore")
        return pl.Trainer(
            **given,
            logger=False,
            enable_checkpointing=any(isinstance(c, pl.callbacks.Checkpoint) for c in given["callbacks"]),
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in given["callbacks"]),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )


@cache
def _defaults() -> dict[str, Any]:
    return {key: p.default for key, p in inspect.signature(pl.Trainer).parameters.items()}


def _to_blame(make: Callable[[dict[str, Any]], Any], given: Mapping[str, Any]) -> str | None:
    """The argument without which it can be made; None where there is none such."""
    for key in given:
        rest = {other: value for other, value in given.items() if other != key}
        if make is _trainer:
            rest.setdefault("callbacks", [])
        with suppress(Exception):
            make(rest)
            return key
    return None


def _optimizer_class(node: Any) -> Any:
    if not isinstance(node, Mapping) or not isinstance(node.get("class_path"), str):
        return None
    module, _, name = node["class_path"].rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name, None)


def _refusal(section: str, given: Mapping[str, Any], key: str | None, error: Exception, node: Any = None) -> str:
    if key is not None:
        return f"{section}.{key} = {_shown(given[key])} is refused: {_reason(error)}"
    name = f" {node['class_path']}" if isinstance(node, Mapping) and "class_path" in node else ""
    listed = ", ".join(f"{k} = {_shown(v)}" for k, v in given.items() if v not in (None, [], ()))
    return f"{section}{name} is refused{f' ({listed})' if listed else ''}: {_reason(error)}"


def _reason(error: Exception) -> str:
    # the names of Lightning's and Python's exceptions say nothing that the text does not
    return reason(error).removeprefix(f"{type(error).__name__}: ")


def _shown(value: Any) -> str:
    if isinstance(value, Strategy) or not isinstance(value, str | int | float | list | tuple):
        return type(value).__name__
    if isinstance(value, list | tuple) and not all(isinstance(item, str | int | float) for item in value):
        return "[" + ", ".join(type(item).__name__ for item in value) + "]"
    return repr(value)
