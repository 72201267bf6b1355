"""What a run uses of a data set: its windows, training rows and evaluation images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
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
    Rows,
    TrainingSelection,
    check_benchmark_type,
    generator_windows,
    select_training_rows,
    standard_windows,
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
        off_protocol: why what is trained on it is off protocol; none where it is not.
    """

    timeline: Timeline
    windows: tuple[tuple[str, ...], ...]
    benchmark_type: str
    training: TrainingSelection
    evaluation: EvaluationSet
    dropped: Mapping[str, Mapping[str, int]]
    off_protocol: tuple[str, ...] = ()

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
    chosen: Sequence[Rows] = (),
) -> Plan:
    """Apply the protocol to a data set.

    The timeline is restricted to the generators the data set holds in any split; the others are told in the log. Only
    what ``stage`` uses need be there: ``fit`` takes training rows and the validation split, ``validate`` the validation
    split, ``test`` likewise, or the test split where that is all there is. ``chosen`` is as of
    ``select_training_rows``.

    Raises:
        InputError: a split is missing, no generator is known, none of those that a timeline of one's own adds is there
            or one lacks images, or the protocol cannot be met (see ``select_training_rows`` and ``evaluation_set``).
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
    if timeline.title:
        _check_own_generators(source, used, timeline, [evaluated, *([] if train is None else [train])])
        if benchmark_type != "none":
            _tell_other_windows(used, windows, n_generators_per_window)
    training = TrainingSelection((), benchmark_type)
    if train is not None:
        ids = train.generator_ids(used)
        training = select_training_rows(ids, used, windows, benchmark_type, train_subset_size, chosen)
    evaluation = evaluation_set(evaluated.generator_ids(used), validation_subset_size)
    return Plan(used, windows, benchmark_type, training, evaluation, dropped)


def _check_own_generators(source: SplitTables, used: Timeline, timeline: Timeline, tables: list[ImageTable]) -> None:
    """Raise InputError where a data set has no use for a timeline of one's own, or too few images for it."""
    if timeline.extensions and not used.extensions:
        names = [name for name in timeline.names if name in timeline.extensions]
        raise InputError(
            f"{source.path} holds none of the {len(names)} generators that timeline {timeline.title} adds "
            f"({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}): leave the timeline out, or give a data set "
            "with them"
        )
    for table in tables:
        without = [name for name in used.names if name in used.extensions and not table.counts.get(name)]
        if without:
            raise InputError(
                f"{source.path}, split {table.split}: no image of {', '.join(map(repr, without[:4]))}, which timeline "
                f"{timeline.title} adds: a window trains and is evaluated on all its generators; add images, or leave "
                "the generator out of the timeline"
            )


def _tell_other_windows(used: Timeline, windows: tuple[tuple[str, ...], ...], n_generators_per_window: int) -> None:
    """Warn where the generators that a timeline adds change windows of the published one."""
    published = PUBLISHED.restricted_to(used.names)
    if standard_windows(windows) or not used.extensions or not published.generators:
        return
    theirs = generator_windows(published, n_generators_per_window)
    first = next(k for k, names in enumerate(windows) if k >= len(theirs) or names != theirs[k])
    own = next(name for names in windows[first:] for name in names if name in used.extensions)
    logger.warning(
        "timeline %s: with %s (%s) the windows from %d on are other than the published ones: there is no standard "
        "headline, and no run on the published timeline can go on with this one",
        used.title,
        own,
        used.dates[own],
        first,
    )


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
