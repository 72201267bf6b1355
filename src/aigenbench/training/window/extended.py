"""The plan of a run; and of one that goes on, on a longer timeline, where a finished one ended (protocol section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.folder import CONFIG_FILE, RUN_FILE
from aigenbench.config.resolved import FREE_TO_CHANGE, ResolvedConfig
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment
from aigenbench.files import read_json
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.strategies.base import KEY as STRATEGY
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.selection import selected

if TYPE_CHECKING:
    from aigenbench.training.window.inputs import RunInputs

_FREE = (
    *FREE_TO_CHANGE,
    "data.init_args.timeline",
    "experiment_info.experiment_name_prefix",
    "experiment_info.extends",
    "experiment_info.window_name_prefix",
)
"""In what a run may differ from the one that it extends."""
_KEY = "experiment_info.extends"


@dataclass(frozen=True)
class Base:
    """A finished run that another extends.

    Attributes:
        experiment: its folder.
        config: its configuration.
        predictions: of its windows, on its own evaluation set.
        differences: how the run that extends it is configured otherwise, where that was allowed.
    """

    experiment: ExperimentFolder
    config: ResolvedConfig
    predictions: ExperimentPredictions
    differences: tuple[str, ...] = ()

    @property
    def windows(self) -> tuple[tuple[str, ...], ...]:
        """The generators of each of its windows."""
        return self.predictions.timeline

    @cached_property
    def fingerprints(self) -> tuple[str | None, ...]:
        """Of the images that each window was trained on; None where nothing was written down."""
        records = (read_json(self.experiment.window_folder(k) / RUN_FILE) for k in range(len(self.windows)))
        return tuple(record.get("training_fingerprint") for record in records)


def make_plan_of(
    pipeline: AIGenBenchPipeline, info: ExperimentInfo, stage: str, chosen: tuple[npt.NDArray[np.int64], ...] = ()
) -> Plan:
    """The pipeline's plan under the section ``experiment_info``; ``chosen`` is as of ``select_training_rows``."""
    definition = info.sliding_windows_definition
    if definition is None:
        plan = pipeline.plan(benchmark_type="none", stage=stage)
    else:
        plan = pipeline.plan(definition.n_generators_per_window, definition.benchmark_type, stage, chosen)
    if not plan.training.own:
        return plan
    ids = pipeline.source.table("train").generator_ids(plan.timeline)
    training = selected(
        plan.training, Strategies.of(info.strategy), ids, lambda: pipeline.training_keys, pipeline.augmentation_factor
    )
    return replace(plan, training=training)


def planned(inputs: RunInputs, pipeline: AIGenBenchPipeline, stage: str) -> tuple[Plan, Base | None]:
    """The plan of a run, and the run that it extends where it trains on from one.

    The windows of that run keep its training rows: where the data set gives it others, because further real images were
    added, its images are looked up by what they are called (protocol section 4, Identity).

    Raises:
        InputError: see ``make_plan``; there is no such run, it is not finished, was configured otherwise, has other
            windows, or was trained on images that are not here.
    """
    info = inputs.config.experiment_info
    plan = make_plan_of(pipeline, info, stage)
    if info.extends is None or stage != "fit":
        return plan, None
    base = _open(inputs.config, inputs.allow_config_change)
    _check_windows(base, plan)
    if _other_window(base, pipeline, plan) is not None:
        plan = make_plan_of(pipeline, info, stage, _rows_of(base, inputs, pipeline, plan))
        if (window := _other_window(base, pipeline, plan)) is not None:
            raise InputError(
                f"{_KEY}: window {window} of {base.experiment.folder} was trained on other images (its run.json has "
                f"training_fingerprint {base.fingerprints[window]}) than its data set holds now: extend it with the "
                "data set that it was trained on, and further images"
            )
    return plan, base


def _open(config: ResolvedConfig, allow_change: bool) -> Base:
    info = config.experiment_info
    named = Path(str(info.extends))
    folder = named if named.is_dir() else Path(info.experiments_data_folder) / f"{info.experiment_name_prefix}{named}"
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{_KEY}: no experiment {named}; expected the folder of a finished one, or its experiment_id")
    if info.heads:
        raise InputError(f"{_KEY}: a run with experiment_info.heads extends none; extend each experiment by itself")
    choosing = Strategies.of(info.strategy).about("rows")
    if choosing is not None and choosing[1].needs_features:
        raise InputError(
            f"{_KEY}: with {STRATEGY} {choosing[0]} by features a run extends none: train this one from its first "
            "window"
        )
    theirs = ResolvedConfig.from_file(folder / CONFIG_FILE)
    differences = theirs.differences(config, _FREE)
    if differences and not allow_change:
        raise InputError(
            f"{_KEY}: {folder} was configured otherwise ({'; '.join(differences[:4])}"
            f"{'; ...' if len(differences) > 4 else ''}); extend it with the configuration that it had, or say "
            "--allow_config_change"
        )
    predictions = load_experiment(folder)
    if len(predictions.windows) < predictions.n_windows:
        raise InputError(
            f"{_KEY}: {folder} is not finished, {len(predictions.windows)} of its {predictions.n_windows} windows are: "
            "finish it first, with its own command"
        )
    experiment = ExperimentFolder(folder.name, folder, theirs.experiment_info.window_name_prefix)
    return Base(experiment, theirs, predictions, tuple(differences))


def _check_windows(base: Base, plan: Plan) -> None:
    for k, (theirs, ours) in enumerate(zip(base.windows, plan.windows, strict=False)):
        if theirs != ours:
            raise InputError(
                f"{_KEY}: window {k} of {base.experiment.folder} holds {', '.join(theirs)}, here it holds "
                f"{', '.join(ours)}: only a run whose windows all stay as they are can be extended; train this one "
                "from its first window, or date what is added after all that is there"
            )
    if len(plan.windows) <= len(base.windows):
        raise InputError(f"{_KEY}: the timeline adds no window to the {len(base.windows)} of {base.experiment.folder}")


def _other_window(base: Base, pipeline: AIGenBenchPipeline, plan: Plan) -> int | None:
    """The first of the base's windows that the plan would train on other images."""
    ours = (pipeline.training_fingerprint(plan, k) for k in range(len(base.windows)))
    pairs = zip(base.fingerprints, ours, strict=True)
    return next((k for k, (theirs, own) in enumerate(pairs) if theirs != own), None)


def _rows_of(
    base: Base, inputs: RunInputs, pipeline: AIGenBenchPipeline, plan: Plan
) -> tuple[npt.NDArray[np.int64], ...]:
    """Where the images of the base's windows stand in this run's train split, window by window; int64 (n,) each."""
    theirs = inputs.with_config(base.config)
    try:
        their_pipeline: AIGenBenchPipeline = theirs.instantiate_data()
        their_plan, _ = planned(theirs, their_pipeline, "fit")
    except InputError as error:
        raise InputError(
            f"{_KEY}: this data set gives the windows of {base.experiment.folder} other real images; the one that it "
            f"was trained on is needed to find its own: {error}"
        ) from error
    order = np.argsort(pipeline.training_keys, kind="stable")
    known = pipeline.training_keys[order]
    rows: list[npt.NDArray[np.int64]] = []
    for of_window in their_plan.training.own:
        keys = their_pipeline.training_keys[of_window]
        found = order[np.searchsorted(known, keys).clip(max=len(known) - 1)]
        same = pipeline.training_keys[found] == keys
        same &= _names(pipeline, plan, found) == _names(their_pipeline, their_plan, of_window)
        if not same.all():
            raise InputError(
                f"{_KEY}: {int((~same).sum())} of {len(same)} training images of window {len(rows)} of "
                f"{base.experiment.folder} are not in {pipeline.source.path}: add images to its data set, and take "
                "none out"
            )
        rows.append(found.astype(np.int64))
    return tuple(rows)


def _names(pipeline: AIGenBenchPipeline, plan: Plan, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    ids = pipeline.source.table("train").generator_ids(plan.timeline)[rows]
    return np.array(plan.timeline.id_to_name)[ids]
