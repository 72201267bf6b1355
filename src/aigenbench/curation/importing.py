"""Importing images of one's own into a data set in the benchmark's schema."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigenbench.curation.inspection import Progress
from aigenbench.curation.reading.entries import SAID, SPLITS, Entry, Faults, Rules, listed
from aigenbench.curation.reading.names import settle_names
from aigenbench.curation.reading.sources import list_source
from aigenbench.curation.splits import VALIDATION_SHARE, assign_splits, part_of
from aigenbench.curation.work import Imported, begin
from aigenbench.data.sources.mark import SYNTHETIC_MARK, is_synthetic
from aigenbench.errors import InputError, nearest
from aigenbench.files import user_path
from aigenbench.protocol.timeline import load_timeline

logger = logging.getLogger(__name__)

_LARGE_GROUP = 0.1
"""Share of the images in one group from which a warning is due."""


def no_progress(doing: str, done: int, total: int) -> None:
    """Tell nobody."""


def import_data(
    *sources: str | Path,
    out: str | Path,
    pattern: str | None = None,
    defaults: Mapping[str, str] | None = None,
    renames: Mapping[str, str] | None = None,
    new_generators: Sequence[str] = (),
    validation: float = VALIDATION_SHARE,
    per_generator: int | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    follow_links: bool = False,
    workers: int = 1,
    restart: bool = False,
    progress: Progress = no_progress,
    timeline: str | Path | None = None,
) -> Imported:
    """Put images into a data set in the benchmark's schema (protocol section 1); their bytes are kept as they are.

    A call that was interrupted goes on when it is made again. The same images give the same files, byte for byte,
    whatever the order of sources and the number of workers.

    Args:
        sources: folders of images (``real/...``, ``fake/GENERATOR/...``, or with an ``index.csv``), zip and tar
            archives of such, tables of paths (CSV, Parquet), Parquet shards with images, saved data sets.
        out: folder to make.
        pattern: of files' names, such as ``{split}/{generator}/*.png``, in place of ``real/`` and ``fake/GENERATOR/``.
        defaults: what holds where a source says nothing: ``generator``, ``split``, ``origin_dataset``, ``license`` ...
        renames: new generator name by the name found.
        new_generators: names that are right although they are near a known one.
        validation: share of images for validation, where a source does not say.
        per_generator: only so many images of every generator and split, and as many reals.
        seed: of the split and of that part.
        skip_unreadable: leave out images that cannot be decoded, and list them in the manifest.
        follow_links: take files that links or paths out of a source lead to.
        workers: processes.
        restart: throw away what an interrupted call left.
        progress: called with what is being done, images done, images in all.
        timeline: a file of generators and dates, whose names are known too.

    Raises:
        InputError: anything is wrong with the sources or ``out``; nothing is left at ``out``.
    """
    if not 0 <= validation <= 1:
        raise InputError(f"validation: expected a share between 0 and 1, found {validation}")
    unknown = [name for name in defaults or () if name not in SAID]
    if unknown:
        raise InputError(f"defaults: no column {unknown[0]!r}{nearest(unknown[0], SAID)}; there are {', '.join(SAID)}")
    if not sources:
        raise InputError("no source is given; name a folder, an archive or a table")
    check_part(per_generator)
    listings = [list_source(source, Rules(pattern, defaults or {}, follow_links)) for source in sources]
    entries = [entry for listing in listings for entry in listing.entries]
    left_out = [name for listing in listings for name in listing.left_out]
    if left_out:
        logger.info("left out, no images of this layout: %s", listed(left_out))
    check_ids(entries)
    settle_names(entries, load_timeline(timeline).names, renames or {}, new_generators)
    largest = assign_splits(entries, validation, seed)
    if largest > max(_LARGE_GROUP * len(entries), 2 * len(SPLITS)):
        logger.warning("one group of images that stay in one split holds %d of %d", largest, len(entries))
    if per_generator is not None:
        entries = part_of(entries, per_generator, seed)
    entries.sort(key=lambda entry: (SPLITS.index(entry.split), not entry.generator, entry.order, entry.file_id))
    decisions: dict[str, Any] = {
        "split_rule": {"validation": validation, "seed": seed},
        "part": per_generator and {"per_generator": per_generator, "seed": seed},
        "renamed": dict(sorted((renames or {}).items())),
    }
    description = SYNTHETIC_MARK if any(is_synthetic(user_path(source)) for source in sources) else ""
    with begin(user_path(out), entries, decisions, workers, restart, progress) as work:
        faults, rows, skipped = Faults(), [], []
        for entry, seen in zip(entries, work.inspect(entries), strict=True):
            if seen.fault:
                faults.add(seen.fault, entry.file_id)
                skipped.append(entry.file_id)
            else:
                rows.append((entry, seen))
        if not (skip_unreadable and rows):
            faults.check("images that cannot be read", "mend them, or --skip-unreadable leaves them out")
        return work.finish(rows, {**decisions, "skipped": sorted(skipped)}, description)


def check_part(per_generator: int | None) -> None:
    """Raise InputError where a part of a data set would be empty."""
    if per_generator is not None and per_generator < 1:
        raise InputError(f"per_generator: expected at least 1, found {per_generator}")


def check_ids(entries: Sequence[Entry]) -> None:
    """Raise InputError where two images have one ``file_id``."""
    doubled = [file_id for file_id, n in Counter(entry.file_id for entry in entries).items() if n > 1]
    if doubled:
        raise InputError(
            f"images of one name: {listed(doubled)}; give each a file_id of its own, or put the sources' folders side "
            "by side in one and import that"
        )
