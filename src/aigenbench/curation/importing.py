"""Importing images into a data set in the benchmark's schema, whole or not at all, and going on after a kill."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aigenbench.curation.entries import SPLITS, Entry, Faults, Rules, listed
from aigenbench.curation.generators import settle_names
from aigenbench.curation.inspection import Progress, Seen, inspect
from aigenbench.curation.manifest import MANIFEST, count, write_manifest
from aigenbench.curation.places import ChangedError, forget
from aigenbench.curation.shards import FEATURES, Row, plan_shards, write_shards
from aigenbench.curation.sources import list_source
from aigenbench.curation.splits import VALIDATION_SHARE, assign_splits, part_of
from aigenbench.curation.workers import Mapped, mapper
from aigenbench.data.sources.mark import SYNTHETIC_MARK, is_synthetic
from aigenbench.data.sources.saved_layout import write_split_info
from aigenbench.errors import InputError
from aigenbench.files import canonical_json, fsync_folder, user_path, write_json, write_text
from aigenbench.protocol.timeline import PUBLISHED

logger = logging.getLogger(__name__)

_BEGUN = "begun"
"""The file that says what is being imported."""
_LARGE_GROUP = 0.1
"""Share of the images in one group from which a split is worth a warning."""


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

    Raises:
        InputError: anything is wrong with the sources or ``out``; nothing is left at ``out``.
    """
    if not 0 <= validation <= 1:
        raise InputError(f"validation: expected a share between 0 and 1, found {validation}")
    if per_generator is not None and per_generator < 1:
        raise InputError(f"per_generator: expected at least 1, found {per_generator}")
    rules = Rules(pattern, defaults or {}, follow_links)
    left_out: list[str] = []
    entries = [entry for source in sources for entry in list_source(source, rules, left_out)]
    if left_out:
        logger.info("left out, no images of this layout: %s", listed(left_out))
    check_ids(entries)
    settle_names(entries, PUBLISHED.names, renames or {}, new_generators)
    largest = assign_splits(entries, validation, seed)
    if largest > max(_LARGE_GROUP * len(entries), 2 * len(SPLITS)):
        logger.warning("one group of images that stay in one split holds %d of %d", largest, len(entries))
    if per_generator is not None:
        entries = part_of(entries, per_generator, seed)
    entries.sort(key=lambda entry: (SPLITS.index(entry.split), not entry.generator, entry.order, entry.file_id))
    decisions: dict[str, Any] = {
        "split_rule": {"validation": validation, "seed": seed},
        "part": None if per_generator is None else {"per_generator": per_generator, "seed": seed},
        "renamed": dict(sorted((renames or {}).items())),
    }
    description = SYNTHETIC_MARK if any(is_synthetic(user_path(source)) for source in sources) else ""
    with work_folder(user_path(out), entries, decisions, restart) as folder, mapper(workers) as mapped:
        seen = inspect(entries, folder / "seen.jsonl", mapped, progress)
        rows = _usable(folder, entries, seen, skip_unreadable)
        decisions["skipped"] = sorted(entry.file_id for entry, found in zip(entries, seen, strict=True) if found.fault)
        return finish(folder, user_path(out), rows, decisions, description, mapped, progress)


def check_ids(entries: Sequence[Entry]) -> None:
    """Raise InputError where two images have one ``file_id``."""
    counts = Counter(entry.file_id for entry in entries)
    doubled = [file_id for file_id, n in counts.items() if n > 1]
    if doubled:
        raise InputError(
            f"images of one name: {listed(doubled)}; give each a file_id of its own, or put the sources' folders side "
            "by side in one and import that"
        )


def _usable(folder: Path, entries: Sequence[Entry], seen: Sequence[Seen], skip_unreadable: bool) -> list[Row]:
    faults = Faults()
    for entry, found in zip(entries, seen, strict=True):
        if found.fault:
            faults.add(found.fault, entry.file_id)
    if faults and not skip_unreadable:
        give_up(folder)
        faults.check("images that cannot be read", "mend them, or --skip-unreadable leaves them out")
    rows = [(entry, found) for entry, found in zip(entries, seen, strict=True) if not found.fault]
    if not rows:
        raise InputError("no image is left to import")
    return rows


@contextmanager
def work_folder(out: Path, entries: Sequence[Entry], options: object, restart: bool) -> Iterator[Path]:
    """The folder beside ``out`` in which it is made; what an interrupted import of the same images left stays.

    It is removed where the import is done, or gave up by removing the file ``begun``.

    Raises:
        InputError: ``out`` exists, another process is at work there, or the folder holds an import of something else.
    """
    _check_free(out)
    folder = out.with_name(f".{out.name}.importing")
    begun, listing = folder / _BEGUN, _digest(entries, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise InputError(f"another process is importing into {out}") from error
    except OSError as error:
        raise InputError(f"cannot make {out}: {error.strerror}; name another folder") from error
    try:
        _check_free(out)
        if restart:
            begun.unlink(missing_ok=True)
        if not begun.exists():
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
            write_text(begun, listing)
        elif begun.read_text(encoding="utf-8") != listing:
            raise InputError(
                f"{folder} holds an interrupted import of other images or with other options, or the sources have "
                "changed since; --restart begins anew"
            )
        yield folder
    except ChangedError:
        give_up(folder)
        raise
    finally:
        forget()
        if not begun.exists():
            shutil.rmtree(folder)
        lock.release()


def give_up(folder: Path) -> None:
    """Let the work folder be removed."""
    (folder / _BEGUN).unlink()


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder; name another or remove it")


def _digest(entries: Sequence[Entry], options: object) -> str:
    digest = hashlib.sha256(canonical_json(options).encode())
    for entry in entries:
        digest.update(repr(entry).encode())
    return digest.hexdigest()


def finish(
    work: Path,
    out: Path,
    rows: Sequence[Row],
    decisions: Mapping[str, Any],
    description: str,
    mapped: Mapped,
    progress: Progress,
) -> Imported:
    """Write shards, their descriptions and the manifest, and put the data set in its place.

    Args:
        work: the work folder.
        out: where the data set goes.
        rows: its images; those of a split in order.
        decisions: what the manifest tells beside the images.
        description: what the data set says of itself.
        mapped: maps in worker processes, in order.
        progress: is told how far it is.
    """
    splits = {split: [row for row in rows if row[0].split == split] for split in SPLITS}
    splits = {split: of_split for split, of_split in splits.items() if of_split}
    shards, data = plan_shards(splits), work / "data"
    write_shards(data, work / "plan.json", shards, mapped, progress)
    manifest_hash = write_manifest(data / MANIFEST, decisions, splits)
    for split in splits:
        files = [shard.name for shard in shards if shard.split == split]
        write_split_info(data / split, split, files, f"{split}:{manifest_hash}", description, FEATURES)
    write_json(data / "dataset_dict.json", {"splits": list(splits)})
    data.rename(out)
    fsync_folder(out.parent)
    give_up(work)
    return Imported(out, count(splits), manifest_hash)
