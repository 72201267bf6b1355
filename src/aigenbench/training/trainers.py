"""A fresh Lightning Trainer for every stretch of a run, from the config's arguments."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.environments import SLURMEnvironment

from aigenbench.errors import InputError
from aigenbench.training.processes import is_first_process
from aigenbench.training.sharding import ShardedStrategy
from aigenbench.training.user_checkpoints import place_in

_REFUSED = {
    "fast_dev_run": "use data.train_subset_size and data.validation_subset_size for a short run",
    "overfit_batches": "use data.train_subset_size",
    "max_steps": "a window's length is trainer.max_epochs; limit_train_batches shortens its epochs",
    "min_steps": "a window's length is trainer.max_epochs",
    "max_time": "a run can be stopped at any time and goes on with the same command",
    "limit_val_batches": "each image is evaluated exactly once; use data.validation_subset_size",
    "limit_test_batches": "each image is evaluated exactly once; use data.validation_subset_size",
    "val_check_interval": "evaluations come after epochs: use trainer.check_val_every_n_epoch",
}
SHARDED = "fsdp"
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
    r".*There is a wandb run already in progress.*",
)


def check_trainer_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what would contradict the windows.

    Raises:
        InputError: a Trainer argument is set that has no place here; the message says what to use.
    """
    unset: tuple[Any, ...] = (None, False, 0, 0.0, -1, 1.0)
    for key, instead in _REFUSED.items():
        value = arguments.get(key)
        if not any(value is u or (value == u and type(value) is type(u)) for u in unset):
            raise InputError(f"trainer.{key} = {value!r} is not supported; {instead}")
    _check_strategy(arguments)


def _check_strategy(arguments: Mapping[str, Any]) -> None:
    strategy = arguments.get("strategy")
    name = str(strategy.get("class_path") if isinstance(strategy, Mapping) else strategy).rpartition(".")[2]
    if any(part in name.lower() for part in _OTHER_SHARDING) and name != SHARDED:
        raise InputError(f"trainer.strategy {name}: its checkpoints are of another kind; write strategy: {SHARDED}")
    if name == SHARDED and arguments.get("precision") in ("16-mixed", "16"):
        raise InputError("trainer.strategy fsdp does not go with precision 16-mixed; use bf16-mixed")


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
    shows_progress = given.pop("enable_progress_bar", None) is not False and sys.stderr.isatty()
    if shows_progress:
        all_callbacks.append(WindowProgressBar(description))
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
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in all_callbacks),
        enable_progress_bar=shows_progress,
        num_sanity_val_steps=0,
    )
    # Lightning's own handlers end a run in ways that lose work, and its one of SIGTERM waits for other processes
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


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
