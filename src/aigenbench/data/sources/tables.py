"""What every source of images gives: one table a split, its columns in NumPy, its images on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError
from aigenbench.protocol.timeline import Timeline

REQUIRED_COLUMNS = ("image", "label", "generator")
OPTIONAL_COLUMNS = ("height", "width", "origin_dataset", "file_id")
"""Of a saved data set; others are not read."""
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


class ImageStore(Protocol):
    """Where the image files of a split lie. Row numbers count within the split."""

    def read(self, row: int) -> Any:
        """The file's bytes, as any object with the buffer protocol."""
        ...

    def name(self, row: int) -> str:
        """The file's name, or ``""`` where none is known."""
        ...

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file, without reading them; -1 where there is none; int64 (n,). Empty where nothing tells."""
        ...


class Columns(Mapping[str, npt.NDArray[Any]]):
    """Further columns of a split, each read when it is asked for: a run that asks for none holds none.

    Args:
        readers: functions that give a column, (n,), by name.
    """

    def __init__(self, readers: Mapping[str, Callable[[], npt.NDArray[Any]]]) -> None:
        self._readers = dict(readers)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


@dataclass(frozen=True, eq=False)
class ImageTable:
    """One split.

    Attributes:
        split: its name.
        labels: 0 real, 1 fake; uint8 (n,).
        generator_codes: index into ``generator_names``; int32 (n,).
        generator_names: distinct names found, ``""`` for real images.
        store: the image files.
        columns: further columns that are at hand, such as ``origin_dataset``.
    """

    split: str
    labels: npt.NDArray[np.uint8]
    generator_codes: npt.NDArray[np.int32]
    generator_names: tuple[str, ...]
    store: ImageStore
    columns: Columns

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of images of every generator name found."""
        counts = np.bincount(self.generator_codes, minlength=len(self.generator_names))
        return {name: int(n) for name, n in zip(self.generator_names, counts, strict=True)}

    def generator_ids(self, timeline: Timeline) -> npt.NDArray[np.int64]:
        """Generator id of every row by ``timeline``, -1 where the name is not on it; int64 (n,)."""
        of_code = np.array([timeline.ids.get(name, -1) for name in self.generator_names], dtype=np.int64)
        return of_code[self.generator_codes]


@dataclass(frozen=True)
class SplitTables:
    """A data set: its place and its splits. ``test`` is ``validation`` where a data set has none."""

    path: Path
    splits: Mapping[str, ImageTable]

    def table(self, split: str) -> ImageTable:
        """The table of a split.

        Raises:
            InputError: the data set has no such split.
        """
        if split == "test" and "test" not in self.splits:
            split = "validation"
        if split not in self.splits:
            raise InputError(f"{self.path} has no split {split!r}; found {', '.join(self.splits) or 'none'}")
        return self.splits[split]

    @property
    def generator_names(self) -> set[str]:
        """Names of all generators found in any split."""
        return {name for table in self.splits.values() for name, n in table.counts.items() if n and name}


def is_saved(path: Path) -> bool:
    """Whether ``path`` is a folder written by Hugging Face ``save_to_disk``: a data set, or one split."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def file_size(path: Path) -> int:
    """Bytes of a file, -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def make_table(
    place: Path,
    split: str,
    labels: npt.NDArray[np.integer],
    generator_codes: npt.NDArray[np.integer],
    generator_names: tuple[str, ...],
    store: ImageStore,
    columns: Columns,
) -> ImageTable:
    """Check that labels and generators agree, and build the table.

    Raises:
        InputError: a label other than 0 and 1, or one that contradicts its row's generator.
    """
    wrong = np.flatnonzero((labels != 0) & (labels != 1))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"{place}, split {split!r}, row {row}: label {labels[row]}; expected 0 (real) or 1 (fake)")
    is_fake = np.array([bool(name) for name in generator_names], dtype=bool)[generator_codes]
    wrong = np.flatnonzero(is_fake != (labels == 1))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{place}, split {split!r}, row {row}: label {'fake' if labels[row] else 'real'} contradicts generator "
            f"{generator_names[generator_codes[row]]!r} (real images have an empty generator); "
            f"{len(wrong)} such rows; correct the data set"
        )
    return ImageTable(split, labels.astype(np.uint8), generator_codes.astype(np.int32), generator_names, store, columns)
