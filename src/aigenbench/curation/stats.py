"""What a data set is made of: sizes, formats and bytes by split, generator and origin, from the files' headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.curation.inspection import Progress, no_progress
from aigenbench.data.mapping import mapper
from aigenbench.data.pictures.decode import UnreadableImageError
from aigenbench.data.pictures.facts import SUBSAMPLINGS, Facts, picture_facts
from aigenbench.data.sources.mark import marks_of
from aigenbench.data.sources.opening import open_images
from aigenbench.data.sources.tables import ImageTable, SplitTables
from aigenbench.errors import InputError, nearest
from aigenbench.protocol.timeline import Timeline, load_timeline

REAL = "real"
"""What real images are called where generators are chosen."""
_CHUNK = 128


class Spread(NamedTuple):
    """Least, middle and greatest of a number."""

    min: float
    median: float
    max: float


class _Seen(NamedTuple):
    """Bytes of a file, -1 where it cannot be read at all; what its header says, None where it says nothing."""

    size: int
    facts: Facts | None


@dataclass(frozen=True)
class Group:
    """Images of one split, generator and origin.

    Attributes:
        split: its name.
        generator: name; "" for reals.
        origin: what ``origin_dataset`` says; "" where nothing does.
        released: ISO date of the generator; None for reals, and where the timeline has no such name.
        images: how many.
        unreadable: how many of them are missing, or have a damaged header; what follows is of the others.
        bytes: of all files.
        width, height: in pixels, as shown; None where no file can be read, as for what follows.
        aspect: width divided by height.
        formats: how many images, by name of the format.
        jpeg_quality: libjpeg's whose quantisation table is the nearest, of JPEG files; None without one.
        subsampling: how many JPEG images, by ``4:4:4``, ``4:2:2``, ``4:2:0`` or ``other``.
        modes: how many images, by Pillow's mode.
        exif: how many have an EXIF record.
    """

    split: str
    generator: str
    origin: str
    released: str | None
    images: int
    unreadable: int
    bytes: int
    width: Spread | None
    height: Spread | None
    aspect: Spread | None
    formats: Mapping[str, int]
    jpeg_quality: Spread | None
    subsampling: Mapping[str, int]
    modes: Mapping[str, int]
    exif: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {key: value._asdict() if isinstance(value, Spread) else value for key, value in vars(self).items()}


@dataclass(frozen=True)
class Stats:
    """What a data set is made of.

    Attributes:
        source: its place.
        marks: what it says of itself (``synthetic``, ``matched``).
        groups: in the order of splits; reals first, then generators by date.
    """

    source: Path
    marks: tuple[str, ...]
    groups: tuple[Group, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": str(self.source),
            "marks": list(self.marks),
            "images": sum(group.images for group in self.groups),
            "bytes": sum(group.bytes for group in self.groups),
            "groups": [group.to_dict() for group in self.groups],
        }


def stats(
    place: Path | str,
    splits: Sequence[str] = (),
    generators: Sequence[str] = (),
    timeline: Path | str | None = None,
    workers: int = 1,
    progress: Progress = no_progress,
    follow_links: bool = False,
) -> Stats:
    """Read the header of every image of a data set; pixels are not decoded.

    Args:
        place: a saved data set, Parquet shards, or a folder with ``index.csv``.
        splits: only these.
        generators: only these; ``real`` for reals.
        timeline: a file that orders and dates the generators; None takes the published one.
        workers: processes.
        progress: called with what is being done, how many images are done, and how many there are.
        follow_links: read files outside the data set's folder too.

    Raises:
        InputError: no data set, one without images, or no such split or generator.
    """
    # what an earlier call has opened may have changed since
    _opened.cache_clear()
    dated, source = load_timeline(timeline), open_images(place, follow_links)
    tables = _chosen(source, splits, generators)
    groups: list[Group] = []
    with mapper(workers) as mapped:
        for split, rows in tables.items():
            parts = [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]
            chunks = [(str(source.path), follow_links, split, part) for part in parts]
            seen: list[_Seen] = []
            for found in mapped(_look_at, chunks):
                seen += found
                progress(f"reading headers of {split}", len(seen), len(rows))
            groups += _groups(source.splits[split], rows, seen, dated)
    return Stats(source.path, marks_of(source.path), tuple(groups))


def _chosen(source: SplitTables, splits: Sequence[str], generators: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    """Rows by split."""
    known = {REAL, *source.generator_names}
    for name, there in (*((one, set(source.splits)) for one in splits), *((one, known) for one in generators)):
        if name not in there:
            hint = nearest(name, there) or f"; found {', '.join(sorted(there))}"
            raise InputError(f"{source.path} has no {'split' if name in splits else 'generator'} {name!r}{hint}")
    wanted = {"" if name == REAL else name for name in generators}
    found = {}
    for split, table in source.splits.items():
        if not splits or split in splits:
            is_wanted = [not wanted or name in wanted for name in table.generator_names]
            found[split] = np.flatnonzero(np.array(is_wanted, dtype=bool)[table.generator_codes])
    return found


@lru_cache(maxsize=1)
def _opened(place: str, follow_links: bool) -> SplitTables:
    return open_images(place, follow_links)


def _look_at(task: tuple[str, bool, str, npt.NDArray[np.int64]]) -> list[_Seen]:
    place, follow_links, split, rows = task
    store = _opened(place, follow_links).splits[split].store
    return [_look(store.read, int(row)) for row in rows]


def _look(read: Any, row: int) -> _Seen:
    try:
        data = memoryview(read(row))
    except OSError:
        return _Seen(-1, None)
    try:
        return _Seen(len(data), picture_facts(data))
    except UnreadableImageError:
        return _Seen(len(data), None)


def _groups(table: ImageTable, rows: npt.NDArray[np.int64], seen: Sequence[_Seen], timeline: Timeline) -> list[Group]:
    origins = table.columns.get("origin_dataset")
    members: dict[tuple[str, str], list[_Seen]] = {}
    for row, one in zip(rows, seen, strict=True):
        name = table.generator_names[table.generator_codes[row]]
        origin = "" if origins is None or origins[row] is None else str(origins[row])
        members.setdefault((name, origin), []).append(one)
    place = {name: number for number, name in enumerate(("", *timeline.names))}
    order = sorted(members, key=lambda key: (place.get(key[0], len(place)), *key))
    return [_group(table.split, *key, timeline, members[key]) for key in order]


def _group(split: str, generator: str, origin: str, timeline: Timeline, seen: Sequence[_Seen]) -> Group:
    facts = [one.facts for one in seen if one.facts is not None]
    day = timeline.dates.get(generator)
    jpegs = [one for one in facts if one.quality > 0]
    return Group(
        split,
        generator,
        origin,
        None if day is None else day.isoformat(),
        len(seen),
        len(seen) - len(facts),
        sum(max(one.size, 0) for one in seen),
        _spread([one.width for one in facts]),
        _spread([one.height for one in facts]),
        _spread([one.width / one.height for one in facts]),
        _counts(one.form for one in facts),
        _spread([one.quality for one in jpegs]),
        _counts(SUBSAMPLINGS[one.subsampling] if one.subsampling >= 0 else "other" for one in jpegs),
        _counts(one.mode for one in facts),
        sum(one.exif for one in facts),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(min(values), float(np.median(values)), max(values)) if values else None


def _counts(names: Any) -> dict[str, int]:
    return dict(Counter(names).most_common())
