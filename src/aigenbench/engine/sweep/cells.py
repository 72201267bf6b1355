"""The cells of a sweep: each one resolved configuration, an experiment named by its fingerprint."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.folder import CONFIG_FILE, predictions_file
from aigenbench.config.layer import key_layer
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.assembly.given import HERE
from aigenbench.engine.assembly.request import request
from aigenbench.engine.sweep.file import CONFIG, SweepFile, Values, config_files, label, written_out
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import window_folder
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.evaluation.report.seeds import recipe_of
from aigenbench.training.resume.state import is_finished, read_state

DIGITS = 12
"""Hex digits of a fingerprint that name a cell."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: the first digits of its fingerprint, a SHA-256 of all in its configuration that changes results.
        values: what it says beside the base.
        config: resolved; its experiment lies in the sweep's folder.
        recipe: what is trained, the seed aside: cells that have it in common are trainings of one model.
    """

    name: str
    values: Values
    config: ResolvedConfig
    recipe: str

    @property
    def label(self) -> str:
        """What it says beside the base, in a few words."""
        return label(self.values)

    @cached_property
    def folder(self) -> Path:
        """The experiment's folder."""
        info = self.config.experiment_info
        return Path(info.experiments_data_folder) / f"{info.experiment_name_prefix}{self.name}"

    def file(self, ending: str) -> Path:
        """A file that the sweep keeps of the cell: its config, its log, its record."""
        return Path(self.config.experiment_info.experiments_data_folder) / "cells" / f"{self.name}{ending}"

    @property
    def is_finished(self) -> bool:
        """Whether all windows are trained and evaluated, on the data set that the cell names now.

        Raises:
            InputError: a record or a predictions file is damaged.
        """
        path = self.folder / CONFIG_FILE
        if not path.is_file() or ResolvedConfig.from_file(path).get("dataset_path") != self.config["dataset_path"]:
            return False
        info = self.config.experiment_info
        definition = info.sliding_windows_definition
        first = 0 if definition is None else definition.current_window or 0
        if not is_finished(read_state(window_folder(self.folder, first))):
            return False
        alone = definition is not None and definition.current_window is not None
        evaluated = load_predictions(window_folder(self.folder, first) / predictions_file("validate"))
        windows = range(len(evaluated.windows_timeline))
        return alone or all(is_finished(read_state(window_folder(self.folder, k))) for k in windows)


def make_cells(file: SweepFile, with_weights: bool, values: Iterable[Values] | None = None) -> tuple[Cell, ...]:
    """Resolve every cell, before anything starts.

    Args:
        file: the sweep.
        with_weights: whether the weights of every model must be there, or be fetched.
        values: of the cells; None takes those of the file.

    Raises:
        InputError: one has a key that is unknown or a value that is wrong, names itself, or trains what another does.
    """
    found: dict[str, Cell] = {}
    told: set[str] = set()
    for given in file.cells if values is None else values:
        try:
            with _told_once(told):
                cell = make_cell(file, given, with_weights)
        except InputError as error:
            raise InputError(f"{file.source}: cell {label(given)}: {error}") from error
        other = found.setdefault(cell.name, cell)
        if other is not cell:
            raise InputError(
                f"{file.source}: the cells {other.label!r} and {cell.label!r} collide: they train the same "
                f"({cell.name}), since what they differ in changes no result; leave one out"
            )
    return tuple(found.values())


@contextmanager
def _told_once(told: set[str]) -> Iterator[None]:
    """Let what merging layers warns of pass where it is not among ``told`` yet: the same holds of most cells."""

    def is_new(record: logging.LogRecord) -> bool:
        known = record.getMessage() in told
        told.add(record.getMessage())
        return not known

    loggers = [logging.getLogger(f"aigenbench.config.{module}") for module in ("carried", "layers", "merge")]
    for one in loggers:
        one.addFilter(is_new)
    try:
        yield
    finally:
        for one in loggers:
            one.removeFilter(is_new)


def make_cell(file: SweepFile, values: Values, with_weights: bool) -> Cell:
    """Resolve one cell; raises as ``make_cells``."""
    said = written_out(values)
    layers = [key_layer(file.source, key, value) for key, value in {**file.overrides, **said}.items() if key != CONFIG]
    asked = request((*file.configs, *config_files(said)), layers)
    config = asked.run_with_weights("fit").config if with_weights else asked.resolved()
    info = config.experiment_info
    for key, given in (("experiment_id", info.experiment_id), ("heads", info.heads)):
        if given:
            raise InputError(f"experiment_info.{key}: a cell is one experiment, named by its fingerprint: leave it out")
    if info.experiments_data_folder != ExperimentInfo.experiments_data_folder:
        raise InputError("experiment_info.experiments_data_folder: a sweep's experiments lie in its folder: name that")
    recipe = recipe_of(config.to_yaml())
    assert recipe is not None, "a resolved configuration has a seed"
    if HERE in recipe or "__main__." in recipe:
        raise InputError("a cell runs in a process of its own: expected classes and functions that can be imported")
    name = hashlib.sha256(f"{recipe}\n{config['seed_everything']}".encode()).hexdigest()[:DIGITS]
    place = {"experiment_id": name, "experiments_data_folder": str(file.folder)}
    return Cell(
        name, values, ResolvedConfig({**config, "experiment_info": {**config["experiment_info"], **place}}), recipe
    )


def varied(cells: Iterable[Cell], without: Iterable[str] = ()) -> tuple[str, ...]:
    """The keys in which cells differ, in the order in which they are first named."""
    all_values = [cell.values for cell in cells]
    keys = dict.fromkeys(key for values in all_values for key in values if key not in set(without))
    return tuple(key for key in keys if any(values.get(key) != all_values[0].get(key) for values in all_values))
