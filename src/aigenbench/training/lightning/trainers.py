"""A fresh Lightning Trainer for every stretch of a run, from the config's arguments."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, Timer, TQDMProgressBar
from lightning.pytorch.plugins.environments import SLURMEnvironment

from aigenbench.errors import InputError
from aigenbench.training.lightning.internals import switch_off_signals_and_resuming
from aigenbench.training.lightning.user_checkpoints import place_in
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.processes.sharding import ShardedStrategy

logger = logging.getLogger(__name__)

# the values that ask for nothing, and what to use instead of any other
_REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "fast_dev_run": (
        (None, False, 0),
        "use data.train_subset_size and data.validation_subset_size for a short run",
    ),
    "overfit_batches": ((None, 0, 0.0), "use data.train_subset_size"),
    "max_steps": ((None, -1), "a window's length is trainer.max_epochs; limit_train_batches shortens its epochs"),
    "min_steps": ((None, 0), "a window's length is trainer.max_epochs"),
    "max_time": ((None,), "a run can be stopped at any time and goes on with the same command"),
    "limit_val_batches": ((None, 1.0), "each image is evaluated exactly once; use data.validation_subset_size"),
    "limit_test_batches": ((None, 1.0), "each image is evaluated exactly once; use data.validation_subset_size"),
    "limit_predict_batches": ((None, 1.0), "each picture is scored; name those that are wanted"),
    "barebones": ((None, False), "a run logs and keeps checkpoints"),
    "val_check_interval": ((None, 1.0), "evaluations come after epochs: use trainer.check_val_every_n_epoch"),
}
# of the others, the least value that means something
_LEAST = {
    "max_epochs": 1,
    "min_epochs": 0,
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "num_nodes": 1,
    "log_every_n_steps": 0,
    "gradient_clip_val": 0,
    "reload_dataloaders_every_n_epochs": 0,
}
# what Lightning would do by them is always done, or always done otherwise: the value that says so, and why
_WITHOUT_EFFECT = {
    "enable_checkpointing": (True, "the checkpoints that resuming needs are always written"),
    "num_sanity_val_steps": (0, "no evaluation comes before training"),
    "model_registry": (None, "a run's weights are in its folder"),
    "default_root_dir": (None, "files go to experiment_info.experiments_data_folder"),
    "use_distributed_sampler": (True, "the benchmark's own rule shares samples out, however many devices there are"),
}
# Lightning's callbacks, and subclasses of them, that change what a run trains behind its checkpoints' back
_REFUSED_CALLBACKS = {
    "BatchSizeFinder": "set data.train_batch_size and trainer.accumulate_grad_batches",
    "LearningRateFinder": "set model.optimizer.lr; compare a few values with short runs (data.train_subset_size)",
    "GradientAccumulationScheduler": "one number holds for the run: trainer.accumulate_grad_batches",
    "StochasticWeightAveraging": "its average is in no checkpoint; use experiment_info.strategy ema",
    "WeightAveraging": "its average is in no checkpoint; use experiment_info.strategy ema",
    "BaseFinetuning": "what is trained is the detector's: a model named *_probe, or freeze in a detector of your own",
    "ModelPruning": "it renames the weights that checkpoints hold; prune in a detector of your own",
}
_LIGHTNING = ("lightning.", "pytorch_lightning.")
SHARDED = "fsdp"
HALF = ("16-mixed", "16-true", "16", 16)
"""Precisions that the CPU lacks; Lightning would quietly take another for the first."""
_OTHER_STARTS = ("spawn", "fork", "notebook")
_OTHER_SHARDING = ("fsdp", "deepspeed", "modelparallel")
_OURS = ("max_epochs", "limit_train_batches", "use_distributed_sampler", "default_root_dir")
_QUIET = (
    r".*you defined a `validation_step` but have no `val_dataloader`.*",
    r".*does not have many workers.*",
    r".*number of training batches .* is smaller than the logging interval.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*Trying to infer the `batch_size`.*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",
    r".*`srun` command is available on your system but is not used.*",
    r".*It is recommended to use .*sync_dist=True.*",
    r".*You have overridden `transfer_batch_to_device` in `LightningModule`.*",
    r".*There is a wandb run already in progress.*",
)


def check_trainer_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what would contradict the windows.

    Raises:
        InputError: a Trainer argument is set that has no place here; the message says what to use.
    """
    for key, least in _LEAST.items():
        value = arguments.get(key)
        if value is not None and not value >= least:
            raise InputError(f"trainer.{key} must be at least {least}, found {value!r}")
    for key, (unset, instead) in _REFUSED.items():
        value = arguments.get(key)
        if not any(value is u or (value == u and type(value) is type(u)) for u in unset):
            raise InputError(f"trainer.{key} = {value!r} is not supported; {instead}")
    for key, (always, why) in _WITHOUT_EFFECT.items():
        if arguments.get(key) not in (None, always):
            logger.warning("trainer.%s = %r has no effect: %s", key, arguments[key], why)
    _check_epochs(arguments)
    _check_strategy(arguments)
    for place, node in _callbacks(arguments):
        _check_callback(place, node)


def _check_epochs(arguments: Mapping[str, Any]) -> None:
    most, least = arguments.get("max_epochs") or 1, arguments.get("min_epochs") or 0
    if least > most:
        raise InputError(f"trainer.min_epochs is {least}, more than trainer.max_epochs, {most}")
    limit = arguments.get("limit_train_batches")
    if limit is None:
        return
    if isinstance(limit, float):
        if not 0 < limit <= 1:
            raise InputError(
                f"trainer.limit_train_batches: expected a share above 0 and up to 1.0, or a number of batches, "
                f"found {limit}"
            )
        return
    step = arguments.get("accumulate_grad_batches") or 1
    if limit < step:
        raise InputError(
            f"trainer.limit_train_batches is {limit}, which trains nothing: an optimizer step takes {step} "
            f"batch{'es' if step > 1 else ''} (trainer.accumulate_grad_batches)"
        )
    if limit % step:
        logger.warning(
            "trainer.limit_train_batches is %d: %d batches are used, whole optimizer steps of %d",
            limit,
            limit - limit % step,
            step,
        )


def _callbacks(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The place and description of each callback in a config."""
    given = arguments.get("callbacks")
    several = given if isinstance(given, list | tuple) else [given]
    for index, node in enumerate(several):
        if isinstance(node, Mapping) and isinstance(node.get("class_path"), str):
            yield f"trainer.callbacks.{index}", node


def _check_callback(place: str, node: Mapping[str, Any]) -> None:
    module, _, name = node["class_path"].rpartition(".")
    found = getattr(importlib.import_module(module or "lightning.pytorch.callbacks"), name, None)
    # of an object that was given from Python, its class
    given = getattr(found, "makes", None)
    found, name = (found, name) if given is None else (type(given), type(given).__name__)
    for base in found.__mro__ if isinstance(found, type) else ():
        if base.__name__ in _REFUSED_CALLBACKS and base.__module__.startswith(_LIGHTNING):
            raise InputError(f"{place}: {name} cannot work here; {_REFUSED_CALLBACKS[base.__name__]}")
    ends = (node.get("init_args") or {}).get("duration")
    if isinstance(given, Timer):
        ends = given.time_remaining() is not None
    if isinstance(found, type) and issubclass(found, Timer) and ends:
        raise InputError(f"{place}: {name} with a duration is not supported; {_REFUSED['max_time'][1]}")


def _check_strategy(arguments: Mapping[str, Any]) -> None:
    strategy = arguments.get("strategy")
    name = str(strategy.get("class_path") if isinstance(strategy, Mapping) else strategy).rpartition(".")[2]
    if any(part in name.lower() for part in _OTHER_SHARDING) and name != SHARDED:
        raise InputError(f"trainer.strategy {name}: its checkpoints are of another kind; write strategy: {SHARDED}")
    started = (strategy.get("init_args") or {}).get("start_method") if isinstance(strategy, Mapping) else None
    if any(part in name.lower() for part in _OTHER_STARTS) or started not in (None, "popen"):
        raise InputError(
            f"trainer.strategy {name}: processes that are forked or spawned give no results back; write strategy: ddp"
        )
    if name == SHARDED and arguments.get("precision") in ("16-mixed", "16"):
        raise InputError("trainer.strategy fsdp does not go with precision 16-mixed; use bf16-mixed")


def with_one_bar(callbacks: Sequence[Any], enabled: bool | None, description: str | Callable[[int], str]) -> list[Any]:
    """`callbacks` with the progress bar that is shown: the user's own, else ours in a terminal or notebook, or none.

    Args:
        callbacks: all others, the user's bar perhaps among them.
        enabled: ``trainer.enable_progress_bar``; False shows none.
        description: what our bar says in front.
    """
    if enabled is False:
        return [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    if (sys.stderr.isatty() or _is_notebook()) and not any(isinstance(c, ProgressBar) for c in callbacks):
        return [*callbacks, WindowProgressBar(description)]
    return list(callbacks)


def _is_notebook() -> bool:
    """Whether this is the process of a notebook, which shows bars though it has no terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def make_trainer(
    arguments: Mapping[str, Any],
    folder: Path,
    max_epochs: int,
    callbacks: Sequence[pl.Callback],
    description: str | Callable[[int], str],
    loggers: Sequence[Any],
) -> pl.Trainer:
    """Build a Trainer.

    Args:
        arguments: of the config, with loggers and callbacks of its own made anew.
        folder: the window's folder.
        max_epochs: epochs of the training, at most.
        callbacks: ours, in front of the config's.
        description: shown by the progress bar; a function of the epoch where there are several.
        loggers: all loggers.
    """
    quiet_lightning()
    given = {key: value for key, value in arguments.items() if key not in _OURS and key not in _REFUSED}
    given.pop("logger", None)
    all_callbacks = [*callbacks, *(given.pop("callbacks", None) or [])]
    plugins = given.pop("plugins", None) or []
    plugins = list(plugins) if isinstance(plugins, (list, tuple)) else [plugins]
    if SLURMEnvironment.detect() and not any(isinstance(p, SLURMEnvironment) for p in plugins):
        plugins.append(SLURMEnvironment(auto_requeue=False))
    all_callbacks = with_one_bar(all_callbacks, given.pop("enable_progress_bar", None), description)
    given.pop("enable_checkpointing", None)
    given.pop("num_sanity_val_steps", None)
    if given.get("strategy") == SHARDED:
        given["strategy"] = ShardedStrategy()
    # Lightning would print it anew for every window
    given["enable_model_summary"] = bool(given.get("enable_model_summary"))
    place_in(folder, all_callbacks)
    trainer = pl.Trainer(
        **given,
        plugins=plugins or None,
        callbacks=all_callbacks,
        logger=list(loggers),
        max_epochs=max_epochs,
        default_root_dir=folder,
        use_distributed_sampler=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in all_callbacks),
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in all_callbacks),
        num_sanity_val_steps=0,
    )
    switch_off_signals_and_resuming(trainer)
    return trainer


def tell_steps(trainer: pl.Trainer, steps: int) -> None:
    """Let a Trainer that trains nothing say how many optimizer steps a window's training has."""
    told = {"estimated_stepping_batches": property(lambda _: steps)}
    trainer.__class__ = type("Trainer", (type(trainer),), told)


class WindowProgressBar(TQDMProgressBar):
    """Lightning's progress bar, saying which window and epoch it is at."""

    def __init__(self, description: str | Callable[[int], str]) -> None:
        super().__init__(refresh_rate=1)
        self._description = description

    def _title(self) -> str:
        if isinstance(self._description, str):
            return self._description
        return self._description(self.trainer.current_epoch)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Start the training bar under the window's name."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(self._title())

    @property
    def validation_description(self) -> str:
        """The window's name."""
        return self._title()

    @property
    def test_description(self) -> str:
        """The window's name."""
        return self._title()

    def on_validation_batch_start(self, trainer: pl.Trainer, *arguments: Any) -> None:
        """Keep the window's name in front, not the number of the data loader."""
        super().on_validation_batch_start(trainer, *arguments)
        self.val_progress_bar.set_description(self._title())


def quiet_lightning() -> None:
    """Keep Lightning's notes about its own defaults from burying the run's."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in _QUIET:
        warnings.filterwarnings("ignore", pattern)
    # a launcher's children say everything a second time
    if not is_first_process():
        logging.getLogger("aigenbench").setLevel(logging.ERROR)
