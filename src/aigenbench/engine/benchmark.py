"""The benchmark's data as an object: windows, tables as arrays, images, fingerprints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError
from aigenbench.protocol.published import AUGMENTATIONS_BASE_SEED

if TYPE_CHECKING:
    from aigenbench.data.plan import Plan
    from aigenbench.data.sources.tables import ImageTable, SplitTables


@dataclass(frozen=True)
class BenchmarkWindow:
    """A window of the benchmark.

    Attributes:
        index: counted from 0.
        generators: those it brings, by release date.
        dates: their release dates.
        train_images: of the window alone, fakes and their reals.
        train_images_cumulative: of all windows up to it.
        evaluation_fakes: of its generators.
    """

    index: int
    generators: tuple[str, ...]
    dates: tuple[date, ...]
    train_images: int
    train_images_cumulative: int
    evaluation_fakes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, dates as ISO text."""
        dates = [day.isoformat() for day in self.dates]
        return {**asdict(self), "generators": list(self.generators), "dates": dates}


class Benchmark:
    """A data set and what the protocol makes of it. Images are read only when they are asked for.

    Args:
        path: a folder written by Hugging Face ``save_to_disk``, one of Parquet shards or with ``index.csv``, or a
            columns file (JSON).
        generators_per_window: 4 in the benchmark.
        benchmark_type: ``cumulative``, ``continual_learning`` or ``none``.
        train_subset_size: train rows a window: a number, or a share in 0..1; None takes all.
        validation_subset_size: likewise of the evaluation images.
        timeline: a file of generators and release dates; None takes the published one.
        follow_links: read files outside the folder too, where paths or links in it lead there.

    Raises:
        InputError: there is no data set, a split is missing, or the protocol cannot be met.
    """

    def __init__(
        self,
        path: Path | str,
        generators_per_window: int = 4,
        benchmark_type: str = "cumulative",
        train_subset_size: int | float | None = None,
        validation_subset_size: int | float | None = None,
        timeline: Path | str | None = None,
        follow_links: bool = False,
    ) -> None:
        from aigenbench.data.plan import make_plan
        from aigenbench.data.sources.opening import open_source
        from aigenbench.protocol.timeline import load_timeline

        self.source: SplitTables = open_source(path, follow_links)
        self.path = self.source.path
        self.plan: Plan = make_plan(
            self.source,
            generators_per_window,
            benchmark_type,
            train_subset_size,
            validation_subset_size,
            load_timeline(timeline),
        )

    def __repr__(self) -> str:
        return f"Benchmark({str(self.path)!r}, {len(self.windows)} windows)"

    @cached_property
    def windows(self) -> tuple[BenchmarkWindow, ...]:
        """The windows, in order."""
        plan, found = self.plan, []
        for k, names in enumerate(plan.windows):
            own = [len(rows) for rows in plan.training.own[: k + 1]]
            ids = [plan.timeline.ids[name] for name in names]
            fakes = int(np.isin(plan.evaluation.generator_ids, ids).sum())
            days = tuple(plan.timeline.dates[name] for name in names)
            found.append(BenchmarkWindow(k, tuple(names), days, own[-1], sum(own), fakes))
        return tuple(found)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there."""
        return tuple(self.source.splits)

    def table(self, split: str) -> dict[str, npt.NDArray[Any]]:
        """What is known of every image of a split, row by row, as arrays (n,).

        ``label`` (0 real, 1 fake; uint8), ``generator`` (its name, "" for reals), ``generator_id`` (by the data set's
        timeline: 0 for reals, -1 where it is not on it; int64), and the data set's further columns.

        Raises:
            InputError: there is no such split.
        """
        found = self._table(split)
        names = np.array(found.generator_names, dtype=object)
        return {
            "label": found.labels,
            "generator": names[found.generator_codes],
            "generator_id": found.generator_ids(self.plan.timeline),
            **{name: found.columns[name] for name in found.columns},
        }

    def training_rows(self, window: int) -> npt.NDArray[np.int64]:
        """Rows of the train split that a window is trained on; int64 (n,).

        Raises:
            InputError: there is no such window.
        """
        if not 0 <= window < len(self.windows):
            raise InputError(f"there is no window {window}; windows are 0..{len(self.windows) - 1}")
        return self.plan.training.rows(window)

    @property
    def evaluation_rows(self) -> npt.NDArray[np.int64]:
        """Rows of the validation split that are evaluated, in evaluation order; int64 (n,)."""
        return self.plan.evaluation.ids

    def image(self, split: str, row: int) -> npt.NDArray[np.uint8]:
        """An image as it is decoded, before any step of the protocol: uint8 (h, w, 3), RGB.

        Raises:
            InputError: there is no such split or row, or the image cannot be read.
        """
        from aigenbench.data.samples.dataset import read_image

        table = self._table(split)
        if not 0 <= row < len(table):
            raise InputError(f"split {split!r} has no row {row}; rows are 0..{len(table) - 1}")
        return read_image(table, row)

    @cached_property
    def fingerprint(self) -> str:
        """The protocol fingerprint that a run with the benchmark's own evaluation carries: 16 hex digits."""
        from aigenbench.augmentations import MandatoryEvaluation

        return self.plan.fingerprint(MandatoryEvaluation().describe(), AUGMENTATIONS_BASE_SEED)

    @cached_property
    def pairing_fingerprint(self) -> str:
        """The fingerprint of which real is paired with which fake's generator."""
        from aigenbench.protocol.fingerprints import pairing_fingerprint

        return pairing_fingerprint(self.plan.evaluation.ids, self.plan.evaluation.pairing)

    def _table(self, split: str) -> ImageTable:
        return self.source.table(split)
