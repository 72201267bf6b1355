"""Data sets saved by Hugging Face ``datasets`` (``save_to_disk``), read through Arrow itself.

``state.json`` names the stream files; of what else the ``datasets`` package writes only the names of class labels are
used. So a folder saved by any of its versions opens, with columns in any order and of any type that holds the same
values, in each file its own. Images stay on disk until they are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.data.sources.columns import (
    Classes,
    check_columns,
    classes_in,
    generators_of,
    labels_of,
    noted_classes,
    values_of,
)
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.streams import column_of, open_stream
from aigenbench.data.sources.tables import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Columns,
    ImageTable,
    make_table,
)
from aigenbench.errors import InputError, MissingFileError
from aigenbench.files import read_json


def open_saved_dataset(path: Path, follow_links: bool = False) -> dict[str, ImageTable]:
    """Open every split of a ``DatasetDict`` folder.

    Raises:
        InputError: a single split, a missing or damaged file, a missing column, or one of another type; a file lies
            outside, where ``follow_links`` does not allow it.
    """
    root = None if follow_links else path
    return {name: _open_split(path / name, name, root) for name in _split_names(path)}


def open_evaluation_images(path: Path, follow_links: bool = False) -> ImageTable:
    """The images alone of the split ``test``, or else ``validation``, or of a single saved split: no labels are needed.

    Raises:
        InputError: there is no such split, a file is missing or damaged, or there are no images; a file lies outside,
            where ``follow_links`` does not allow it.
    """
    folder, split = path, path.name
    if (path / "dataset_dict.json").is_file():
        names = _split_names(path)
        found = next((name for name in ("test", "validation") if name in names), None)
        if found is None:
            raise InputError(f"{path} has no split 'test' or 'validation'; found {', '.join(names) or 'none'}")
        folder, split = path / found, found
    root = None if follow_links else path
    files = _files(folder, root)
    check_columns(folder, [open_stream(file).table for file in files], ("image",))
    store = _images(files, root)
    nothing = np.zeros(len(store), dtype=np.int32)
    return ImageTable(split, nothing.astype(np.uint8), nothing, ("",), store, Columns({}))


def _split_names(path: Path) -> list[str]:
    if not (path / "dataset_dict.json").is_file():
        raise InputError(
            f"{path} is a single saved split; expected the folder above it, with dataset_dict.json and the splits "
            "'train' and 'validation'"
        )
    names = _read_json(path / "dataset_dict.json").get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path / 'dataset_dict.json'} names no splits; the data set is damaged, copy it again")
    return names


def _open_split(folder: Path, split: str, root: Path | None) -> ImageTable:
    files = _files(folder, root)
    tables = [open_stream(file).table for file in files]
    held = check_columns(folder, tables, REQUIRED_COLUMNS)
    classes = _class_names(folder, tables[0])
    codes, names = generators_of(folder, tables, classes.get("generator"))
    columns = {name: partial(_read_column, files, name) for name in OPTIONAL_COLUMNS if name in held}
    labels = labels_of(folder, tables, classes.get("label"))
    return make_table(folder.parent, split, labels, codes, names, _images(files, root), Columns(columns))


def _images(files: list[Path], root: Path | None) -> ArrowImages:
    """The images of a split; those that are paths alone lie inside ``root``, where there is one."""
    images = ArrowImages(files)
    if root is not None and (paths := images.outer_paths()):
        check_inside(root, paths, f"{files[0].parent}: images", Path.cwd())
    return images


def _files(folder: Path, root: Path | None) -> list[Path]:
    state = _read_json(folder / "state.json")
    entries = state.get("_data_files")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{folder}: state.json names no data files")
    if state.get("_indices_data_files"):
        raise InputError(
            f"{folder} holds a selection of rows in indices of its own; save it again with flatten_indices()"
        )
    found = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    names = [name for name in found if isinstance(name, str) and name and "\0" not in name]
    if names != found:
        raise InputError(f"{folder}: state.json names no data files; copy the data set again")
    if root is not None:
        check_inside(root, names, str(folder / "state.json"), folder)
    return [folder / name for name in names]


def _class_names(folder: Path, table: pa.Table) -> Classes:
    """Names of the classes of each ``ClassLabel`` column, as ``dataset_info.json`` or the files themselves tell."""
    info = folder / "dataset_info.json"
    return classes_in(_read_json(info).get("features")) if info.is_file() else noted_classes(table.schema)


def _read_column(files: Sequence[Path], name: str) -> npt.NDArray[Any]:
    return values_of([column_of(open_stream(file).table, name, file) for file in files], name, files[0].parent)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(path)
    except MissingFileError as error:
        raise InputError(f"{path} is missing; the data set is incomplete, copy it again") from error
    except InputError as error:
        raise InputError(f"{error}; the data set is damaged, copy it again") from error
    return content
