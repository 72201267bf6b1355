"""An experiment on disk: the predictions of its windows, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.predictions import Predictions, load_predictions

STAGES = ("validate", "test")


@dataclass(frozen=True)
class Experiment:
    """What is there of an experiment.

    Attributes:
        name: the folder's name without ``experiment_``.
        stage: ``validate`` or ``test``.
        windows: predictions by window index; windows without a file are absent.
        n_windows: how many windows the timeline has.
        notes: what a reader should know, one line each (such as windows that are missing).
    """

    name: str
    stage: str
    windows: dict[int, Predictions]
    n_windows: int
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Predictions:
        """The first window there is: it speaks for what all windows share."""
        return self.windows[min(self.windows)]

    @property
    def has_next(self) -> bool:
        """Whether a headline exists: some window has a Next period."""
        return self.n_windows > 1


def load_experiment(folder: Path | str, stage: str = "validate") -> Experiment:
    """Read ``window_<k>/predictions_<stage>_all.npz`` of an experiment's folder.

    Args:
        folder: such as ``experiments_data/experiment_quickstart``.
        stage: ``validate`` or ``test``.

    Raises:
        InputError: no such folder or stage, no predictions in it, a broken file, or windows that were not
            evaluated on the same images.
    """
    folder = Path(folder)
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}{nearest(stage, STAGES)}")
    if not folder.is_dir():
        raise InputError(f"no experiment folder {folder}{_sibling(folder)}")
    windows = {k: load_predictions(path) for k, path in _files(folder, stage).items()}
    if not windows:
        raise InputError(f"{folder}: no window_<k>/predictions_{stage}_all.npz; has the run evaluated a window?")
    return assemble(folder.name.removeprefix("experiment_"), stage, windows, str(folder))


def assemble(name: str, stage: str, windows: dict[int, Predictions], where: str) -> Experiment:
    """Make an experiment of loaded windows.

    Raises:
        InputError: as of `load_experiment`.
    """
    first = windows[min(windows)]
    n_windows = len(first.windows_timeline)
    for k, p in windows.items():
        if k >= n_windows:
            raise InputError(f"{where}: window_{k} exists, but the timeline has {n_windows} windows")
        if p.window not in (None, k):
            raise InputError(f"{where}: window_{k} holds the predictions of window {p.window}")
        difference = _difference(first, p)
        if difference:
            raise InputError(
                f"{where}: window_{k} and window_{min(windows)} differ in {difference}; "
                "windows of one experiment are evaluated on the same images"
            )
    missing = [k for k in range(n_windows) if k not in windows]
    notes = []
    if missing:
        notes.append(f"no {stage} predictions for window {', '.join(map(str, missing))} of 0..{n_windows - 1}")
    return Experiment(name, stage, dict(sorted(windows.items())), n_windows, tuple(notes))


def window_folder(folder: Path | str, window: int) -> Path:
    """Where a window of an experiment lies: its configuration names the folders' prefix."""
    return Path(folder) / f"{_prefix(Path(folder))}{window}"


@lru_cache(maxsize=64)
def _prefix(folder: Path) -> str:
    path = folder / "config.yaml"
    if not path.is_file():
        return "window_"
    return ResolvedConfig.from_file(path).experiment_info.window_name_prefix


def _files(folder: Path, stage: str) -> dict[int, Path]:
    found = {}
    pattern = re.compile(rf"{re.escape(_prefix(folder))}(\d+)")
    for window in folder.iterdir():
        match = pattern.fullmatch(window.name)
        path = window / f"predictions_{stage}_all.npz"
        if match and path.is_file():
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def _difference(a: Predictions, b: Predictions) -> str:
    for name in ("windows_timeline", "generator_id_to_name", "protocol_fingerprint", "benchmark_type"):
        if getattr(a, name) != getattr(b, name):
            return name
    for name in ("identifier", "pairing"):
        if not np.array_equal(getattr(a, name), getattr(b, name)):
            return name
    return ""


def _sibling(folder: Path) -> str:
    if not folder.parent.is_dir():
        return ""
    known = [p.name for p in folder.parent.iterdir() if p.is_dir()]
    if f"experiment_{folder.name}" in known:
        return f"; did you mean {folder.parent / f'experiment_{folder.name}'}?"
    return nearest(folder.name, known)
