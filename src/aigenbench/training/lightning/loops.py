"""Lightning's training loop, made to begin anywhere within a window.

A window is one training of one Trainer. Its batch sampler gives what is left of the first epoch and whole epochs
after; here the loop's counters are set to the position it begins at, so that hooks, callbacks, schedules and loggers
see the training they would have seen without a stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple, Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar

from aigenbench.training.lightning import internals
from aigenbench.training.lightning.module_state import (
    metric_state,
    metric_states,
    moved_to,
    on_cpu,
    restore_metric,
    restore_metrics,
)
from aigenbench.training.lightning.plain import packed, unpacked

_HIDDEN = "aigenbench_hidden"


class Position(NamedTuple):
    """Where within a window's training something happens.

    Attributes:
        epoch: epochs that are finished.
        step: optimizer steps done in the one under way; all of them where only its evaluation and end are left.
    """

    epoch: int = 0
    step: int = 0


class Witness(Protocol):
    """What is told of a window's training where no hook of Lightning's is called in time."""

    def training_begins(self, trainer: pl.Trainer) -> None:
        """``on_train_start`` of everybody was called."""
        ...

    def epoch_trained(self, trainer: pl.Trainer, evaluated_next: bool) -> None:
        """The last step of an epoch is done; its evaluation, if any, and its end are to come."""
        ...

    def window_trained(self, trainer: pl.Trainer) -> None:
        """The training has ended, ``on_train_end`` of everybody too; the detector is still on its device."""
        ...


def begin_at(trainer: pl.Trainer, start: Position, steps: int, logged_before: int, witness: Witness) -> None:
    """Let a Trainer's training begin at a position of the window.

    Args:
        trainer: a fresh one, before ``fit``.
        start: where it begins.
        steps: optimizer steps of an epoch.
        logged_before: the logs' number of the window's first step.
        witness: told when an epoch's steps and the window are done.
    """
    old = trainer.fit_loop
    loop = _WindowLoop(trainer, start, witness, old.min_epochs, old.max_epochs)
    loop.epoch_loop = _EpochLoop(trainer, start, steps, logged_before, witness)
    trainer.fit_loop = loop
    log_at(trainer, None)


def log_at(trainer: pl.Trainer, step: int | None) -> None:
    """Let what is logged by hooks stand at ``step`` (None: where training stands), without Lightning's ``epoch``.

    That would be of the window alone, and once more for every hook that logs; ours counts over windows.
    """
    connector: Any = internals.logging_of(trainer)
    loop: Any = trainer.fit_loop.epoch_loop
    log_metrics = connector.log_metrics

    def log(metrics: Mapping[str, Any], at: int | None = None) -> None:
        if at is None and "step" not in metrics:
            at = loop.logged_steps if step is None else step
        log_metrics(metrics, step=at)

    connector.log_metrics = lambda metrics, step=None: log(metrics, step)


class _WindowLoop(internals.FitLoop):
    def __init__(
        self, trainer: pl.Trainer, start: Position, witness: Witness, min_epochs: int | None, max_epochs: int | None
    ) -> None:
        super().__init__(trainer, min_epochs, max_epochs)
        self._witness, self._in_epoch = witness, start.step > 0
        progress: Any
        for progress in (self.epoch_progress.total, self.epoch_progress.current):
            progress.ready = progress.started = start.epoch + self._in_epoch
            progress.processed = progress.completed = start.epoch

    @property
    def done(self) -> bool:
        """Whether no epoch is left; one that was under way comes to its end, whatever a callback asked for in it."""
        return not self._in_epoch and super().done

    def on_run_start(self) -> None:
        """Start the training, then tell."""
        super().on_run_start()
        self._witness.training_begins(self.trainer)

    def on_advance_start(self) -> None:
        """Begin an epoch; one that is under way already was begun, for callbacks too, before the stop."""
        if not self._in_epoch:
            super().on_advance_start()
            return
        self._in_epoch = False
        for callback in internals.callbacks_of(self.trainer):
            if isinstance(callback, ProgressBar):
                callback.on_train_epoch_start(self.trainer, self.trainer.lightning_module)

    def on_run_end(self) -> None:
        """End the training, then tell."""
        super().on_run_end()
        self._witness.window_trained(self.trainer)


class _EpochLoop(internals.EpochLoop):
    def __init__(self, trainer: pl.Trainer, start: Position, steps: int, logged_before: int, witness: Witness) -> None:
        super().__init__(trainer)
        self._witness, self._is_first, self._is_told = witness, True, False
        self._batches_done = start.step * trainer.accumulate_grad_batches
        self._is_whole = start.step == steps
        # logs count a step only after the evaluation that follows it
        self.logged_steps = logged_before + start.epoch * steps + start.step - self._is_whole
        batches = start.epoch * steps * trainer.accumulate_grad_batches
        total: Any = self.batch_progress.total
        total.ready = total.started = total.processed = total.completed = batches + self._batches_done

    def run(self, data_fetcher: Any) -> None:
        """The rest of an epoch."""
        self._is_told = False
        if self._is_first and (self._is_whole or (self._batches_done and self._stops())):
            self._end(data_fetcher)
            return
        super().run(data_fetcher)
        if not self._is_told:
            # ended by a hook, without an evaluation
            self._witness.epoch_trained(self.trainer, False)

    def _stops(self) -> bool:
        """Whether the epoch ends before its last batch, since a callback asked for it."""
        return bool(self.trainer.should_stop and internals.can_stop_early(self.trainer))

    def _end(self, data_fetcher: Any) -> None:
        """The evaluation and end of an epoch whose steps were done before the stop."""
        self._is_first = False
        self.logged_steps -= not self._is_whole
        self.reset()
        self.batch_progress.is_last_batch = self._is_whole
        internals.end_workers(data_fetcher)
        super().on_advance_end(data_fetcher)
        self.on_iteration_done()

    def reset(self) -> None:
        """Count the epoch's batches from 0, or from those done before the stop."""
        super().reset()
        current: Any = self.batch_progress.current
        current.ready = current.started = current.processed = current.completed = self._batches_done
        self._batches_done = 0

    def on_run_start(self, data_fetcher: Any) -> None:
        """Take up the epoch's batches; the iterator of the first epoch stands ready since the set-up."""
        if not self._is_first:
            iter(data_fetcher)
        elif self.batch_progress.current.ready:
            # else the first values logged would take those of before the stop for an older epoch's
            internals.continue_logged(self.trainer)
        self._is_first = False
        self.take_up(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        """After a batch, and the epoch's last: tell, then evaluate where that is due."""
        if self.is_at_last_batch or self._stops():
            # before an evaluation starts its own
            internals.end_workers(data_fetcher)
            self._is_told = True
            self._witness.epoch_trained(self.trainer, self.evaluates_next(data_fetcher))
        super().on_advance_end(data_fetcher)


# what a training goes on with beside weights, optimizers and schedules


def counters(trainer: pl.Trainer) -> dict[str, Any]:
    """What ``global_step`` counts, under automatic and under manual optimization; whether a callback asks to stop."""
    loop = trainer.fit_loop.epoch_loop
    return {
        "automatic": loop.automatic_optimization.optim_progress.optimizer_steps,
        "manual": loop.manual_optimization.optim_step_progress.total.completed,
        "should_stop": bool(trainer.should_stop),
        "evaluated_batches": dict(internals.evaluated_batches(trainer)),
    }


def restore_counters(trainer: pl.Trainer, counted: Mapping[str, Any]) -> None:
    """Go on from what ``counters`` gave."""
    # EarlyStopping asks once, and min_epochs may let it wait
    trainer.should_stop = counted.get("should_stop", False)
    loop = trainer.fit_loop.epoch_loop
    internals.evaluated_batches(trainer).update(counted.get("evaluated_batches", {}))
    for total, name in (
        (loop.automatic_optimization.optim_progress.optimizer.step.total, "automatic"),
        (loop.manual_optimization.optim_step_progress.total, "manual"),
    ):
        total.ready = total.completed = counted[name]


def callback_states(trainer: pl.Trainer) -> dict[str, Any]:
    """What callbacks' ``state_dict`` gives, by their keys: tensors and plain values.

    Raises:
        InputError: one holds something else.
    """
    states = {}
    for callback in internals.callbacks_of(trainer):
        state = callback.state_dict()
        if isinstance(callback, ModelCheckpoint):
            state = {**state, _HIDDEN: {name: getattr(callback, name) for name in internals.HIDDEN_OF_CHECKPOINTS}}
        if state:
            states[callback.state_key] = packed(state, f"callback {callback.state_key}")
    return states


def restore_callbacks(trainer: pl.Trainer, states: Mapping[str, Any]) -> None:
    """Give callbacks their states back, as Lightning does: before ``on_fit_start``."""
    for callback in internals.callbacks_of(trainer):
        if not (state := states.get(callback.state_key)):
            continue
        state = unpacked(deepcopy(state))
        if isinstance(callback, ModelCheckpoint):
            state = _moved(callback, state)
            for name, value in state.pop(_HIDDEN, {}).items():
                setattr(callback, name, value)
        callback.load_state_dict(state)


def _moved(callback: ModelCheckpoint, state: dict[str, Any]) -> dict[str, Any]:
    """The state of a ModelCheckpoint whose folder was moved with the experiment's."""
    before, now = state.get("dirpath"), callback.dirpath
    if not before or not now or before == now:
        return state

    def here(value: Any) -> Any:
        if isinstance(value, dict):
            return {here(key): here(item) for key, item in value.items()}
        return value.replace(str(before), str(now), 1) if isinstance(value, str) else value

    return {key: here(value) for key, value in state.items()}


def logged_values(trainer: pl.Trainer) -> dict[str, Any]:
    """What was logged, as far as it counts later: tensors and primitives.

    What ``monitor`` and callbacks read; and, in the order of their first log, values under way: sums behind those of
    ``on_epoch``, and the last of ``on_step``, which Lightning logs at every step until there is another.
    """
    sums = {}
    for key, item in internals.results(trainer).items():
        how = {"reduce_fx": item.meta.reduce_fx.__name__, "sync": item.meta.sync.should, "reset": item.has_reset}
        # of a metric, the state is among the detector's
        state = metric_state(item) if item.is_tensor else {"updates": item.value.update_count, "tensors": {}}
        sums[key] = {"meta": internals.meta_of(item), **how, **state, "last": on_cpu(internals.last_value(item))}
    seen = {name: {k: on_cpu(v) for k, v in getattr(trainer, name).items()} for name in internals.SEEN}
    return {**seen, "sums": sums, "metrics": metric_states(trainer.lightning_module)}


def restore_logged_values(trainer: pl.Trainer, logged: Mapping[str, Any]) -> None:
    """Go on from what ``logged_values`` gave; before the first batch."""
    device, module = trainer.strategy.root_device, trainer.lightning_module
    restore_metrics(module, logged.get("metrics", {}), device)
    for name in internals.SEEN:
        values = {key: moved_to(value, device) for key, value in logged.get(name, {}).items()}
        internals.seen_values(trainer, name).update(values)
    for key, saved in logged["sums"].items():
        item = internals.new_result(trainer, saved["meta"], saved["reduce_fx"], saved["sync"])
        attribute = saved["meta"]["metric_attribute"]
        if attribute is not None:
            item.value = module.get_submodule(attribute)
        restore_metric(item if attribute is None else item.value, saved, device)
        item.has_reset = saved.get("reset", False)
        internals.set_last_value(item, moved_to(saved.get("last"), device))
        internals.results(trainer)[key] = item
