"""`experiment_info`: where an experiment's files go and which windows it has."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from aigenbench.errors import InputError, nearest
from aigenbench.yaml_text import Typed

BenchmarkType = Literal["cumulative", "continual_learning", "none"]


@dataclass(frozen=True)
class SlidingWindows:
    """The windows of a run (protocol section 3).

    Attributes:
        n_generators_per_window: generators in a window, by release date; at least 1, or 0 where there are no windows.
        current_window: the one window to work on, counted from 0; None for all of them.
        benchmark_type: train window k on windows 0..k (`cumulative`), on window k alone (`continual_learning`), or
            on the whole data set at once (`none`).
    """

    n_generators_per_window: int = 4
    current_window: int | None = None
    benchmark_type: BenchmarkType = "cumulative"

    def __post_init__(self) -> None:
        least = 0 if self.benchmark_type == "none" else 1
        _at_least(self.n_generators_per_window, least, "sliding_windows_definition.n_generators_per_window")
        if self.current_window is not None:
            _at_least(self.current_window, 0, "sliding_windows_definition.current_window")


@dataclass(frozen=True)
class Head:
    """A further head that a run on cached features trains beside its own.

    Attributes:
        name: its experiment is called `<experiment_id>_<name>`; told from the other values where not given.
        lr: learning rate; None takes the run's, as for the others.
        weight_decay: weight decay.
        seed: `seed_everything`: order of the samples and initial weights.
    """

    name: str = ""
    lr: float | None = None
    weight_decay: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        given = [f"{key}_{value:g}" for key in ("lr", "weight_decay") if (value := getattr(self, key)) is not None]
        given += [] if self.seed is None else [f"seed_{self.seed}"]
        if not given:
            raise InputError("experiment_info.heads: a head needs lr, weight_decay or seed; it would repeat the run")
        for key in ("lr", "weight_decay"):
            if (value := getattr(self, key)) is not None and not value >= 0:
                raise InputError(f"experiment_info.heads: {key}: expected a number from 0 on, found {value}")
        if "/" in self.name:
            raise InputError(f"experiment_info.heads: a name enters a folder's: expected no '/', found {self.name!r}")
        object.__setattr__(self, "name", self.name or "_".join(given))


@dataclass(frozen=True)
class ExperimentInfo:
    """Where an experiment's files go and which windows it has.

    Attributes:
        experiment_id: names the experiment; None lets the run choose.
        experiment_name_prefix: stands before the id in folder names.
        window_name_prefix: stands before the window's number in folder names.
        experiments_data_folder: holds the folders of all experiments.
        logging_initial_step: the number of the first step in logs.
        checkpoint_every_n_minutes: a checkpoint within an epoch after so many minutes; None for none by time.
        checkpoint_every_n_steps: and after every so many optimizer steps; None for none by steps.
        extends: folder of a finished experiment whose last window this one, on a longer timeline, goes on from.
        heads: further heads to train at once from cached features, each an experiment of its own.
        strategy: how the run goes over its windows: strategies by name, with their arguments; None for the default.
        sliding_windows_definition: the windows; None for one training on the whole data set.
    """

    experiment_id: str | None = None
    experiment_name_prefix: str = "experiment_"
    window_name_prefix: str = "window_"
    experiments_data_folder: str = "experiments_data"
    logging_initial_step: int = 0
    checkpoint_every_n_minutes: int | None = 10
    checkpoint_every_n_steps: int | None = None
    extends: str | None = None
    heads: tuple[Head, ...] = ()
    strategy: Mapping[str, Mapping[str, Any]] | None = None
    sliding_windows_definition: SlidingWindows | None = None

    def __post_init__(self) -> None:
        _at_least(self.logging_initial_step, 0, "logging_initial_step")
        for key in ("checkpoint_every_n_minutes", "checkpoint_every_n_steps"):
            if getattr(self, key) is not None:
                _at_least(getattr(self, key), 1, key)
        windows = self.sliding_windows_definition
        if (
            windows is not None
            and windows.benchmark_type == "continual_learning"
            and "cumulative" in (self.strategy or ())
        ):
            raise InputError(
                "experiment_info.strategy: cumulative contradicts benchmark_type continual_learning, by which a window "
                "trains on its own images alone; leave one of them out"
            )
        if self.experiment_id is not None and (not self.experiment_id or "/" in self.experiment_id):
            raise InputError(
                f"experiment_info.experiment_id names a folder: expected text without '/', found {self.experiment_id!r}"
            )


def experiment_info(values: Mapping[str, Any], source: str = "") -> ExperimentInfo:
    """`ExperimentInfo` from a config's mapping; numbers where text is expected count as text.

    Args:
        values: the section as written.
        source: what to call the layer it stands in, for errors.

    Raises:
        InputError: a key is unknown, or a value is not of its type; the message names the key.
    """
    prefix = f"{source}: " if source else ""
    if not isinstance(values, Mapping):
        raise InputError(f"{prefix}experiment_info: expected a mapping, found {values!r}")
    values = dict(values)
    windows = values.pop("sliding_windows_definition", None)
    where = "experiment_info"
    heads = _heads(values.pop("heads", None), f"{where}.heads", prefix)
    strategy = _strategy(values.pop("strategy", None), f"{where}.strategy", prefix)
    info = {**_checked(ExperimentInfo, values, where, prefix), "heads": heads, "strategy": strategy}
    if windows is None:
        return ExperimentInfo(**info)
    definition = f"{where}.sliding_windows_definition"
    if not isinstance(windows, Mapping):
        raise InputError(f"{prefix}{definition}: expected a mapping, found {windows!r}")
    if "benchmark_type" in windows and windows["benchmark_type"] is None:
        windows = {**windows, "benchmark_type": "none"}
    checked = _checked(SlidingWindows, windows, definition, prefix)
    return ExperimentInfo(**info, sliding_windows_definition=SlidingWindows(**checked))


def _heads(values: Any, where: str, prefix: str) -> tuple[Head, ...]:
    if isinstance(values, Typed):
        values = values.value
    if values is None:
        return ()
    if not isinstance(values, list | tuple) or not all(isinstance(value, Mapping) for value in values):
        raise InputError(f"{prefix}{where}: expected a list of mappings such as {{lr: 0.01}}, found {values!r}")
    heads = tuple(Head(**_checked(Head, value, f"{where}.{i}", prefix)) for i, value in enumerate(values))
    names = [head.name for head in heads]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise InputError(f"{prefix}{where}: two heads are called {doubled[0]!r}; give them names")
    return heads


def _strategy(value: Any, where: str, prefix: str) -> dict[str, dict[str, Any]] | None:
    """Names and their arguments."""
    value = _read(value)
    given = {value: None} if isinstance(value, str) else value
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given or not all(isinstance(a, Mapping | None) for a in given.values()):
        raise InputError(
            f"{prefix}{where}: expected a name such as cumulative, or names with their arguments such as "
            f"{{replay: {{budget: 1000}}}}, found {value!r}"
        )
    return {str(name): dict(arguments or {}) for name, arguments in given.items()}


def _read(value: Any) -> Any:
    """A value, or those within a mapping or a list, as YAML reads what was typed."""
    if isinstance(value, Mapping):
        return {key: _read(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_read(item) for item in value]
    return value.value if isinstance(value, Typed) else value


def _checked(record: type, values: Mapping[str, Any], where: str, prefix: str) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    names = [field.name for field in fields(record)]
    for key in values:
        if key not in names:
            hint = nearest(str(key), names) or f"; the keys are {', '.join(names)}"
            raise InputError(f"{prefix}unknown key {where}.{key}{hint}")
    return {key: _typed(value, hints[key], f"{prefix}{where}.{key}") for key, value in values.items()}


def _typed(value: Any, hint: Any, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value in choices:
            # the choice itself: what was typed is a text of a class of its own
            return choices[choices.index(value)]
        raise InputError(
            f"{where}: expected one of {', '.join(choices)}, found {value!r}{nearest(str(value), choices)}"
        )
    if isinstance(value, Typed) and str not in options:
        value = value.value
    if str in options and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if float in options and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if int in options and isinstance(value, int) and not isinstance(value, bool):
        return value
    kinds = {type(None): "null", str: "text", int: "an integer", float: "a number"}
    wanted = " or ".join(kinds[o] for o in options)
    raise InputError(f"{where}: expected {wanted}, found {value!r}")


def _at_least(value: int, least: int, key: str) -> None:
    if value < least:
        raise InputError(f"experiment_info.{key}: expected an integer from {least} on, found {value}")
