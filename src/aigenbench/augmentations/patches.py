"""Square patches of an image, put elsewhere in it: what an image shows goes, what its pixels are like stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image, Size, size_of
from aigenbench.augmentations.operations import Operation


def rearranged(image: Image, side: int, sources: NDArray[np.int64]) -> Image:
    """Return ``image`` whose patch i is what patch ``sources[i]`` was.

    Args:
        image: uint8 array of shape (height, width, 3) or (height, width).
        side: of a patch, in pixels; patches are cut from the top left, what is left at the bottom and the right stays.
        sources: int64 (n,), for the n whole patches, row by row.
    """
    rows, columns = grid(size_of(image), side)
    after = image.copy()
    before, changed = (_patches(one, side, rows, columns) for one in (image, after))
    changed[...] = before[np.divmod(sources, columns)].reshape(changed.shape)
    return after


def grid(size: Size, side: int) -> tuple[int, int]:
    """Rows and columns of whole patches in an image of ``size``."""
    return size[0] // side, size[1] // side


def _patches(image: Image, side: int, rows: int, columns: int) -> Image:
    """A view (rows, columns, side, side, ...) of the image's whole patches."""
    inside = image[: rows * side, : columns * side]
    return inside.reshape(rows, side, columns, side, *image.shape[2:]).swapaxes(1, 2)


def _words(seed: Sequence[int], n: int) -> NDArray[np.int64]:
    # as of the noise: these words are the same in every version of NumPy
    return (np.random.SFC64(seed).random_raw(n) >> np.uint64(1)).astype(np.int64)


@dataclass(frozen=True)
class PatchShuffle(Operation):
    """All whole patches of ``side`` pixels in another order; no pixel is lost (after arXiv 2511.19126)."""

    keeps_grey = True

    side: int
    seed: tuple[int, int]

    def _apply(self, image: Image) -> Image:
        rows, columns = grid(size_of(image), self.side)
        if rows * columns < 2:
            return image
        return rearranged(image, self.side, np.argsort(_words(self.seed, rows * columns), kind="stable"))


@dataclass(frozen=True)
class PatchReplacement(Operation):
    """A ``share`` of the patches of ``side`` pixels, each replaced by another of the same image.

    After arXiv 2504.01396, which takes them from other images; those of one image are all real or all generated, so
    the label stays true.
    """

    keeps_grey = True

    side: int
    share: float
    seed: tuple[int, int]

    def _apply(self, image: Image) -> Image:
        rows, columns = grid(size_of(image), self.side)
        n = rows * columns
        if n < 2:
            return image
        words = _words(self.seed, 2 * n)
        replaced = np.argsort(words[:n], kind="stable")[: round(self.share * n)]
        sources = np.arange(n)
        # a step of 1 to n - 1 patches on is never the patch itself
        sources[replaced] = (replaced + 1 + words[n : n + len(replaced)] % (n - 1)) % n
        return rearranged(image, self.side, sources)
