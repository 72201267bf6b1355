"""An import at work: in a folder beside the data set's place, where it goes on after a kill, and whence it is moved."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aigenbench.curation.inspection import Progress, Seen, inspect
from aigenbench.curation.manifest import MANIFEST, count, write_manifest
from aigenbench.curation.reading.entries import SPLITS, Entry
from aigenbench.curation.reading.places import RefusedError, forget
from aigenbench.curation.shards import FEATURES, Row, plan_shards, write_shards
from aigenbench.data.mapping import Mapped, mapper
from aigenbench.data.sources.saved_layout import write_split_info
from aigenbench.errors import InputError
from aigenbench.files import canonical_json, fsync_folder, write_json, write_text

_LOCK = "lock"
_BEGUN = "begun"
"""The file that says what is imported; without it, the rest of the work folder is of no account."""


@dataclass(frozen=True)
class Imported:
    """A data set that was put together.

    Attributes:
        path: its folder.
        counts: images of every generator (``""``: real), by split.
        manifest_hash: equal for equal data sets.
    """

    path: Path
    counts: dict[str, dict[str, int]]
    manifest_hash: str


@dataclass(frozen=True)
class Work:
    """An import.

    Attributes:
        out: where the data set goes.
        folder: where it is made.
        mapped: maps in worker processes, in order.
        progress: is told how far it is.
    """

    out: Path
    folder: Path
    mapped: Mapped
    progress: Progress

    def inspect(self, entries: Sequence[Entry], name: str = "seen") -> list[Seen]:
        """Look at images, each once however often the import is killed; ``name`` tells calls apart."""
        return inspect(entries, self.folder / f"{name}.jsonl", self.mapped, self.progress)

    def finish(self, rows: Sequence[Row], decisions: Mapping[str, Any], description: str = "") -> Imported:
        """Write the data set and put it in its place.

        Args:
            rows: its images; those of a split in order.
            decisions: what the manifest tells beside the images.
            description: what the data set says of itself.
        """
        of_split = {split: [row for row in rows if row[0].split == split] for split in SPLITS}
        splits = {split: found for split, found in of_split.items() if found}
        shards, data = plan_shards(splits), self.folder / "data"
        write_shards(data, self.folder / "plan.json", shards, self.mapped, self.progress)
        manifest_hash = write_manifest(data / MANIFEST, decisions, splits)
        for split in splits:
            files = [shard.name for shard in shards if shard.split == split]
            write_split_info(data / split, split, files, f"{split}:{manifest_hash}", description, FEATURES)
        write_json(data / "dataset_dict.json", {"splits": list(splits)})
        data.rename(self.out)
        fsync_folder(self.out.parent)
        (self.folder / _BEGUN).unlink()
        return Imported(self.out, count(splits), manifest_hash)


@contextmanager
def begin(
    out: Path, entries: Sequence[Entry], options: object, workers: int, restart: bool, progress: Progress
) -> Iterator[Work]:
    """Begin an import, or go on with an interrupted one of the same images and options.

    The work folder is removed when the import is done, or is refused because of its images.

    Raises:
        InputError: ``out`` exists, another process is at work there, or the folder holds an import of something else.
    """
    out = out.resolve()
    _check_free(out)
    folder = out.with_name(f".{out.name}.importing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise InputError(f"another process is importing into {out}") from error
    except OSError as error:
        raise InputError(f"cannot make {out}: {error.strerror}; name another folder") from error
    begun = folder / _BEGUN
    try:
        _check_free(out)
        _claim(folder, _digest(entries, options), restart)
        with mapper(workers) as mapped:
            yield Work(out, folder, mapped, progress)
    except RefusedError:
        begun.unlink(missing_ok=True)
        raise
    finally:
        forget()
        if not begun.exists():
            shutil.rmtree(folder)
        lock.release()


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder; name another or remove it")


def _claim(folder: Path, listing: str, restart: bool) -> None:
    """Empty the folder, unless it holds what was begun of this listing."""
    begun = folder / _BEGUN
    if begun.exists() and not restart:
        if begun.read_text(encoding="utf-8") != listing:
            raise InputError(
                f"{folder} holds an interrupted import of other images or with other options, or the sources have "
                "changed since; --restart begins anew"
            )
        return
    begun.unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
    write_text(begun, listing)


def _digest(entries: Sequence[Entry], options: object) -> str:
    digest = hashlib.sha256(canonical_json(options).encode())
    for entry in entries:
        digest.update(repr(entry).encode())
    return digest.hexdigest()
