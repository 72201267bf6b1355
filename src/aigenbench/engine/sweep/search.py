"""A search by Optuna, whose trials are cells: the results that it has looked at are those on disk."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from aigenbench.engine.results import evaluated
from aigenbench.engine.sweep.cells import Cell, make_cells
from aigenbench.engine.sweep.file import SweepFile
from aigenbench.engine.sweep.running import bring_to_end
from aigenbench.engine.sweep.space import Range, Search
from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import mean_over_windows
from aigenbench.training.processes.signals import StopRequest

PAST = "growing"


def optuna() -> Any:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise InputError("a search needs optuna: pip install 'aigenbench[sweep]'") from None


def first_values(search: Search) -> dict[str, Any]:
    """Some values of the space, to check its keys and to count samples by before anything starts."""
    return {key: kind.low if isinstance(kind, Range) else kind[0] for key, kind in search.space.items()}


def search_cells(file: SweepFile, search: Search, stop: StopRequest) -> tuple[tuple[Cell, ...], int]:
    """Try what the search asks for, one trial after the other; returns the cells and how many trials failed.

    The study is kept nowhere: the sampler is seeded, so a start repeats the trials that went before, whose cells are
    finished, and comes to the same next one.

    Raises:
        InputError: optuna is not installed, or a trial's configuration is wrong.
        StoppedError: a signal asked to stop; the same call goes on.
    """
    library = optuna()
    library.logging.set_verbosity(library.logging.WARNING)
    study = library.create_study(direction="maximize", sampler=library.samplers.TPESampler(seed=search.seed))
    cells: dict[str, Cell] = {}
    failed = 0
    for number in range(search.trials):
        trial = study.ask()
        values = _asked(trial, search.space)
        of_trial = make_cells(file, True, [{**values, **seeds} for seeds in file.cells])
        cells |= {cell.name: cell for cell in of_trial}
        which = f"trial {number + 1} of {search.trials}"
        if all(bring_to_end(cell, stop, which) == "finished" for cell in of_trial):
            study.tell(trial, _past(of_trial))
        else:
            failed += 1
            study.tell(trial, state=library.trial.TrialState.FAIL)
    return tuple(cells.values()), failed


def _asked(trial: Any, space: Mapping[str, Range | tuple[Any, ...]]) -> dict[str, Any]:
    values = {}
    for key, kind in space.items():
        if not isinstance(kind, Range):
            # by their places: Optuna takes no lists and mappings
            values[key] = kind[trial.suggest_categorical(key, list(range(len(kind))))]
        elif kind.is_whole:
            values[key] = trial.suggest_int(key, kind.low, kind.high, step=int(kind.step or 1), log=kind.log)
        else:
            values[key] = trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)
    return values


def _past(cells: tuple[Cell, ...]) -> float:
    """Mean Past-period AUROC over a trial's cells.

    Raises:
        InputError: one has none.
    """
    found = [mean_over_windows(evaluated(cell.folder).values, PAST) for cell in cells]
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        raise InputError(f"{cells[0].folder} has no Past-period AUROC, which the search looks at")
    return sum(known) / len(known)
