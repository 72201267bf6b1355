"""Images to be scored that need no labels: a folder of pictures, or a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.data.collation import Batch, Sample, collate
from aigenbench.data.dataset import EvaluationTransforms, evaluation_rng, read_image
from aigenbench.data.folders import INDEX, FolderImages
from aigenbench.data.sources import open_source
from aigenbench.data.tables import Columns, ImageTable
from aigenbench.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif"})


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


def open_predict_set(path: Path) -> PredictSet:
    """Open a folder of pictures (searched through all levels), one picture, or the evaluation split of a data set.

    Raises:
        InputError: there is no image at ``path``.
    """
    path = path.expanduser()
    if not path.exists():
        raise InputError(f"predict_path: nothing at {path}")
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / INDEX).exists()):
        table = open_source(path).table("test")
        return PredictSet(table, np.arange(len(table)))
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f"predict_path: no image in {path} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
    names = [str(file.relative_to(folder)) for file in files]
    n = len(names)
    nothing = np.zeros(n, dtype=np.int32)
    table = ImageTable("predict", nothing.astype(np.uint8), nothing, ("",), FolderImages(folder, names), Columns({}))
    return PredictSet(table, np.arange(n))


class PredictSamples:
    """Map-style data set over positions of a PredictSet."""

    def __init__(self, chosen: PredictSet, transforms: EvaluationTransforms, base_seed: int) -> None:
        self._chosen, self._transforms, self._base_seed = chosen, transforms, base_seed

    def __len__(self) -> int:
        return len(self._chosen.rows)

    def __getitem__(self, position: int) -> tuple[int, Sample]:
        """Position and crops of one image."""
        row = int(self._chosen.rows[position])
        rng_of = evaluation_rng(self._base_seed, row, "predict")
        crops = self._transforms.crops_of(read_image(self._chosen.table, row), rng_of)
        return position, Sample(self._transforms.finished(crops, rng_of), 0, 0, row)


def collate_predict(items: Sequence[tuple[int, Sample]]) -> PredictBatch:
    """Stack samples and their positions."""
    import torch

    return PredictBatch(collate([sample for _, sample in items]), torch.tensor([position for position, _ in items]))
