"""Opening a data set, whatever form it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.sources.folders import INDEX, open_indexed_folder
from aigenbench.data.sources.shards import has_shards
from aigenbench.data.sources.tables import Columns, ImageTable, SplitTables, is_saved, make_table
from aigenbench.errors import InputError
from aigenbench.files import read_json, user_path

LARGEST_COLUMNS = 256 * 2**20
"""Bytes of a columns file."""


class NoImages:
    """The store of a columns file: it has no images."""

    def read(self, row: int) -> Any:
        """Raise: there is nothing to read."""
        raise OSError(f"row {row} comes from a columns file, which holds no images")

    def name(self, row: int) -> str:
        """No name is known."""
        return ""

    def sizes(self) -> npt.NDArray[np.int64]:
        """There are no files."""
        return np.empty(0, dtype=np.int64)


def is_dataset(path: Path) -> bool:
    """Whether a folder is a data set in one of the forms that ``open_source`` takes."""
    return is_saved(path) or (path / INDEX).is_file()


def open_source(path: str | Path | None, follow_links: bool = False) -> SplitTables:
    """Open a data set.

    Args:
        path: a folder written by Hugging Face ``save_to_disk``, a folder of Parquet shards or one of them, a folder
            with ``index.csv``, or a columns file (JSON: generator name of every row, by split; it serves to show
            selections, not to train).
        follow_links: read files outside the folder too, where paths or links lead there.

    Raises:
        InputError: there is nothing at ``path``, it is none of these, or it leads outside its folder.
    """
    if not path:
        raise InputError(
            "no dataset_path given; set it in a config (dataset_path: /folder/of/the/data) or with --dataset_path"
        )
    path = user_path(path)
    if path.is_file() and path.suffix == ".json":
        return SplitTables(path, _open_columns(path))
    if path.is_file() and not has_shards(path):
        raise InputError(f"dataset_path: {path} is a file; give its folder, {path.parent}")
    if not path.exists():
        raise InputError(f"dataset_path: no folder {path}")
    if is_saved(path):
        # pyarrow is imported by those who need it
        from aigenbench.data.sources.arrow import open_saved_dataset

        return SplitTables(path, open_saved_dataset(path, follow_links))
    if (path / INDEX).is_file():
        return SplitTables(path, open_indexed_folder(path, follow_links))
    if has_shards(path):
        from aigenbench.data.sources.parquet import open_parquet

        return SplitTables(path, open_parquet(path, follow_links))
    raise InputError(
        f"dataset_path: {path} holds neither dataset_dict.json (a data set saved with save_to_disk) nor {INDEX} nor "
        "Parquet shards named train-..., validation-... or test-..."
    )


def open_images(path: str | Path, follow_links: bool = False) -> SplitTables:
    """Open a data set whose images are to be looked at.

    Raises:
        InputError: as of ``open_source``, or it holds no images.
    """
    source = open_source(path, follow_links)
    if any(isinstance(table.store, NoImages) for table in source.splits.values()):
        raise InputError(f"{source.path} is a columns file, which holds no images; give the data set")
    if not any(map(len, source.splits.values())):
        raise InputError(f"{source.path} holds no images: no split of it has a row")
    return source


def _open_columns(path: Path) -> dict[str, ImageTable]:
    content = read_json(path, largest=LARGEST_COLUMNS)
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()):
        raise InputError(f'{path}: expected {{"train": [generator name of every row], "validation": [...]}}')
    tables = {}
    for split, names in content.items():
        distinct, codes = np.unique(np.array(names, dtype=object), return_inverse=True)
        is_fake = np.array([bool(name) for name in names], dtype=np.int64)
        tables[split] = make_table(path, split, is_fake, codes, tuple(distinct), NoImages(), Columns({}))
    return tables
