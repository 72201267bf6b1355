"""The one stratified split: scikit-learn's, so that the published selections come out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aigenbench.errors import InputError


def subset_count(n: int, size: int | float, key: str) -> int:
    """How many of ``n`` rows a subset holds: ``size`` itself for an int, ``floor(size * n)`` for a fraction.

    Raises:
        InputError: ``size`` is a fraction outside (0, 1] or a count outside 1..n; the message names ``key``.
    """
    if isinstance(size, float) and not size.is_integer():
        if not 0 < size < 1:
            raise InputError(f"{key}: a fraction must lie between 0 and 1, found {size}")
        return math.floor(size * n)
    if isinstance(size, float) and size == 1.0:
        return n
    count = int(size)
    if not 1 <= count <= n:
        raise InputError(f"{key}: asks for {count} of {n} rows; give 1..{n}, or a fraction between 0 and 1")
    return count


def stratified_subset(
    generator_ids: npt.NDArray[np.integer], size: int | float, seed: int, key: str
) -> npt.NDArray[np.int64]:
    """Positions of a subset with each generator's share kept: the first part of the split, in its order.

    Args:
        generator_ids: generator id of every row, int (n,).
        size: a count or a fraction.
        seed: ``random_state`` of scikit-learn's ``train_test_split``.
        key: the config key that asked, for messages.

    Returns:
        int64 (m,): positions into ``generator_ids``.

    Raises:
        InputError: the subset cannot hold every generator, or ``size`` is out of range.
    """
    n = len(generator_ids)
    count = subset_count(n, size, key)
    if count == n:
        return np.arange(n, dtype=np.int64)
    problem = stratification_problem(generator_ids, count)
    if problem:
        raise InputError(f"{key}: {problem}")
    from sklearn.model_selection import train_test_split

    first, _ = train_test_split(np.arange(n), train_size=count, stratify=generator_ids, random_state=seed)
    return first.astype(np.int64)


def stratification_problem(generator_ids: npt.NDArray[np.integer], count: int) -> str:
    """Why ``count`` of these rows cannot be drawn with each generator's share kept; ``""`` where they can."""
    n = len(generator_ids)
    groups, group_sizes = np.unique(generator_ids, return_counts=True)
    if group_sizes.min() < 2:
        return f"cannot keep the generators' shares, one of them has a single image among {n} rows; leave the key out"
    if count < len(groups):
        return (
            f"{count} rows cannot hold the {len(groups)} classes (real and each generator) present; "
            f"use at least {len(groups)}"
        )
    if n - count < len(groups):
        return (
            f"{count} of {n} rows leaves fewer than one row for each of {len(groups)} classes; "
            f"use at most {n - len(groups)}, or leave the key out"
        )
    return ""
