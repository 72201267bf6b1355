"""From the scores of an image's crops to the score of the image (protocol section 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of ``logits`` in float64, without overflow."""
    return np.exp(log_sigmoid(logits))


def log_sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """log(1 / (1 + exp(-x))) in float64, exact to rounding for every finite x."""
    x = np.asarray(logits, dtype=np.float64)
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def fuse_logits(crop_logits: ArrayLike, crop_to_image_index: ArrayLike) -> NDArray[np.float64]:
    """log(p / (1 - p)) of the mean probability p of each image's crops.

    Computed as a difference of log-sum-exps, so that it neither overflows nor saturates: two crops of logits
    100 and 90 give about 90.7, where the probabilities themselves round to 1. An image of one crop keeps its
    logit.

    Args:
        crop_logits: (m,), an image's crops together.
        crop_to_image_index: (m,), rising from 0 to n - 1 in steps of at most one.

    Returns:
        float64 (n,).
    """
    logits = np.asarray(crop_logits, dtype=np.float64)
    index = np.asarray(crop_to_image_index)
    if not len(logits):
        return logits
    assert index[0] == 0, "the crops of the first image come first"
    assert np.isin(np.diff(index), (0, 1)).all(), "an image's crops stand together"
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    counts = np.diff(starts, append=len(logits))
    fused = _log_sum(log_sigmoid(logits), starts, index) - _log_sum(log_sigmoid(-logits), starts, index)
    return np.where(counts == 1, logits[starts], fused)


def _log_sum(values: NDArray[np.float64], starts: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    largest = np.maximum.reduceat(values, starts)
    return largest + np.log(np.add.reduceat(np.exp(values - largest[index]), starts))
