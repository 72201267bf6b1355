"""A sweep from its file to its table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.engine.calling import as_a_call
from aigenbench.engine.sweep.cells import Cell, make_cells
from aigenbench.engine.sweep.file import SweepFile, read_sweep
from aigenbench.engine.sweep.plan import Plan, make_plan
from aigenbench.engine.sweep.running import RETRIES, run_cells
from aigenbench.engine.sweep.search import first_values, optuna, search_cells
from aigenbench.engine.sweep.table import SweepTable, make_table
from aigenbench.errors import InputError
from aigenbench.training.processes.signals import StopRequest
from aigenbench.training.resume.lock import locked

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """A sweep that is read and checked.

    Attributes:
        file: what was asked for.
        plan: its cells and what they take; with a search those of a first trial.
    """

    file: SweepFile
    plan: Plan

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells.

        Raises:
            InputError: of a search, which has none before it runs.
        """
        if self.file.search is not None:
            raise InputError(
                f"{self.file.source}: the trials of a search follow from each other: they are no array, and their "
                "table is the one that it ends with"
            )
        return self.plan.cells

    def __str__(self) -> str:
        search = self.file.search
        trials = "" if search is None else f"A search of {search.trials} trials, each of such cells:\n\n"
        return f"{self.file.source}: experiments in {self.file.folder}\n\n{trials}{self.plan}"

    def run(self, retries: int = RETRIES) -> tuple[SweepTable, int]:
        """Bring every cell to its end; returns the table and how many cells, or trials of a search, have failed.

        Args:
            retries: how often a cell that failed is tried again, after all others; trials of a search are not.

        Raises:
            InputError: another sweep is at work in the folder.
            StoppedError: a signal asked to stop; the same call goes on.
        """
        self.file.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.file.folder), StopRequest().installed() as stop:
            if self.file.search is None:
                cells, failed = self.plan.cells, run_cells(self.plan, retries, stop)
            else:
                cells, failed = search_cells(self.file, self.file.search, stop)
            table = make_table(cells, self.file.folder)
            table.write()
        return table, failed


def prepare(given: Path | str | Mapping[str, Any], folder: Path | str | None = None, dry_run: bool = False) -> Sweep:
    """Read a sweep, resolve its cells and count what they take; nothing is started.

    Args:
        given: the sweep's file, also a packaged one by its path, or a mapping of its sections.
        folder: where the experiments go; wins over the file's.
        dry_run: whether weights and the data set may be missing; samples are then the published data set's.

    Raises:
        InputError: see ``read_sweep``, ``make_cells`` and ``make_plan``; or a search lacks optuna.
    """
    file = read_sweep(given, folder)
    values = None
    if file.search is not None:
        optuna()
        first = first_values(file.search)
        values = [{**first, **seeds} for seeds in file.cells]
    return Sweep(file, make_plan(make_cells(file, not dry_run, values), dry_run))


def sweep(
    sweep: Path | str | Mapping[str, Any],
    folder: Path | str | None = None,
    retries: int = RETRIES,
    dry_run: bool = False,
) -> SweepTable:
    """Train what a sweep asks for, one cell after the other, each in a process of its own; called again, it goes on.

    Args:
        sweep: its file, also a packaged one by its path, or a mapping of its sections (see docs/sweeps.md).
        folder: where the experiments go; wins over the file's.
        retries: how often a cell that failed is tried again, after all others.
        dry_run: start nothing: the plan is told in the log, the table is of what is there.

    Returns:
        The table; it prints as the command's, and ``to_dict()`` gives plain values.

    Raises:
        InputError: bad input, before anything starts; one line that says what to do.
        KeyboardInterrupt: it was interrupted; what is done is kept, and the same call goes on.
    """
    with as_a_call():
        found = prepare(sweep, folder, dry_run)
        logger.info("%s", found)
        return make_table(found.plan.cells, found.file.folder) if dry_run else found.run(retries)[0]
