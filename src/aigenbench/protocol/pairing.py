"""The evaluation set: balanced, shuffled, and every real paired with a fake (protocol section 4)."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError
from aigenbench.protocol.published import BALANCING_SEED, PAIRING_SEED, SHUFFLE_SEED, SUBSET_SEED
from aigenbench.protocol.subsets import stratification_problem, stratified_subset

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationSet:
    """Which images are evaluated, in which order, and which fake's generator each real counts with.

    Attributes:
        ids: row numbers of the split in evaluation order, int64 (n,).
        generator_ids: generator id of each, 0 for a real, int64 (n,).
        pairing: generator id of the fake a real is paired with, -1 for a fake, int64 (n,).
    """

    ids: Rows
    generator_ids: Rows
    pairing: Rows


def balanced_rows(generator_ids: npt.NDArray[np.integer]) -> Rows:
    """As many reals as fakes: row numbers of the chosen reals, then of the chosen fakes, int64 (n,).

    Args:
        generator_ids: generator id of every row of the split; 0 real, -1 not on the timeline (left out).

    Raises:
        InputError: the split has no real or no fake image.
    """
    reals = np.flatnonzero(generator_ids == 0).astype(np.int64)
    fakes = np.flatnonzero(generator_ids > 0).astype(np.int64)
    if not len(reals) or not len(fakes):
        off = int((generator_ids < 0).sum())
        told = f", and {off} of generators that are not on the timeline" if off else ""
        raise InputError(f"the evaluation split needs real and fake images; found {len(reals)} and {len(fakes)}{told}")
    if len(reals) > len(fakes):
        reals = np.asarray(random.Random(BALANCING_SEED).sample(reals.tolist(), len(fakes)), dtype=np.int64)
    elif len(fakes) > len(reals):
        fakes = fakes[_kept_fakes(generator_ids[fakes], len(reals))]
    return np.concatenate([reals, fakes])


def _kept_fakes(generator_ids: npt.NDArray[np.integer], count: int) -> Rows:
    if not stratification_problem(generator_ids, count):
        return stratified_subset(generator_ids, count, BALANCING_SEED, "balancing the evaluation split")
    # the published rule has no answer here (too few rows to keep each generator's share): drawn at random
    drawn = random.Random(BALANCING_SEED).sample(range(len(generator_ids)), count)
    return np.asarray(drawn, dtype=np.int64)


def evaluation_set(generator_ids: npt.NDArray[np.integer], subset_size: int | float | None = None) -> EvaluationSet:
    """Balance, take a subset where asked, shuffle and pair.

    Args:
        generator_ids: as of ``balanced_rows``.
        subset_size: ``validation_subset_size``: a count, a fraction, or None for all.

    Raises:
        InputError: see ``balanced_rows``; or the subset is too small to hold every generator.
    """
    rows = balanced_rows(generator_ids)
    if subset_size is not None:
        chosen = stratified_subset(generator_ids[rows], subset_size, SUBSET_SEED, "validation_subset_size")
        rows = _equalised(rows[chosen], generator_ids)
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(rows))
    ids = rows[order]
    of_ids = generator_ids[ids].astype(np.int64)
    return EvaluationSet(ids, of_ids, _pair(of_ids))


def _equalised(rows: Rows, generator_ids: npt.NDArray[np.integer]) -> Rows:
    is_real = generator_ids[rows] == 0
    surplus = int(is_real.sum()) - int((~is_real).sum())
    if surplus == 0:
        return rows
    larger = np.flatnonzero(is_real if surplus > 0 else ~is_real)
    dropped = larger[-abs(surplus) :]
    logger.warning(
        "validation_subset_size: the subset holds %d more %s; its last rows are left out",
        abs(surplus),
        "reals" if surplus > 0 else "fakes",
    )
    return np.delete(rows, dropped)


def _pair(generator_ids: Rows) -> Rows:
    fakes = np.flatnonzero(generator_ids > 0)
    reals = np.flatnonzero(generator_ids == 0).tolist()
    random.Random(PAIRING_SEED).shuffle(reals)
    pairing = np.full(len(generator_ids), -1, dtype=np.int64)
    pairing[reals] = generator_ids[fakes]
    return pairing
