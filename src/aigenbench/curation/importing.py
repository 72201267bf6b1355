"""Importing images of one's own into a data set in the benchmark's schema."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aigenbench.curation.inspection import Progress, Seen, no_progress, too_small
from aigenbench.curation.matching import drawn, rules
from aigenbench.curation.reading.entries import SAID, SPLITS, Entry, Faults, Rules, listed
from aigenbench.curation.reading.names import settle_names
from aigenbench.curation.reading.places import RefusedError
from aigenbench.curation.reading.sources import list_source
from aigenbench.curation.shards import Row
from aigenbench.curation.splits import VALIDATION_SHARE, assign_splits, draw, part_of
from aigenbench.curation.work import Imported, begin
from aigenbench.data.sources.mark import MARKS, marks_of
from aigenbench.errors import InputError, nearest
from aigenbench.files import user_path
from aigenbench.protocol.generators import known_names
from aigenbench.protocol.timeline import load_timeline

logger = logging.getLogger(__name__)

LEAST_SIDE = 16
"""Of matched images, in pixels."""
_LARGE_GROUP = 0.1
"""Share of the images in one group from which a warning is due."""


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
    match_formats: int | None = None,
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
        match_formats: side in pixels, such as 200: store every image anew as a square JPEG of it, both classes alike;
            images whose shorter side is under 1.25 of it are left out, and listed in the manifest.
        follow_links: take files that links or paths out of a source lead to.
        workers: processes.
        restart: throw away what an interrupted call left.
        progress: called with what is being done, images done, images in all.
        timeline: a file of generators and dates, whose names are known too.

    Raises:
        InputError: anything is wrong with the sources or ``out``; nothing is left at ``out``.
    """
    _check_arguments(sources, defaults or {}, validation, per_generator, match_formats)
    entries = _found(sources, Rules(pattern, defaults or {}, follow_links))
    known = (*load_timeline(timeline).names, *known_names())
    settle_names(entries, known, renames or {}, new_generators)
    largest = assign_splits(entries, validation, seed)
    if largest > max(_LARGE_GROUP * len(entries), 2 * len(SPLITS)):
        logger.warning("one group of images that stay in one split holds %d of %d", largest, len(entries))
    if per_generator is not None:
        entries = part_of(entries, per_generator, seed)
    entries.sort(key=lambda entry: (SPLITS.index(entry.split), not entry.generator, entry.order, entry.file_id))
    if match_formats is not None:
        entries = [_matched(entry, match_formats, seed) for entry in entries]
    decisions: dict[str, Any] = {
        "split_rule": {"validation": validation, "seed": seed},
        "part": per_generator and {"per_generator": per_generator, "seed": seed},
        "renamed": dict(sorted((renames or {}).items())),
        **({} if match_formats is None else {"matched": rules(match_formats)}),
    }
    marks = {mark for source in sources for mark in marks_of(user_path(source))}
    marks |= set() if match_formats is None else {"matched"}
    description = "; ".join(text for mark, text in MARKS.items() if mark in marks)
    with begin(user_path(out), entries, decisions, workers, restart, progress) as work:
        rows, skipped, small = _usable(entries, work.inspect(entries), match_formats, skip_unreadable)
        decisions["skipped"] = sorted(skipped)
        if match_formats is not None:
            _check_classes(entries, rows, match_formats, small)
            decisions["too_small"] = sorted(small)
        return work.finish(rows, decisions, description)


def _check_arguments(
    sources: Sequence[str | Path],
    defaults: Mapping[str, str],
    validation: float,
    per_generator: int | None,
    match_formats: int | None,
) -> None:
    if not 0 <= validation <= 1:
        raise InputError(f"validation: expected a share between 0 and 1, found {validation}")
    unknown = [name for name in defaults if name not in SAID]
    if unknown:
        raise InputError(f"defaults: no column {unknown[0]!r}{nearest(unknown[0], SAID)}; there are {', '.join(SAID)}")
    # of a shell's variable that is not set comes "", which as a path is the working folder
    if not sources or "" in sources:
        raise InputError("no source is given; name a folder, an archive or a table")
    check_part(per_generator)
    if match_formats is not None and match_formats < LEAST_SIDE:
        raise InputError(f"match_formats: expected a side of at least {LEAST_SIDE} pixels, found {match_formats}")


def _found(sources: Sequence[str | Path], rules: Rules) -> list[Entry]:
    """The images in all sources; what is left out is told."""
    listings = [list_source(source, rules) for source in sources]
    left_out = [name for listing in listings for name in listing.left_out]
    if left_out:
        logger.info("left out, no images of this layout: %s", listed(left_out))
    entries = [entry for listing in listings for entry in listing.entries]
    check_ids(entries)
    return entries


def _usable(
    entries: Sequence[Entry], seen: Sequence[Seen], side: int | None, skip_unreadable: bool
) -> tuple[list[Row], list[str], list[str]]:
    """Rows of images that can be stored; names of those that cannot be read, and of those too small for ``side``.

    Raises:
        InputError: images cannot be read, and are not to be skipped or are all there is.
    """
    faults, rows, skipped, small = Faults(), list[Row](), list[str](), list[str]()
    for entry, found in zip(entries, seen, strict=True):
        if side is not None and found.fault == too_small(side):
            small.append(entry.file_id)
        elif found.fault:
            faults.add(found.fault, entry.file_id)
            skipped.append(entry.file_id)
        else:
            rows.append((entry, found))
    if not (skip_unreadable and rows):
        faults.check("images that cannot be read", "mend them, or --skip-unreadable leaves them out")
    return rows, skipped, small


def _matched(entry: Entry, side: int, seed: int) -> Entry:
    """The entry, to be stored anew as its name draws; the file's name tells no more what it was."""
    name = f"{entry.name.rpartition('.')[0] or entry.name}.jpg"
    return replace(entry, name=name, recoding=drawn(side, draw(seed, f"formats {entry.file_id}")))


def _check_classes(entries: Sequence[Entry], rows: Sequence[Row], side: int, small: list[str]) -> None:
    """Raise RefusedError where every image of a class is too small; tell what is left out."""
    for name, is_fake in (("real image", False), ("fake", True)):
        of_class = [entry for entry in entries if bool(entry.generator) == is_fake]
        if of_class and not any(bool(entry.generator) == is_fake for entry, _ in rows):
            raise RefusedError(f"--match-formats {side}: of every {name} {too_small(side)}; give a smaller side")
    if small:
        logger.info("left out, %s: %s", too_small(side), listed(small))


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
