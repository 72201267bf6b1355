"""What a run uses of a data set: its windows, training rows and evaluation images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.sources.tables import ImageTable, SplitTables
from aigenbench.errors import InputError
from aigenbench.protocol.fingerprints import protocol_fingerprint
from aigenbench.protocol.generators import near_names
from aigenbench.protocol.pairing import EvaluationSet, evaluation_set
from aigenbench.protocol.published import GENERATORS_PER_WINDOW
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import (
    TrainingSelection,
    check_benchmark_type,
    generator_windows,
    select_training_rows,
)

READ_FOR_DIGEST = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Windows, rows and evaluation set of one run.

    Attributes:
        timeline: the generators used: those of the data set that the timeline knows.
        windows: generator names of every window.
        benchmark_type: ``cumulative``, ``continual_learning`` or ``none``.
        training: rows of the train split, window by window; none where the plan was made to evaluate.
        evaluation: images of the validation split (of the test split where that is all there is), in order, with their
            pairing.
        dropped: images left out because their generator is not on the timeline, by split and name.
    """

    timeline: Timeline
    windows: tuple[tuple[str, ...], ...]
    benchmark_type: str
    training: TrainingSelection
    evaluation: EvaluationSet
    dropped: Mapping[str, Mapping[str, int]]

    def fingerprint(self, mandatory_evaluation: Mapping[str, Any], augmentations_base_seed: int) -> str:
        """The protocol fingerprint, given ``describe()`` of the mandatory evaluation recipe and its seed."""
        return protocol_fingerprint(
            self.timeline,
            self.windows,
            self.benchmark_type,
            self.evaluation.ids,
            self.evaluation.pairing,
            mandatory_evaluation,
            augmentations_base_seed,
        )


def plan_of_generators(timeline: Timeline, windows: tuple[tuple[str, ...], ...]) -> Plan:
    """A plan without images, for what asks only which generators there are."""
    nothing = np.empty(0, dtype=np.int64)
    training = TrainingSelection((nothing,) * len(windows), "cumulative")
    return Plan(timeline, windows, "cumulative", training, EvaluationSet(nothing, nothing, nothing), {})


def make_plan(
    source: SplitTables,
    n_generators_per_window: int = GENERATORS_PER_WINDOW,
    benchmark_type: str = "cumulative",
    train_subset_size: int | float | None = None,
    validation_subset_size: int | float | None = None,
    timeline: Timeline = PUBLISHED,
    stage: str = "fit",
) -> Plan:
    """Apply the protocol to a data set.

    The timeline is restricted to the generators the data set holds in any split; the others are told in the log. Only
    what ``stage`` uses need be there: ``fit`` takes training rows and the validation split, ``validate`` the validation
    split, ``test`` likewise, or the test split where that is all there is.

    Raises:
        InputError: a split is missing, no generator is known, or the protocol cannot be met (see
            ``select_training_rows`` and ``evaluation_set``).
    """
    check_benchmark_type(benchmark_type)
    evaluated = source.table("test" if stage == "test" and "validation" not in source.splits else "validation")
    if stage == "test" and "test" not in source.splits:
        logger.info("%s has no test split: its validation images are taken", source.path)
    train = source.table("train") if stage == "fit" else None
    present = source.generator_names
    dropped = _dropped(source, timeline)
    used = timeline.restricted_to(present)
    if not used.generators:
        raise InputError(f"{source.path}: none of its generators is on the timeline: {', '.join(sorted(present))}")
    absent = [name for name in timeline.names if name not in present]
    if absent:
        logger.warning(
            "%s holds %d of the timeline's %d generators; windows are cut from those present (absent: %s)",
            source.path,
            len(used.names),
            len(timeline.names),
            ", ".join(absent[:4]) + (f" and {len(absent) - 4} more" if len(absent) > 4 else ""),
        )
    windows = (used.names,) if benchmark_type == "none" else generator_windows(used, n_generators_per_window)
    training = TrainingSelection((), benchmark_type)
    if train is not None:
        training = select_training_rows(train.generator_ids(used), used, windows, benchmark_type, train_subset_size)
    evaluation = evaluation_set(evaluated.generator_ids(used), validation_subset_size)
    return Plan(used, windows, benchmark_type, training, evaluation, dropped)


def images_digest(table: ImageTable, rows: npt.NDArray[np.int64]) -> str:
    """First 16 hex digits of a SHA-256 that tells the images of ``rows`` from others, without reading all of them.

    Taken of every file's length, and of the bytes of 16 spread over the rows.
    """
    sizes = table.store.sizes()
    digest = hashlib.sha256(sizes[rows].astype("<i8").tobytes() if len(sizes) else b"")
    for position in np.unique(np.linspace(0, len(rows) - 1, READ_FOR_DIGEST).astype(np.int64)):
        try:
            digest.update(table.store.read(int(rows[position])))
        except OSError:
            # whoever needs this image will say so
            digest.update(b"unreadable")
    return digest.hexdigest()[:16]


def _dropped(source: SplitTables, timeline: Timeline) -> dict[str, dict[str, int]]:
    dropped = {}
    for split, table in source.splits.items():
        unknown = {name: n for name, n in table.counts.items() if n and name not in timeline.ids}
        if unknown:
            dropped[split] = unknown
            near = near_names(unknown, timeline.names)
            logger.warning(
                "%s, split %s: %d images are left out, their generators are not on the timeline (%s)",
                source.path,
                split,
                sum(unknown.values()),
                ", ".join(
                    f"{name}: {n}" + (f", near {near[name]!r}" if name in near else "")
                    for name, n in sorted(unknown.items())
                ),
            )
    return dropped
