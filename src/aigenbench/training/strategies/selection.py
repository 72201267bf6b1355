"""What each window of a run trains on under its strategies: chosen, checked, written down and read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.archives import read_npz
from aigenbench.config.folder import SELECTION_FILE
from aigenbench.errors import InputError
from aigenbench.files import whole_file
from aigenbench.protocol.identity import Keys
from aigenbench.protocol.windows import Rows, TrainingSelection
from aigenbench.training.strategies.base import KEY, RowsContext
from aigenbench.training.strategies.registry import Strategies

FeaturesOf = Callable[[int], npt.NDArray[np.float32]]
"""Features of a window's own images by what it ended with, (n, D); all processes that share the work must ask."""


class Selection:
    """Rows and copies by window, each window's chosen once; what a window was begun with stays.

    Args:
        strategies: of the run; one is about rows or copies.
        own: every window's own rows.
        generator_ids: of every row of the train split.
        keys: gives which image every row of it is.
    """

    def __init__(
        self,
        strategies: Strategies,
        own: tuple[Rows, ...],
        generator_ids: npt.NDArray[np.integer],
        keys: Callable[[], Keys],
    ) -> None:
        self._of_rows, self._of_copies = strategies.about("rows"), strategies.about("copies")
        self._own, self._generator_ids, self._keys = own, generator_ids, keys
        self._needs_features = self._of_rows is not None and self._of_rows[1].needs_features
        self._chosen: dict[int, Rows] = {}
        self._folder_of: Callable[[int], Path] | None = None
        self._features_of: FeaturesOf | None = None

    def attach(self, folder_of: Callable[[int], Path], features_of: FeaturesOf) -> None:
        """Let windows keep what they were begun with, in their folders, and choose by features."""
        self._folder_of, self._features_of = folder_of, features_of
        self._chosen.clear()

    @property
    def needs_features(self) -> bool:
        """Whether a window's rows are known only when the one before is trained."""
        return self._needs_features

    def rows(self, window: int) -> Rows:
        """The rows window ``window`` trains on: int64 (n,).

        Raises:
            InputError: the strategy cannot choose, or chooses what the window may not train on; the window was begun
                with other images than there are now.
        """
        if window not in self._chosen and not self._read(window):
            features = None
            if self._needs_features and window:
                if self._features_of is None:
                    raise InputError(
                        f"{KEY}: which images window {window} trains on is known when window {window - 1} is trained"
                    )
                features = partial(self._features_of, window - 1)
            self._chosen[window] = self._choose(window, self.rows, features)
        return self._chosen[window]

    def candidates(self, window: int) -> Rows:
        """The rows; where features decide, all those among which they are."""
        return np.concatenate(self._own[: window + 1]) if self._needs_features else self.rows(window)

    def copies(self, window: int, factor: int) -> npt.NDArray[np.int64] | None:
        """How many of its ``factor`` copies each row is trained on in: int64 (n,); None for all of them.

        Raises:
            InputError: the strategy says another number than 1 to ``factor`` a row.
        """
        return self._copies(window, factor, self.rows(window), self.rows)

    def sizes(self, window: int, factor: int) -> tuple[int, int]:
        """How many rows and samples a window trains on; known before its rows are."""
        known = not self._needs_features or window in self._chosen or self._read(window)
        rows_of = self.rows if known else self._sized
        rows = rows_of(window)
        copies = self._copies(window, factor, rows, rows_of)
        return len(rows), len(rows) * factor if copies is None else int(copies.sum())

    def write(self, folder: Path, window: int, factor: int) -> None:
        """Write down in a window's folder what it trains on."""
        rows, copies = self.rows(window), self.copies(window, factor)
        of_windows = np.concatenate([np.full(len(own), k) for k, own in enumerate(self._own)])
        order = np.argsort(own := np.concatenate(self._own))
        with whole_file(folder / SELECTION_FILE) as temporary:
            np.savez(
                temporary,
                rows=rows,
                keys=self._keys()[rows],
                windows=of_windows[order[np.searchsorted(own, rows, sorter=order)]],
                generator_ids=self._generator_ids[rows],
                copies=np.full(len(rows), factor) if copies is None else copies,
            )

    def _read(self, window: int) -> bool:
        """Take what a window was begun with, where it was."""
        path = None if self._folder_of is None else self._folder_of(window) / SELECTION_FILE
        if path is None or not path.is_file():
            return False
        read, keys = read_npz(path, ("rows", "keys")), self._keys()
        rows, theirs = read.get("rows", np.empty(0)), read.get("keys")
        if rows.dtype != np.int64 or rows.ndim != 1 or theirs is None or theirs.shape != rows.shape or not len(rows):
            raise InputError(f"{path} is damaged: remove the window's folder to train it again")
        if rows.min() < 0 or rows.max() >= len(keys) or (keys[rows] != theirs).any():
            raise InputError(
                f"{path}: window {window} was begun with images that are not, or not there, in the data set at "
                "dataset_path: use the one that it was begun with, or another experiment_info.experiment_id"
            )
        self._chosen[window] = rows
        return True

    def _sized(self, window: int) -> Rows:
        """As many rows as the window will train on."""
        return self._choose(window, self._sized, None)

    def _choose(self, window: int, rows_of: Callable[[int], Rows], features: Callable[[], Any] | None) -> Rows:
        if self._of_rows is None:
            return np.concatenate(self._own[window::-1])
        name, strategy = self._of_rows
        rows = np.asarray(strategy.rows(self._context(window, rows_of, features)))
        own = self._own[: window + 1]
        if rows.dtype != np.int64 or rows.ndim != 1 or not len(rows):
            raise InputError(
                f"{KEY}: {name} must give window {window} rows, int64 (n,), found {rows.dtype} {rows.shape}"
            )
        if len(np.unique(rows)) < len(rows) or not np.isin(rows, np.concatenate(own)).all():
            raise InputError(f"{KEY}: {name} gives window {window} a row twice, or one that no window so far has")
        return rows

    def _copies(
        self, window: int, factor: int, rows: Rows, rows_of: Callable[[int], Rows]
    ) -> npt.NDArray[np.int64] | None:
        if self._of_copies is None:
            return None
        name, strategy = self._of_copies
        copies = np.asarray(strategy.copies(self._context(window, rows_of, None), rows, factor))
        if copies.dtype != np.int64 or copies.shape != rows.shape or copies.min() < 1 or copies.max() > factor:
            raise InputError(f"{KEY}: {name} must give each row of window {window} 1 to {factor} copies, int64 (n,)")
        return copies

    def _context(self, window: int, rows_of: Callable[[int], Rows], features: Callable[[], Any] | None) -> RowsContext:
        return RowsContext(window, self._own[: window + 1], self._generator_ids, lambda: rows_of(window - 1), features)


def selected(
    training: TrainingSelection,
    strategies: Strategies,
    generator_ids: npt.NDArray[np.integer],
    keys: Callable[[], Keys],
    factor: int,
) -> TrainingSelection:
    """A selection of which a run's strategies choose; the same where none is about rows or copies.

    Args:
        training: what every window has.
        strategies: of the run.
        generator_ids: of every row of the train split.
        keys: gives which image every row of it is.
        factor: copies of each.

    Raises:
        InputError: a strategy contradicts the benchmark type, or cannot choose for the last window.
    """
    about = [found for found in (strategies.about("rows"), strategies.about("copies")) if found is not None]
    if not about or not training.own:
        return training
    name, kind = about[0][0], training.benchmark_type
    if kind == "none":
        raise InputError(f"{KEY}: {name} goes over windows, and benchmark_type none has none; leave it out")
    if kind == "continual_learning" and name == "new_window":
        return training
    if kind == "continual_learning" and strategies.about("rows") is not None:
        raise InputError(
            f"{KEY}: {name} contradicts benchmark_type continual_learning, by which a window trains on its own images "
            "alone; use benchmark_type cumulative with it, or leave it out"
        )
    rows = strategies.about("rows")
    if training.made is not None and rows is not None and rows[1].needs_features:
        raise InputError(
            f"{KEY}: {name} by features chooses a window's images when the one before is trained, and data.reconstruct "
            "must be told before; leave one of the two out"
        )
    choice = Selection(strategies, training.own, generator_ids, keys)
    choice.sizes(len(training.own) - 1, factor)
    return replace(training, choice=choice)
