"""How a perturbation moves the logits of reals and of fakes: a detector that calls every JPEG fake is biased.

AUROC cannot tell that: where reals and fakes move alike, the ranking stays, and every real is called a fake.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics.intervals import LEVEL, Bounds, bounds, normal_reach, wilson

THRESHOLD = 0.0
"""Logit of the score 0.5, above which an image is called a fake."""

CLASSES = {"real": 0, "fake": 1}
"""The classes and their labels."""


@dataclass(frozen=True)
class Shift:
    """How the logits of one class move, image by image, from clean to perturbed; positive is towards fake.

    Attributes:
        images: how many.
        mean, median: of the difference of logits.
        mean_interval: Student's, of 95 %; None for a single image.
        median_interval: from order statistics, of at least 95 %; None for fewer than six images.
        to_fake, to_real: share of the images that cross the threshold 0.5 that way, 0..1.
        to_fake_interval, to_real_interval: Wilson's.
    """

    images: int
    mean: float
    mean_interval: Bounds
    median: float
    median_interval: Bounds
    to_fake: float
    to_fake_interval: Bounds
    to_real: float
    to_real_interval: Bounds

    @property
    def direction(self) -> int:
        """1 towards fake, -1 towards real, 0 where the interval of the mean holds zero."""
        low, high = self.mean_interval or (0.0, 0.0)
        return int(low > 0) - int(high < 0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


Shifts = dict[str, Shift | None]
"""By class, ``real`` and ``fake``; None without images of it, or without logits."""

_READINGS = {
    (1, 1): "both towards fake",
    (-1, -1): "both towards real",
    (1, -1): "towards each other",
    (-1, 1): "apart",
    (1, 0): "reals towards fake",
    (-1, 0): "reals towards real",
    (0, 1): "fakes towards fake",
    (0, -1): "fakes towards real",
}


def reading(shifts: Shifts) -> str:
    """What the two classes do together, in two or three words; "" where neither is known to move."""
    real, fake = (0 if (s := shifts.get(name)) is None else s.direction for name in CLASSES)
    return _READINGS.get((real, fake), "")


def shifts_between(clean: Predictions, perturbed: Predictions, window: int) -> Shifts:
    """How the images of the Whole period move.

    Args:
        clean: without the perturbation.
        perturbed: with it, of the same images.
        window: decides what the period holds.
    """
    before, after = _logits(clean), _logits(perturbed)
    if before is None or after is None:
        return dict.fromkeys(CLASSES)
    places = np.argsort(clean.places())
    labels = clean.fused_labels[places]
    counted = np.where(labels == 1, clean.fused_generator_ids[places], clean.pairing)
    period = np.isin(clean.generator_id_to_name, clean.period_generators("growing_whole", window))[counted]
    found: Shifts = {}
    for name, label in CLASSES.items():
        rows = period & (labels == label)
        found[name] = _shift(before[rows], after[rows]) if rows.any() else None
    return found


def _logits(p: Predictions) -> NDArray[np.float64] | None:
    """In evaluation order."""
    return None if p.fused_logits is None else p.fused_logits[np.argsort(p.places())].astype(np.float64)


def _shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> Shift:
    difference, n = after - before, len(before)
    mean = float(difference.mean())
    to_fake = int(((before <= THRESHOLD) & (after > THRESHOLD)).sum())
    to_real = int(((before > THRESHOLD) & (after <= THRESHOLD)).sum())
    return Shift(
        n,
        mean,
        _of_mean(difference, mean),
        float(np.median(difference)),
        _of_median(difference),
        to_fake / n,
        bounds(wilson(to_fake, n)),
        to_real / n,
        bounds(wilson(to_real, n)),
    )


def _of_mean(difference: NDArray[np.float64], mean: float) -> Bounds:
    n = len(difference)
    if n < 2:
        return None
    spread = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * float(difference.std(ddof=1)) / sqrt(n)
    return [mean - spread, mean + spread]


def _of_median(difference: NDArray[np.float64]) -> Bounds:
    n = len(difference)
    reach = normal_reach() * sqrt(n) / 2
    low, high = floor(n / 2 - reach), ceil(n / 2 + 1 + reach)
    if low < 1 or high > n:
        return None
    ordered = np.sort(difference)
    return [float(ordered[low - 1]), float(ordered[high - 1])]
