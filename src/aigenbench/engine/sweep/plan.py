"""What a sweep takes, said before it starts: samples, disk, and time once a cell is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np

from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.assembly.run import Run
from aigenbench.engine.sweep.cells import Cell, varied
from aigenbench.engine.sweep.file import shown
from aigenbench.engine.sweep.record import read_record
from aigenbench.engine.sweep.text import aligned
from aigenbench.errors import InputError
from aigenbench.models.catalogue import describe_model
from aigenbench.models.registry import split_suffix
from aigenbench.protocol.published import PER_GENERATOR, TRAINING_PER_GENERATOR
from aigenbench.protocol.subsets import subset_count
from aigenbench.protocol.windows import TrainingSelection, generator_windows
from aigenbench.training.resume.checkpoints import KEPT
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.selection import selected
from aigenbench.training.window.extended import make_plan_of

Counts = tuple[tuple[int, ...], int]
"""Training samples of an epoch of every window, earlier windows' among them, and evaluated images of each."""


@dataclass(frozen=True)
class Need:
    """What a cell takes at most.

    Attributes:
        training: samples: rows x copies x epochs, over all windows.
        evaluated: images, over all windows.
        disk: bytes of its checkpoints; None where no sheet tells of the model.
    """

    training: int
    evaluated: int
    disk: int | None

    @property
    def samples(self) -> int:
        """Of both kinds."""
        return self.training + self.evaluated


@dataclass(frozen=True)
class Plan:
    """The cells of a sweep with what each takes.

    Attributes:
        cells: in order.
        needs: of each.
        published: whether the counts are the published data set's, for want of one at ``dataset_path``.
    """

    cells: tuple[Cell, ...]
    needs: tuple[Need, ...]
    published: bool

    def __str__(self) -> str:
        keys = varied(self.cells)
        head = ["Cell", *keys, "Training samples", "Evaluated images", "Checkpoints"]
        rows = [
            [cell.name, *(shown(key, cell.values.get(key, "")) for key in keys), *_told(need)]
            for cell, need in zip(self.cells, self.needs, strict=True)
        ]
        disks = [need.disk for need in self.needs]
        whole = Need(
            sum(need.training for need in self.needs),
            sum(need.evaluated for need in self.needs),
            None if None in disks else sum(disk for disk in disks if disk is not None),
        )
        rows.append([f"{len(rows)} cell{'s' if len(rows) > 1 else ''}", *("" for _ in keys), *_told(whole)])
        counts = "by the published counts: there is no data set at dataset_path" if self.published else "at most"
        return "\n".join([*aligned([head, *rows], left=1 + len(keys)), "", f"Samples {counts}. {self.time}"])

    @property
    def time(self) -> str:
        """How long the cells that are left take, by the samples a second of those that are measured."""
        records = [read_record(cell) for cell in self.cells]
        finished = [cell.is_finished for cell in self.cells]
        measured = [
            (record.seconds, need.samples)
            for record, need, done in zip(records, self.needs, finished, strict=True)
            if done and record.is_whole
        ]
        left = sum(need.samples for need, done in zip(self.needs, finished, strict=True) if not done)
        if not left:
            return "All cells are finished."
        if not measured:
            return "The time is told once a cell is measured."
        seconds = left * sum(s for s, _ in measured) / sum(n for _, n in measured)
        n, of = finished.count(False), len(measured)
        about = timedelta(seconds=round(seconds))
        return f"{n} cell{'s' if n > 1 else ''} left, about {about} by the samples a second of {of} measured."


def make_plan(cells: Sequence[Cell], may_lack_data: bool) -> Plan:
    """What the cells take.

    Args:
        cells: of the sweep.
        may_lack_data: count by the published data set where there is none at ``dataset_path``.

    Raises:
        InputError: there is no data set and there must be, or the protocol cannot be met with it.
    """
    paths = {cell.config["dataset_path"] for cell in cells}
    published = may_lack_data and not all(path is not None and Path(path).exists() for path in paths)
    counts: dict[str, Counts] = {}
    needs = []
    for cell in cells:
        info = cell.config["experiment_info"]
        key = repr((cell.config["data"], info["sliding_windows_definition"], info.get("strategy")))
        if key not in counts:
            counts[key] = (_published_counts if published else _counts)(cell.config)
        needs.append(_need(cell.config, *counts[key]))
    return Plan(tuple(cells), tuple(needs), published)


def _need(config: ResolvedConfig, samples: Sequence[int], evaluated: int) -> Need:
    definition = config.experiment_info.sliding_windows_definition
    current = None if definition is None else definition.current_window
    own = samples if current is None else samples[current : current + 1]
    epochs = (config.get("trainer") or {}).get("max_epochs") or 1
    return Need(sum(own) * int(epochs), evaluated * len(own), _disk(config, len(own)))


def _counts(config: ResolvedConfig) -> Counts:
    """Of the data set that is there."""
    pipeline = Run("fit", config).instantiate_data()
    plan = make_plan_of(pipeline, config.experiment_info, "fit")
    return _samples(plan.training, pipeline.augmentation_factor), len(plan.evaluation.ids)


def _samples(training: TrainingSelection, factor: int) -> tuple[int, ...]:
    return tuple(training.sizes(k, factor)[1] for k in range(len(training.own)))


def _published_counts(config: ResolvedConfig) -> Counts:
    """Of the published data set: as many reals as fakes, and what is made of the reals."""
    pipeline = Run("fit", config).instantiate_data()
    n, kind = _windows_of(config)
    names = pipeline.timeline.names
    windows = (names,) if kind == "none" else generator_windows(pipeline.timeline, n)
    own = [_subset(2 * TRAINING_PER_GENERATOR * len(w), pipeline.train_subset_size) for w in windows]
    # half of a window's rows real, the fakes shared out evenly
    ids = np.concatenate(
        [(np.arange(n) % (2 * len(w)) - len(w) + 1).clip(min=0) for n, w in zip(own, windows, strict=True)]
    )
    rows = np.split(np.arange(len(ids), dtype=np.int64), np.cumsum(own)[:-1])
    asked, factor = pipeline.reconstruct, pipeline.augmentation_factor
    made = None if asked is None else asked.made_of(rows, ids == 0, np.arange(len(ids), dtype=np.uint64), 0)
    training = TrainingSelection(tuple(rows), kind, made=made)
    strategies = Strategies.of(config.experiment_info.strategy)
    training = selected(training, strategies, ids, lambda: np.empty(0, np.uint64), factor)
    return _samples(training, factor), _subset(2 * PER_GENERATOR * len(names), pipeline.validation_subset_size)


def _subset(n: int, size: int | float | None) -> int:
    return n if size is None else subset_count(n, size, "data.train_subset_size or validation_subset_size")


def _windows_of(config: ResolvedConfig) -> tuple[int, str]:
    definition = config.experiment_info.sliding_windows_definition
    return (0, "none") if definition is None else (definition.n_generators_per_window, definition.benchmark_type)


def _disk(config: ResolvedConfig, windows: int) -> int | None:
    """As ``fit`` counts it: final weights a window, checkpoints to go on from with two optimizer states a weight."""
    arguments = config["model"].get("init_args") or {}
    name = arguments.get("model_name")
    # of few weights that train, and of another head or what it sees, no sheet says how many they are
    plain = {"finetune": "all", "head": "linear", "transform": None, "features": None, "backbones": None}
    is_plain = all(arguments.get(key, usual) == usual for key, usual in plain.items())
    sizes = _bytes_of(name) if isinstance(name, str) and is_plain else None
    if sizes is None:
        return None
    kept, trained = sizes
    return windows * kept + (KEPT + 1) * (kept + 2 * trained)


@cache
def _bytes_of(model_name: str) -> tuple[int, int] | None:
    """Bytes that a checkpoint holds of a model and bytes that train, from its sheet; no weights are made."""
    try:
        sheet = describe_model(model_name)
    except InputError:
        # a model of the user's own: fit tells what is wrong with it, if anything is
        return None
    head = 4 * (sheet.num_features + 1)
    size = head if split_suffix(model_name)[1] else 4 * sheet.parameters + head
    return size, size


def _told(need: Need) -> list[str]:
    disk = "-" if need.disk is None else f"{need.disk / 1e6:,.1f} MB"
    return [f"{need.training:,}", f"{need.evaluated:,}", disk]
