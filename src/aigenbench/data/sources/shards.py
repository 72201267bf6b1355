"""Parquet shards in a folder, as the Hugging Face hub lays them out: which there are, and of which split."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from aigenbench.data.sources.tables import ImageTable
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
SUFFIX = ".parquet"
COSTLY_PAGE = 4 * 2**20
"""Bytes of a page, above which reading one image of it at random is told to be slow."""

_NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})")
_TOLD = 3


def split_of_shard(path: Path) -> str:
    """The split that a shard is of, by its folder or its name (``train-00000-of-00072.parquet``), or "".

    Args:
        path: relative to the data set.
    """
    names = (*path.parts[:-1], path.stem.partition("-")[0])
    return next((split for split in SPLITS if split in names), "")


def has_shards(path: Path) -> bool:
    """Whether a folder holds Parquet shards that say their split, or ``path`` is a Parquet file."""
    return is_shard(path) or any(split_of_shard(file.relative_to(path)) for file in _files(path))


def is_shard(path: Path) -> bool:
    """Whether ``path`` is a Parquet file, by its name."""
    return path.suffix == SUFFIX and path.is_file()


def find_shards(path: Path) -> dict[str, list[Path]]:
    """The shards of every split, in order; of a file alone, itself.

    Raises:
        InputError: a name says no split, a split has shards in several folders, or some are missing by their numbers.
    """
    files = [path] if is_shard(path) else _files(path)
    root = path.parent if is_shard(path) else path
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_of_shard(file.relative_to(root)), []).append(file)
    if nameless := by_split.pop("", []):
        raise InputError(
            f"{path}: which split is {_some([file.name for file in nameless])} of? Expected names that begin with "
            f"{', '.join(f'{split}-' for split in SPLITS)} or folders of these names"
        )
    for split, shards in by_split.items():
        folders = {str(file.parent) for file in shards}
        if len(folders) > 1:
            raise InputError(f"{path}: the split {split!r} has shards in {_some(sorted(folders))}; give one data set")
        if not is_shard(path):
            _check_numbers(path, split, shards)
    return {split: by_split[split] for split in SPLITS if split in by_split}


@lru_cache(maxsize=8)
def tell_cost(table: ImageTable, place: Path) -> None:
    """Warn, once, where images that are read in random order lie in large pages of Parquet shards."""
    try:
        page_bytes = getattr(table.store, "page_bytes", int)()
    except OSError:
        # whoever reads these images is told
        return
    if page_bytes > COSTLY_PAGE:
        logger.warning(
            "%s: its Parquet shards hold images in pages of %d MB, and reading one image of split %r at random reads "
            "and unpacks its whole page; read once in order by data.cache: all, or copied by 'aigenbench data import "
            "%s -o OUT', they cost their own bytes",
            place,
            round(page_bytes / 1e6),
            table.split,
            place,
        )


def _files(path: Path) -> list[Path]:
    # no deeper: a folder of pictures may be a tree of millions
    folders = [folder / name for folder in (path, path / "data") for name in ("", *SPLITS)]
    return [file for folder in folders for file in sorted(folder.glob(f"*{SUFFIX}"))]


def _check_numbers(path: Path, split: str, shards: Sequence[Path]) -> None:
    """Refuse a download that is not complete."""
    found = [_NUMBERED.fullmatch(file.stem) for file in shards]
    if not all(found):
        return
    stems = {(one[1], one[3]) for one in found if one}
    if len(stems) > 1:
        some = _some([f"{name}-...-of-{count}" for name, count in sorted(stems)])
        raise InputError(f"{path}: the split {split!r} has shards of several data sets ({some}); give one of them")
    name, count = stems.pop()
    held = {file.stem for file in shards}
    missing = [stem for k in range(int(count)) if (stem := f"{name}-{k:05d}-of-{count}") not in held]
    if missing:
        some = _some([f"{stem}{SUFFIX}" for stem in missing])
        raise InputError(f"{path}: {len(missing)} of {int(count)} shards are missing ({some}); download them")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_TOLD]) + (", ..." if len(names) > _TOLD else "")
