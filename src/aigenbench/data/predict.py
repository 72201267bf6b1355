"""Images to be scored that need no labels: a folder of pictures, or a data set."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.finding import find_pictures, shown
from aigenbench.data.pictures.formats import NAMES
from aigenbench.data.samples.collation import Batch, Sample, collate
from aigenbench.data.samples.dataset import EvaluationTransforms, evaluation_rng
from aigenbench.data.sources.folders import INDEX, FolderImages, open_unlabelled_folder
from aigenbench.data.sources.shards import has_shards
from aigenbench.data.sources.tables import Columns, ImageTable, is_saved
from aigenbench.errors import InputError
from aigenbench.files import user_path

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

logger = logging.getLogger(__name__)

GREY_SIZE = (256, 256)
"""Height and width of what stands in for a picture that cannot be read."""


@dataclass(frozen=True, eq=False)
class PredictSet:
    """Images to score.

    Attributes:
        table: where they are; its labels mean nothing here.
        rows: which of its rows, in order; int64 (n,).
    """

    table: ImageTable
    rows: npt.NDArray[np.int64]

    def name(self, position: int) -> str:
        """Path of the image at ``position``; its row number where the file has no name."""
        row = int(self.rows[position])
        return self.table.store.name(row) if isinstance(self.table.store, FolderImages) else str(row)


class PredictBatch(NamedTuple):
    """A collated batch and the position of each of its images; int64 (n_images,)."""

    batch: Batch
    positions: Any


def open_predict_set(path: Path | str | Sequence[Path | str], follow_links: bool = False) -> PredictSet:
    """Open folders of pictures (searched through all levels), single pictures, or the evaluation split of a data set.

    Of a data set no labels are needed: an ``index.csv`` may have the column ``path`` alone.

    Args:
        path: one path, or several; images of one folder are named relative to it, those of several places as given.
        follow_links: let a data set lead outside its folder.

    Raises:
        InputError: there is no image at ``path``, or a data set leads outside its folder.
    """
    places = [user_path(one) for one in ([path] if isinstance(path, str | Path) else path)]
    if not places:
        raise InputError("predict_path: no path given")
    for place in places:
        if not os.path.lexists(place):
            raise InputError(f"predict_path: nothing at {shown(place)}")
    if len(places) == 1:
        return _one_place(places[0], follow_links)
    files = [name for place in places for name in _files_of(place, follow_links)]
    return _pictures(FolderImages(Path(), list(dict.fromkeys(files))))


def _one_place(place: Path, follow_links: bool) -> PredictSet:
    # pyarrow is imported by those who need it
    if is_saved(place):
        from aigenbench.data.sources.arrow import open_evaluation_images

        table = open_evaluation_images(place, follow_links)
        return PredictSet(table, np.arange(len(table)))
    if has_shards(place) and not (place / INDEX).is_file():
        from aigenbench.data.sources.parquet import open_parquet_images

        table = open_parquet_images(place, follow_links)
        return PredictSet(table, np.arange(len(table)))
    if not place.is_dir():
        # the user named it: whatever it holds, its reader says so
        return _pictures(FolderImages(place.parent, [place.name]))
    return _pictures(_folder_images(place, follow_links))


def _files_of(place: Path, follow_links: bool) -> list[str]:
    """Paths of the pictures at one of several places."""
    if is_saved(place) or has_shards(place):
        raise InputError(f"predict_path: {shown(place)} is a data set; predict it by itself")
    if not place.is_dir():
        return [os.fspath(place)]
    return [os.fspath(place / name) for name in _folder_images(place, follow_links).paths]


def _folder_images(folder: Path, follow_links: bool) -> FolderImages:
    if (folder / INDEX).is_file():
        return open_unlabelled_folder(folder, follow_links)
    found = find_pictures(folder)
    told = found.told(folder)
    if not found.pictures:
        raise InputError(f"predict_path: no image in {shown(folder)}: {told or 'it is empty'}; read are {NAMES}")
    if told:
        logger.warning("%s: %s", shown(folder), told)
    return FolderImages(folder, [os.fspath(file.relative_to(folder)) for file in found.pictures])


def _pictures(store: FolderImages) -> PredictSet:
    n = len(store.paths)
    nothing = np.zeros(n, dtype=np.int32)
    table = ImageTable("predict", nothing.astype(np.uint8), nothing, ("",), store, Columns({}))
    return PredictSet(table, np.arange(n))


def open_predict_sets(paths: Sequence[Path], follow_links: bool = False) -> list[tuple[Path, PredictSet]]:
    """Open what each path names, pictures that stand side by side together; see ``open_predict_set``.

    Returns:
        A set and the path that it came from; of pictures named one by one, the folder they are relative to.

    Raises:
        InputError: there is no image at a path.
    """
    sets: list[tuple[Path, PredictSet]] = []
    for is_file, group in groupby(map(user_path, paths), lambda path: not path.is_dir() and os.path.lexists(path)):
        if is_file:
            # named one by one, perhaps by thousands: one set, which loads in whole batches
            sets.append((Path(), _pictures(FolderImages(Path(), [os.fspath(path) for path in group]))))
        else:
            sets += [(path, open_predict_set(path, follow_links)) for path in group]
    return sets


class Failure(NamedTuple):
    """A picture that cannot be read: its position in the set, and why."""

    position: int
    reason: str


class PredictItem(NamedTuple):
    """One image: its position, its crops, and why it could not be read ("" where it could; the crops are grey then)."""

    position: int
    sample: Sample
    reason: str = ""


class PredictSamples:
    """Map-style data set over positions of a PredictSet."""

    def __init__(self, chosen: PredictSet, transforms: EvaluationTransforms, base_seed: int) -> None:
        self._chosen, self._transforms, self._base_seed = chosen, transforms, base_seed

    def __len__(self) -> int:
        return len(self._chosen.rows)

    def __getitem__(self, position: int) -> PredictItem:
        """Position and crops of one image; one that cannot be read gives those of a grey one, and the reason."""
        row = int(self._chosen.rows[position])
        rng_of = evaluation_rng(self._base_seed, row, "predict")
        reason = ""
        try:
            image = decode(self._chosen.table.store.read(row))
        except (UnreadableImageError, OSError) as error:
            reason = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
            image = np.full((*GREY_SIZE, 3), 128, dtype=np.uint8)
        crops = self._transforms.crops_of(image, rng_of)
        return PredictItem(position, Sample(self._transforms.finished(crops, rng_of), 0, 0, row), reason)


def collate_predict(items: Sequence[PredictItem]) -> tuple[PredictBatch, list[Failure]]:
    """Stack samples and their positions, and tell which of them stand for pictures that cannot be read."""
    import torch

    read = [item for item in items if not item.reason]
    # in their place, as the detector wants a picture an image: of the others' size, whatever that is
    stand_in = read[0].sample.crops if read else None
    samples = [
        item.sample._replace(crops=stand_in) if item.reason and stand_in is not None else item.sample for item in items
    ]
    batch = PredictBatch(collate(samples), torch.tensor([item.position for item in items]))
    return batch, [Failure(item.position, item.reason) for item in items if item.reason]


class PredictLoader:
    """Batches of a PredictSet, noting on the way which pictures cannot be read.

    Attributes:
        failures: of the batches given so far; their scores mean nothing.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self.failures: list[Failure] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[PredictBatch]:
        for batch, failures in self._loader:
            self.failures += failures
            yield batch
