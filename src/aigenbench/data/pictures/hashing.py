"""Perceptual hashes: pictures that look alike have hashes that differ in few bits."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

SIDE = 32
"""Side of the grey picture that is hashed, in pixels."""
NEAR = 8
"""Bits of 64 that hashes of one picture, stored again or resized, may differ in."""
LEAST_CONTRAST = 2.0
"""Standard deviation, in levels, below which a picture shows nothing that could be told from another."""
ALIKE = 0.985
"""Correlation of the small grey pictures from which on two are one."""
_BLOCK = 4096


def small_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture in grey, averaged down to ``SIDE`` x ``SIDE``; uint8.

    Args:
        pixels: uint8 (h, w, 3), RGB.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def perceptual_hash(small: npt.NDArray[np.uint8]) -> int:
    """A 64-bit hash: which of the 64 lowest frequencies, the mean left out, are above their median.

    Args:
        small: what ``small_grey`` gave.
    """
    frequencies = cv2.dct(small.astype(np.float32))[:9, :9].ravel()
    # in rising order of frequency, the mean left out
    order = np.argsort(np.add.outer(np.arange(9), np.arange(9)).ravel(), kind="stable")[1:65]
    chosen = frequencies[order]
    return int(np.packbits(chosen > np.median(chosen)).view(">u8")[0])


def near_pairs(
    hashes: Hashes, distance: int = NEAR, progress: Callable[[int, int], None] = lambda *_: None
) -> npt.NDArray[np.int64]:
    """Every two hashes that differ in at most ``distance`` bits: their places, the smaller first, int64 (m, 2).

    Blocks of all against all: exact, in memory that does not grow with their number.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    n = len(hashes)
    for start in range(0, n, _BLOCK):
        rows = hashes[start : start + _BLOCK, None]
        for other in range(start, n, _BLOCK):
            differing = np.bitwise_count(rows ^ hashes[None, other : other + _BLOCK])
            a, b = np.nonzero(differing <= distance)
            pairs = np.stack([a + start, b + other], axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
        progress(min(start + _BLOCK, n), n)
    return np.concatenate(found)


def alike(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether small grey pictures show one picture, bool (m,): hashes alone take any two skies for one.

    Args:
        a: uint8 (m, ``SIDE``, ``SIDE``).
        b: likewise.
    """
    x, y = (values.reshape(len(values), SIDE * SIDE).astype(np.float64) for values in (a, b))
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (x, y))
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    correlation = np.divide((x * y).sum(axis=1), scale, out=np.zeros(len(x)), where=scale > 0)
    return np.asarray(correlation >= ALIKE)
