"""Draws of images with replacement, and functions of them computed on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from aigenbench.evaluation.statistics.pairs import Pairs

REPLICATES = 2000
OTHER_REPLICATES = 500
SEED = 20865
THREADS = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)

Weights = NDArray[np.int32]
"""How often each pair counts, int32 (pairs,)."""


class Draws:
    """The draws of an evaluation set: each generator keeps its number of pairs.

    A draw depends on the seed, the replicate's number and the pairs alone, so every window, period and compared
    run sees the same images.
    """

    def __init__(self, pairs: Pairs, seed: int = SEED) -> None:
        starts = np.flatnonzero(np.append(True, pairs.strata[1:] != pairs.strata[:-1]))
        sizes = np.diff(starts, append=len(pairs))
        self._seed = seed
        self._size_of = np.repeat(sizes.astype(np.float64), sizes)
        self._start_of = np.repeat(starts, sizes)

    def weights(self, replicate: int) -> Weights:
        """How often each pair is drawn in a replicate, int32 (pairs,)."""
        rng = np.random.Generator(np.random.Philox(key=[self._seed, replicate]))
        drawn = (rng.random(len(self._start_of)) * self._size_of).astype(np.int64) + self._start_of
        return np.bincount(drawn, minlength=len(self._start_of)).astype(np.int32)


def replicate_all(
    pairs: Pairs, function: Callable[[Weights], NDArray[np.float64]], replicates: int, seed: int = SEED
) -> NDArray[np.float64]:
    """``function`` of the weights of every replicate, (replicates, ...); the same on any number of threads."""
    draws = Draws(pairs, seed)
    # the matrix library's own threads would only wait for each other: thirty times slower on two cores
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
        return np.array(list(pool.map(lambda r: function(draws.weights(r)), range(replicates))))
