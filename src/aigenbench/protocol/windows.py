"""Windows of generators, and the training rows each of them uses (protocol section 3)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError, nearest
from aigenbench.protocol.published import SUBSET_SEED, TRAINING_SEED
from aigenbench.protocol.subsets import stratified_subset
from aigenbench.protocol.timeline import PUBLISHED, Timeline

BENCHMARK_TYPES = ("cumulative", "continual_learning", "none")

Rows = npt.NDArray[np.int64]


def generator_windows(timeline: Timeline, n_generators_per_window: int) -> tuple[tuple[str, ...], ...]:
    """Cut the timeline into consecutive windows.

    Generators released on one day are never separated: they join the window of the first of them, which may
    then hold more than ``n_generators_per_window``. The last window may hold fewer.

    Raises:
        InputError: ``n_generators_per_window`` is below 1.
    """
    if n_generators_per_window < 1:
        raise InputError(f"n_generators_per_window must be at least 1, found {n_generators_per_window}")
    windows: list[list[str]] = []
    last_day = None
    for generator in timeline.generators:
        tied = generator.released == last_day
        if not windows or (len(windows[-1]) >= n_generators_per_window and not tied):
            windows.append([])
        windows[-1].append(generator.name)
        last_day = generator.released
    return tuple(map(tuple, windows))


def standard_windows(windows: Sequence[Sequence[str]]) -> int:
    """How many of the windows of an extended timeline are those of the published one, which come first.

    0 where the timeline is the published one, and where generators that are not on it stand among its own: the windows
    are then others from there on.
    """
    own = [[name for name in names if name not in PUBLISHED.ids] for names in windows]
    count = next((k for k, names in enumerate(own) if names), 0)
    before = [name for names in windows[:count] for name in names]
    after = sum(map(len, windows[count:]))
    follows = after == sum(map(len, own)) and tuple(before) == PUBLISHED.restricted_to(before).names
    return count if follows else 0


class Choice(Protocol):
    """What a run's strategy chooses of the rows that a window may train on."""

    def rows(self, window: int) -> Rows:
        """The rows window ``window`` trains on: int64 (n,)."""

    def copies(self, window: int, factor: int) -> npt.NDArray[np.int64] | None:
        """How many of its ``factor`` copies each of them is trained on in: int64 (n,); None for all of them."""

    def sizes(self, window: int, factor: int) -> tuple[int, int]:
        """How many rows there are, and how many samples they make; known before the rows may be."""

    def candidates(self, window: int) -> Rows:
        """The rows; where they are not known yet, all those among which they are."""


@dataclass(frozen=True)
class TrainingSelection:
    """Row numbers of the train split, window by window.

    Attributes:
        own: for every window its own rows: the reals drawn for it, then its fakes in row order. int64 (n_k,).
        benchmark_type: ``cumulative``, ``continual_learning`` or ``none``.
        choice: what a run's strategy makes of them; None for all that the benchmark type allows.
        made: which rows of the split are followed by the picture made of them, bool (n,): row ``n + r`` stands for that
            of row ``r``. None where nothing is made of any.
    """

    own: tuple[Rows, ...]
    benchmark_type: str
    choice: Choice | None = None
    made: npt.NDArray[np.bool_] | None = None

    def rows(self, window: int) -> Rows:
        """The rows window ``window`` trains on: int64 (n,): its own, then the earlier windows', latest first.

        What is made of images follows where these do.
        """
        return self._with_made(self._chosen(window))

    def _chosen(self, window: int) -> Rows:
        if self.choice is not None:
            return self.choice.rows(window)
        if self.benchmark_type != "cumulative":
            return self.own[window]
        return np.concatenate(self.own[window::-1])

    def _with_made(self, rows: Rows) -> Rows:
        return rows if self.made is None else np.concatenate([rows, rows[self.made[rows]] + len(self.made)])

    def candidates(self, window: int) -> Rows:
        """``rows``, or more where the run has not come to choose them yet."""
        return self.rows(window) if self.choice is None else self._with_made(self.choice.candidates(window))

    def sizes(self, window: int, factor: int) -> tuple[int, int]:
        """How many rows there are, and how many samples: ``factor`` copies of each, as far as they are trained on."""
        if self.choice is not None and self.made is None:
            return self.choice.sizes(window, factor)
        n_rows, samples = len(self.rows(window)), self.samples(window, factor)
        return n_rows, n_rows * factor if samples is None else len(samples)

    def samples(self, window: int, factor: int) -> Rows | None:
        """The samples trained on, each ``position among the rows * factor + copy``: int64 (n,); None for all.

        What is made of an image has as many copies as that.
        """
        counts = None if self.choice is None else self.choice.copies(window, factor)
        if counts is None:
            return None
        if self.made is not None:
            counts = np.concatenate([counts, counts[self.made[self._chosen(window)]]])
        return np.flatnonzero(np.arange(factor) < counts[:, None])


def check_benchmark_type(benchmark_type: str) -> None:
    """Raise InputError unless ``benchmark_type`` is a known one."""
    if benchmark_type not in BENCHMARK_TYPES:
        raise InputError(
            f"unknown benchmark_type {benchmark_type!r}; known: {', '.join(BENCHMARK_TYPES)}"
            f"{nearest(benchmark_type, BENCHMARK_TYPES)}"
        )


def select_training_rows(
    generator_ids: npt.NDArray[np.integer],
    timeline: Timeline,
    windows: Sequence[Sequence[str]],
    benchmark_type: str,
    subset_size: int | float | None = None,
    chosen: Sequence[Rows] = (),
) -> TrainingSelection:
    """Choose every window's training rows.

    Args:
        generator_ids: generator id of every row of the train split, 0 for a real image, -1 for a row whose
            generator is not on the timeline (it is never chosen). int (n,).
        timeline: gives the ids their names.
        windows: generator names of every window; ignored where ``benchmark_type`` is ``none``.
        benchmark_type: see BENCHMARK_TYPES.
        subset_size: where given, only so many rows (int) or that share (float) of each window's own rows.
        chosen: own rows of the first windows, where an earlier run has chosen them.

    Raises:
        InputError: too few real images, a window without any fake, or a subset too small to stratify.
    """
    check_benchmark_type(benchmark_type)
    if benchmark_type == "none":
        everything = np.flatnonzero(generator_ids >= 0).astype(np.int64)
        return TrainingSelection((_subset(everything, generator_ids, subset_size, 0),), benchmark_type)
    reals = np.flatnonzero(generator_ids == 0)
    own: list[Rows] = list(chosen)
    pool = np.setdiff1d(reals, np.concatenate([reals[:0], *own])).tolist()
    for k, names in enumerate(windows[len(own) :], len(own)):
        fakes = np.flatnonzero(np.isin(generator_ids, [timeline.ids[name] for name in names])).astype(np.int64)
        if not len(fakes):
            raise InputError(f"window {k} has no training image of its generators ({', '.join(names)})")
        if len(pool) < len(fakes):
            raise InputError(
                f"window {k} needs {len(fakes)} real training images, {len(pool)} are left: "
                f"{len(fakes) - len(pool)} are missing; add reals or use fewer fakes"
            )
        drawn = random.Random(TRAINING_SEED + k).sample(pool, len(fakes))
        taken = set(drawn)
        pool = [row for row in pool if row not in taken]
        rows = np.concatenate([np.asarray(drawn, dtype=np.int64), fakes])
        own.append(_subset(rows, generator_ids, subset_size, k))
    return TrainingSelection(tuple(own), benchmark_type)


def _subset(rows: Rows, generator_ids: npt.NDArray[np.integer], subset_size: int | float | None, window: int) -> Rows:
    if subset_size is None:
        return rows
    chosen = stratified_subset(generator_ids[rows], subset_size, SUBSET_SEED + window, "train_subset_size")
    return rows[chosen]
