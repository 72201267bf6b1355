"""Perceptual hashes: pictures that look alike have hashes that differ in few bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]

SIDE = 32
"""Side of the grey picture that is hashed, in pixels."""
NEAR = 8
"""Bits of 64 that hashes of one picture, stored again or resized, may differ in."""
LEAST_CONTRAST = 2.0
"""Standard deviation, in levels, below which a picture shows nothing that could be told from another."""
ALIKE = 0.985
"""Correlation of the small grey pictures from which on two are one."""
_COMPARED = 1024
"""So many pairs of small pictures are compared at once."""
_LOWEST = np.argsort(np.add.outer(np.arange(9), np.arange(9)).ravel(), kind="stable")[1:65]
"""Places of the frequencies that are compared, in rising order, among the first 9 x 9."""
_BANDS = [np.uint64(sum(1 << bit for bit in range(64) if bit * (NEAR + 3) // 64 == band)) for band in range(NEAR + 3)]
"""Bits that belong to each band, the lowest first."""


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
    chosen = cv2.dct(small.astype(np.float32))[:9, :9].ravel()[_LOWEST]
    # as np.median, which takes many times as long for so few numbers
    middle = np.partition(chosen, (31, 32))[31:33]
    return int(np.packbits(chosen > (middle[0] + middle[1]) / 2).view(">u8")[0])


def near_pairs(hashes: Hashes, progress: Callable[[int, int], None] = lambda *_: None) -> Iterator[Pairs]:
    """Every two hashes that differ in at most `NEAR` bits, once: their places, the smaller first, int64 (m, 2).

    Of ``NEAR + 3`` bands of bits such hashes share at least three, so only hashes with three bands in common are
    compared. The pairs come in parts that are no larger than ``hashes``, however many there are.
    """
    groups = list(combinations(_BANDS, 3))
    for done, group in enumerate(groups, 1):
        shared = np.bitwise_or.reduce(group)
        # a pair that also shares an earlier band is told under that one
        earlier = [band for band in _BANDS if band < group[-1] and band not in group]
        order = np.argsort(hashes & shared)
        ordered = hashes[order]
        left, step = np.arange(len(hashes)), 0
        while len(left):
            step += 1
            left = left[: np.searchsorted(left, len(hashes) - step)]
            differing = ordered[left] ^ ordered[left + step]
            same = differing & shared == 0
            left, differing = left[same], differing[same]
            is_new = np.bitwise_count(differing) <= NEAR
            new, differing = left[is_new], differing[is_new]
            new = new[np.all([differing & band != 0 for band in earlier], axis=0)] if earlier else new
            if len(new):
                yield np.sort(np.stack([order[new], order[new + step]], axis=1), axis=1)
        progress(done, len(groups))


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


def same_pictures(
    sha256: npt.NDArray[np.bytes_],
    hashes: Hashes,
    small: npt.NDArray[np.uint8],
    telling: npt.NDArray[np.bool_],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[tuple[int, ...]]:
    """Groups of two or more files that show one picture: byte for byte, or stored again or resized.

    Args:
        sha256: of each file's bytes, 32 bytes each, (n,).
        hashes: perceptual hashes, uint64 (n,).
        small: uint8 (n, ``SIDE``, ``SIDE``).
        telling: which pictures show something: only those can be told by their looks, bool (n,).
        progress: as of ``near_pairs``.

    Returns:
        Their places, rising, in the order of the groups' first.
    """
    sets = _Sets(len(sha256))
    for same in _equal(sha256):
        sets.join(same)
    # one picture stands for those whose small copies are equal
    firsts = []
    rows = np.flatnonzero(telling)
    for of_hash in (rows[same] for same in _equal(hashes[rows])):
        for same in (of_hash[one] for one in _equal(_texts(small[of_hash]))):
            firsts.append(same[0])
            sets.join(same)
    kept = np.sort(np.array(firsts, dtype=np.int64))
    for pairs in near_pairs(hashes[kept], progress):
        for start in range(0, len(pairs), _COMPARED):
            part = kept[pairs[start : start + _COMPARED]]
            for pair in part[alike(small[part[:, 0]], small[part[:, 1]])]:
                sets.join(pair)
    return sets.groups()


class _Sets:
    """Places that are joined as pairs of them are found."""

    def __init__(self, n: int) -> None:
        self._parents = list(range(n))

    def join(self, places: npt.NDArray[np.integer]) -> None:
        first, *others = places.tolist()
        for other in others:
            self._parents[self._root(other)] = self._root(first)

    def groups(self) -> list[tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for one in range(len(self._parents)):
            found.setdefault(self._root(one), []).append(one)
        return [tuple(group) for group in found.values() if len(group) > 1]

    def _root(self, one: int) -> int:
        while self._parents[one] != one:
            self._parents[one] = self._parents[self._parents[one]]
            one = self._parents[one]
        return one


def _equal(values: npt.NDArray[np.generic]) -> list[npt.NDArray[np.intp]]:
    """Places of equal values, rising, a group for each value."""
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(values[order][1:] != values[order][:-1]) + 1)


def _texts(small: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """Small pictures (n, ``SIDE``, ``SIDE``) as values that can be sorted, (n,)."""
    return small.reshape(len(small), SIDE * SIDE).view(f"S{SIDE * SIDE}")[:, 0]
