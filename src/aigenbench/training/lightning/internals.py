"""What training touches of Lightning's, torchmetrics' and torch's private parts, under names of its own.

No other file of ``training`` touches them, but ``processes/collectives.py`` for torch's store, which works without
Lightning. ``check_internals`` tells at the start of a run when one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import fields
from importlib.metadata import version
from operator import attrgetter
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import distributed
from torchmetrics import Metric

from aigenbench.errors import InputError

SUPPORTED = {"lightning": ">=2.6.4,<2.7", "torchmetrics": ">=1.5", "torch": ">=2.8"}
"""The versions that training is made for; those of pyproject.toml."""


def _unsupported(package: str, found: str) -> InputError:
    wanted = f"{package}{SUPPORTED[package]}"
    return InputError(f"{package} {version(package)}: {found}; training needs {wanted}: pip install '{wanted}'")


try:
    from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
    from lightning.pytorch.loops.fit_loop import _FitLoop
    from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
    from lightning.pytorch.trainer.connectors.logger_connector.result import _Metadata, _ResultMetric, _Sync
except ImportError as error:
    raise _unsupported("lightning", str(error).partition(" (")[0]) from error
try:
    from torch._ops import OpOverload
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map_only
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
except ImportError as error:
    raise _unsupported("torch", str(error).partition(" (")[0]) from error

SEEN = ("callback_metrics", "logged_metrics", "progress_bar_metrics")
HIDDEN_OF_CHECKPOINTS = ("_last_global_step_saved", "_last_checkpoint_saved", "_defer_save_until_validation")
"""What a ModelCheckpoint acts by and leaves out of its state: ``save_last``, and saves that wait for a metric."""
_EPOCH_LOOP = "Trainer.fit_loop.epoch_loop"
_PARTS = {
    "lightning": (
        "Trainer.callbacks",
        "Trainer._signal_connector.register_signal_handlers",
        "Trainer._checkpoint_connector._select_ckpt_path",
        *(f"Trainer._logger_connector.{name}" for name in ("log_metrics", "_first_loop_iter")),
        *(f"Trainer._logger_connector._{name}" for name in SEEN),
        "Trainer.fit_loop._can_stop_early",
        *(f"{_EPOCH_LOOP}.{name}" for name in ("_batches_that_stepped", "_results")),
        *(f"{_EPOCH_LOOP}.{name}" for name in ("_num_ready_batches_reached", "_should_check_val_fx")),
        *(f"{_EPOCH_LOOP}.{name}" for name in ("_on_before_fetch", "_on_after_fetch")),
        f"{_EPOCH_LOOP}.val_loop._seen_batches_per_dataloader",
        *(f"_PrefetchDataFetcher.{name}" for name in ("_start_profiler", "_stop_profiler", "fetched")),
        "CombinedLoader._iterator",
        *(f"_ResultMetric.{name}" for name in ("has_reset", "is_tensor", "meta._sync", "meta.reduce_fx")),
        *(f"ModelCheckpoint.{name}" for name in HIDDEN_OF_CHECKPOINTS),
    ),
    "torchmetrics": ("Metric._forward_cache", "Metric._update_count"),
    "torch": (
        "_MultiProcessingDataLoaderIter._shutdown_workers",
        "distributed.distributed_c10d._get_default_store",
        "UntypedStorage._new_shared",
        "Module._compiled_call_impl",
        "ops.aten.mm.default._overloadpacket",
    ),
}


def check_internals(trainer: pl.Trainer) -> None:
    """See that every private part that training touches is there.

    Raises:
        InputError: one is not; with the version found and those supported.
    """
    metric = _ResultMetric(_Metadata("", "", reduce_fx=torch.mean), is_tensor=True)
    owners = {
        "Trainer": trainer,
        "CombinedLoader": CombinedLoader([]),
        "ModelCheckpoint": ModelCheckpoint(),
        "Metric": metric,
        "_ResultMetric": metric,
        "_PrefetchDataFetcher": _PrefetchDataFetcher(),
        "_MultiProcessingDataLoaderIter": _MultiProcessingDataLoaderIter,
        "UntypedStorage": torch.UntypedStorage,
        "distributed": distributed,
        "Module": torch.nn.Module,
        "ops": torch.ops,
    }
    for package, parts in _PARTS.items():
        for part in parts:
            owner, _, path = part.partition(".")
            try:
                attrgetter(path)(owners[owner])
            except AttributeError as error:
                raise _unsupported(package, f"no {part} found") from error


def switch_off_signals_and_resuming(trainer: pl.Trainer) -> None:
    """Leave both to the run.

    Lightning's handlers of signals end a run in ways that lose work, and its one of SIGTERM waits for other processes.
    It would go on from what a callback wrote last (``OnExceptionCheckpoint``), of whatever window, or from SLURM's.
    """
    changed: Any = trainer
    changed._signal_connector.register_signal_handlers = lambda: None
    changed._checkpoint_connector._select_ckpt_path = lambda *_, **__: None


def callbacks_of(trainer: pl.Trainer) -> list[Callback]:
    """A Trainer's callbacks, in their order: the list itself. No type tells of it."""
    callbacks: list[Callback] = vars(trainer)["callbacks"]
    return callbacks


# loops

FitLoop = _FitLoop


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch."""

    @property
    def logged_steps(self) -> int:
        """At which step logs stand."""
        return self._batches_that_stepped

    @logged_steps.setter
    def logged_steps(self, steps: int) -> None:
        self._batches_that_stepped = steps

    @property
    def is_at_last_batch(self) -> bool:
        """Whether no batch of the epoch is left."""
        return self._num_ready_batches_reached()

    def evaluates_next(self, data_fetcher: Any) -> bool:
        """Whether an evaluation is due after this batch."""
        return self._should_check_val_fx(data_fetcher)

    def take_up(self, data_fetcher: Any) -> None:
        """Go on with a fetcher's iterator, as a loop's start does after making a new one."""
        data_fetcher.fetched += self.batch_progress.current.ready
        data_fetcher._start_profiler = self._on_before_fetch
        data_fetcher._stop_profiler = self._on_after_fetch


def can_stop_early(trainer: pl.Trainer) -> bool:
    """Whether a training has come as far as ``min_epochs`` asks."""
    return trainer.fit_loop._can_stop_early


def evaluated_batches(trainer: pl.Trainer) -> MutableMapping[int, int]:
    """The batches that evaluations within the fit have seen, by data loader."""
    return trainer.fit_loop.epoch_loop.val_loop._seen_batches_per_dataloader


def end_workers(data_fetcher: Any) -> None:
    """End the workers of an epoch's loader, of which nothing more is asked."""
    for iterator in data_fetcher.combined_loader._iterator.iterators:
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()


# what is logged


def logging_of(trainer: pl.Trainer) -> Any:
    """What hands on to loggers, by its ``log_metrics``."""
    return trainer._logger_connector


def continue_logged(trainer: pl.Trainer) -> None:
    """Count what is logged next to the epoch under way, not to a new one."""
    trainer._logger_connector._first_loop_iter = False


def seen_values(trainer: pl.Trainer, name: str) -> dict[str, Any]:
    """The dict behind one of ``SEEN``."""
    values: dict[str, Any] = getattr(trainer._logger_connector, f"_{name}")
    return values


def results(trainer: pl.Trainer) -> dict[str, Any]:
    """What was logged in the epoch, under way, in the order of the first log."""
    return trainer.fit_loop.epoch_loop._results


def meta_of(result: Any) -> dict[str, Any]:
    """How a result was logged: plain values."""
    names = (field.name for field in fields(_Metadata) if field.name not in ("reduce_fx", "_sync"))
    return {name: getattr(result.meta, name) for name in names}


def new_result(trainer: pl.Trainer, meta: Mapping[str, Any], reduce_fx: Any, sync: bool) -> Any:
    """A result that is logged as ``meta_of`` another said."""
    made = _Metadata(**meta, reduce_fx=reduce_fx)
    made.sync = _Sync(_should=sync, fn=trainer.strategy.reduce)
    return _ResultMetric(made, is_tensor=meta["metric_attribute"] is None)


# metrics


def last_value(metric: Metric) -> Any:
    """What a metric's last ``forward`` gave."""
    return metric._forward_cache


def set_last_value(metric: Metric, value: Any) -> None:
    """Let ``last_value`` be ``value``."""
    metric._forward_cache = value


def set_update_count(metric: Metric, count: int) -> None:
    """Let a metric say that it was updated so often."""
    metric._update_count = count


OperationsMode = TorchDispatchMode
"""Sees every operation below autograd."""
mapped_tensors = tree_map_only
"""Of nested arguments, those of a type mapped by a function."""


def operation_of(func: Any) -> tuple[Any, bool]:
    """The operation that a mode is given a form of, and whether it is one of tensors, not a higher order's."""
    is_plain = isinstance(func, OpOverload)
    return func._overloadpacket if is_plain else func, is_plain


def is_compiled(module: torch.nn.Module) -> bool:
    """Whether a module's calls go to what ``torch.compile`` has made."""
    return module._compiled_call_impl is not None or type(module).__name__ == "OptimizedModule"
