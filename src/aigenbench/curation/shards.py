"""Writing shards of images, each whole or not at all, by a plan that says what belongs in each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aigenbench.curation.inspection import Progress, Seen, stored
from aigenbench.curation.reading.entries import PAIRED, TEXTS, Entry
from aigenbench.curation.reading.places import changed, read
from aigenbench.data.mapping import Mapped
from aigenbench.data.sources.saved_layout import data_file, data_file_name, features_of
from aigenbench.errors import InputError
from aigenbench.files import remove_temporaries, whole_file, write_json

FEATURES = features_of("license", "sha256")
SHARD_BYTES = 2**29
"""A shard ends with the image that reaches it; a column of Arrow's ordinary type holds 2 GiB, and a batch far less."""
SHARD_ROWS = 20_000
_BATCH_BYTES = 2**25
_BATCH_ROWS = 256

Row = tuple[Entry, Seen]


class Shard(NamedTuple):
    """A file of a split, and the rows in it."""

    split: str
    name: str
    rows: Sequence[Row]

    @property
    def size(self) -> int:
        """Bytes of its images."""
        return sum(seen.size for _, seen in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """What the plan says of it."""
        digest = hashlib.sha256("".join(f"{entry.file_id}\0{seen.sha256}\n" for entry, seen in self.rows).encode())
        return {"split": self.split, "name": self.name, "rows": len(self.rows), "images": digest.hexdigest()}


def plan_shards(splits: dict[str, list[Row]]) -> list[Shard]:
    """The shards of a data set: consecutive rows, cut by bytes."""
    shards = []
    for split, rows in splits.items():
        parts = list(_cut(rows, SHARD_BYTES, SHARD_ROWS))
        shards += [Shard(split, data_file_name(i, len(parts)), part) for i, part in enumerate(parts)]
    return shards


def _cut(rows: Sequence[Row], size: int, count: int) -> Iterator[Sequence[Row]]:
    """Consecutive parts of so many bytes and rows: each ends with the row that reaches one of them."""
    start = held = 0
    for end, (_, seen) in enumerate(rows, 1):
        held += seen.size
        if held >= size or end - start >= count or end == len(rows):
            yield rows[start:end]
            start, held = end, 0


def write_shards(folder: Path, plan: Path, shards: Sequence[Shard], mapped: Mapped, progress: Progress) -> None:
    """Write the shards that are not there yet.

    Args:
        folder: of the data set.
        plan: a file that says what belongs in each; where it is there, shards may be too.
        shards: all of them.
        mapped: maps in worker processes, in order.
        progress: is told how far it is.

    Raises:
        InputError: the plan is another, there is too little space, or a source has changed.
    """
    description = [shard.to_dict() for shard in shards]
    if not plan.exists():
        write_json(plan, description)
    elif json.loads(plan.read_bytes()) != description:
        raise InputError(f"{plan} is the plan of other images; --restart begins anew")
    for split in {shard.split for shard in shards}:
        remove_temporaries(folder / split)
    missing = [shard for shard in shards if not (folder / shard.split / shard.name).exists()]
    needed, free = sum(shard.size for shard in missing), shutil.disk_usage(plan.parent).free
    if needed > free:
        raise InputError(f"{folder}: {needed / 1e9:.1f} GB are to be written, {free / 1e9:.1f} GB are free; make space")
    total = sum(len(shard.rows) for shard in shards)
    done = total - sum(len(shard.rows) for shard in missing)
    progress("writing", done, total)
    for count in mapped(_write, [(folder / shard.split / shard.name, shard.rows) for shard in missing]):
        done += count
        progress("writing", done, total)


def _write(task: tuple[Path, Sequence[Row]]) -> int:
    path, rows = task
    with whole_file(path) as temporary, data_file(temporary, FEATURES) as write:
        for batch in _cut(rows, _BATCH_BYTES, _BATCH_ROWS):
            write([_columns(entry, seen) for entry, seen in batch])
    return len(rows)


def _columns(entry: Entry, seen: Seen) -> dict[str, Any]:
    data = stored(read(entry.place), entry)
    if hashlib.sha256(data).hexdigest() != seen.sha256:
        raise changed(entry.place.path)
    return {
        "image": {"bytes": data, "path": entry.name},
        "height": seen.height,
        "width": seen.width,
        "label": int(bool(entry.generator)),
        "generator": entry.generator,
        "file_id": entry.file_id,
        **{name: entry.facts.get(name, "") for name in TEXTS},
        PAIRED: entry.facts.get(PAIRED, []),
        "sha256": seen.sha256,
    }
