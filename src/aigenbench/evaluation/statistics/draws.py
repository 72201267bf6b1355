"""Draws of images with replacement: what is drawn together, and functions of the draws computed on several threads."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.protocol.published import PAIRING_SEED

REPLICATES = 2000
OTHER_REPLICATES = 500
SEED = 20865
THREADS = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)

Weights = NDArray[np.int32]
"""How often each pair counts, int32 (pairs,)."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of images, sorted by generator.

    Attributes:
        of_image: the pair of every image, aligned with ``Predictions.identifier``, int64 (n,).
        strata: generator id of every pair, rising, int64 (n / 2,).
    """

    of_image: NDArray[np.int64]
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.strata)

    def of_rows(self, p: Predictions) -> NDArray[np.int64]:
        """The pair of every ``fused_*`` row of ``p``, int64 (n,)."""
        return self.of_image[p.places()]


def pair_up(p: Predictions) -> Pairs:
    """Find the pairs of an evaluation set.

    The protocol's own pairing (section 4) where it explains the file's; otherwise each generator's fakes and
    the reals counted with it are paired in evaluation order.

    Raises:
        InputError: if a generator has another number of fakes than of paired reals.
    """
    generators = p.generators()
    fakes = np.flatnonzero(p.pairing == -1)
    reals = _protocol_order(np.flatnonzero(p.pairing != -1))
    if not np.array_equal(p.pairing[reals], generators[fakes]):
        _check_counts(p, generators[fakes], p.pairing[reals])
        reals = np.sort(reals)
        reals = reals[np.argsort(p.pairing[reals], kind="stable")]
    else:
        reals = reals[np.argsort(generators[fakes], kind="stable")]
    fakes = fakes[np.argsort(generators[fakes], kind="stable")]
    of_image = np.empty(len(p), dtype=np.int64)
    of_image[fakes] = of_image[reals] = np.arange(len(fakes))
    return Pairs(of_image, generators[fakes])


def _protocol_order(reals: NDArray[np.intp]) -> NDArray[np.intp]:
    shuffled = reals.tolist()
    random.Random(PAIRING_SEED).shuffle(shuffled)
    return np.array(shuffled, dtype=np.intp)


def _check_counts(p: Predictions, of_fakes: NDArray[np.int64], of_reals: NDArray[np.int64]) -> None:
    n = len(p.generator_id_to_name)
    fakes, reals = np.bincount(of_fakes, minlength=n), np.bincount(of_reals, minlength=n)
    unequal = np.flatnonzero(fakes != reals)
    if len(unequal):
        g = int(unequal[0])
        raise InputError(
            f"generator {p.generator_id_to_name[g]!r} has {fakes[g]} fakes and {reals[g]} paired reals; "
            "intervals draw images in pairs and need equal numbers"
        )


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
