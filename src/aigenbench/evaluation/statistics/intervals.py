"""Intervals in closed form, and from replicates: Wilson for rates, DeLong for AUROC, percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, floor, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.definitions import NAN, auroc
from aigenbench.evaluation.metrics.group import Group

LEVEL = 0.95

Interval = tuple[float, float]
UNDEFINED: Interval = (NAN, NAN)

Bounds = list[float] | None
"""An interval as it is written: [low, high], or None where undefined."""

BIASED = ("ece", "best_f1", "forgetting")
"""Measures that noise pushes one way."""


def bounds(interval: Interval) -> Bounds:
    """An interval as it is written."""
    return None if np.isnan(interval[0]) else [float(bound) for bound in interval]


def normal_reach(level: float = LEVEL) -> float:
    """So many standard deviations to each side hold the middle ``level`` of a normal distribution."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a rate; NaN without trials."""
    if not trials:
        return UNDEFINED
    z = normal_reach(level)
    p = successes / trials
    centre = p + z * z / (2 * trials)
    spread = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    # at a rate of 0 or 1 the bound is the rate itself, which rounding would miss
    low = 0.0 if successes == 0 else (centre - spread) / whole
    high = 1.0 if successes == trials else (centre + spread) / whole
    return low, high


def percentiles(replicates: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """The middle ``level`` of replicates (r,); undefined ones are left out, NaN where none is left."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return UNDEFINED
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def centred(replicates: NDArray[np.float64], value: float) -> Interval:
    """`percentiles` of replicates moved by their mean onto ``value``.

    For measures that noise pushes one way, such as a calibration error or a maximum: resampling adds noise, and
    would push its replicates further than the value itself.
    """
    known = replicates[~np.isnan(replicates)]
    return percentiles(known - known.mean() + value) if len(known) else UNDEFINED


def interval_of(measure: str, replicates: NDArray[np.float64], value: float) -> Interval:
    """The interval of a measure of this value from its replicates (r,); it holds the value."""
    if measure not in BIASED:
        return holding(percentiles(replicates), value)
    low, high = holding(centred(replicates, value), value)
    return (max(low, 0.0), high) if measure == "ece" else (low, high)


def bounds_of(measure: str, replicates: NDArray[np.float64], value: float | None) -> Bounds:
    """`interval_of` as it is written; None without a value."""
    return None if value is None else bounds(interval_of(measure, replicates, value))


def uncertain_bounds(measure: str, replicates: NDArray[np.float64], value: float | None) -> Bounds:
    """`bounds_of`; None where all replicates are equal too, which is no certainty."""
    found = bounds_of(measure, replicates, value)
    return found if found and found[0] < found[1] else None


def holding(interval: Interval, value: float) -> Interval:
    """``interval``, reaching to ``value`` where few or lopsided draws would leave it just outside."""
    return (min(interval[0], value), max(interval[1], value)) if not np.isnan(interval[0]) else interval


def interval_text(interval: Sequence[float] | None, digits: int = 1, sign: str = "") -> str:
    """``[low, high]`` in percent, rounded outward, or nothing; at 2,000 draws a bound's tenth is luck already."""
    return "" if interval is None else outward([100 * bound for bound in interval], digits, sign)


def outward(interval: Sequence[float], digits: int, sign: str = "") -> str:
    """``[low, high]`` as text, rounded outward, so that what it holds stays inside."""
    scale = 10**digits
    # twelve digits first: 0.3 * 10 must not become 3.0000000000000004 and then 4
    low, high = (step(round(scale * bound, 12)) / scale for bound, step in zip(interval, (floor, ceil), strict=True))
    # 0.0 added turns a negative zero into a zero
    return f"[{low + 0.0:{sign}.{digits}f}, {high + 0.0:{sign}.{digits}f}]"


@dataclass(frozen=True)
class Placements:
    """What DeLong's variance is made of.

    Attributes:
        fakes: for every fake, the share of reals it ranks above (ties one half), (f,).
        reals: for every real, the share of fakes that rank above it, (r,).
    """

    fakes: NDArray[np.float64]
    reals: NDArray[np.float64]

    @staticmethod
    def of(group: Group) -> Placements:
        """Placements of a group, in the order of its rows."""
        ranks, fakes = group.rows.ranks, group.fakes
        return Placements(_share_below(ranks[fakes], ranks[~fakes]), 1 - _share_below(ranks[~fakes], ranks[fakes]))


def delong_variance(group: Group) -> float:
    """DeLong's variance of the AUROC of independent images; NaN with fewer than two of a class."""
    if group.n_fakes < 2 or group.n_reals < 2:
        return NAN
    placed = Placements.of(group)
    return float(placed.fakes.var(ddof=1) / group.n_fakes + placed.reals.var(ddof=1) / group.n_reals)


def delong(group: Group, level: float = LEVEL) -> Interval:
    """DeLong's interval of the AUROC on the logit scale, where it stays inside 0..1 and is more nearly normal.

    At an AUROC of exactly 0 or 1 the variance is zero and the logit infinite: there Wilson's interval of a rate
    with as many trials as the smaller class stands in, which never has zero width.
    """
    return on_logit_scale(auroc(group), delong_variance(group), min(group.n_fakes, group.n_reals), level)


def delong_shift(
    before: NDArray[np.floating], after: NDArray[np.floating], fakes: NDArray[np.bool_]
) -> tuple[float, Interval]:
    """How far the AUROC of the same images moves from one scoring to another, and DeLong's interval of that, of 95 %.

    The interval is NaN with fewer than two images of a class.

    Args:
        before: scores or logits of the images, (n,).
        after: likewise, of the same images.
        fakes: bool (n,).
    """
    if fakes.all() or not fakes.any():
        return NAN, UNDEFINED
    of_fakes = _share_below(after[fakes], after[~fakes]) - _share_below(before[fakes], before[~fakes])
    of_reals = _share_below(before[~fakes], before[fakes]) - _share_below(after[~fakes], after[fakes])
    shift = float(of_fakes.mean())
    if min(len(of_fakes), len(of_reals)) < 2:
        return shift, UNDEFINED
    variance = of_fakes.var(ddof=1) / len(of_fakes) + of_reals.var(ddof=1) / len(of_reals)
    spread = normal_reach() * sqrt(variance)
    return shift, (shift - spread, shift + spread)


def on_logit_scale(area: float, variance: float, trials: int, level: float = LEVEL) -> Interval:
    """The interval of an AUROC of given variance, as `delong` describes it; NaN where the variance is NaN."""
    if np.isnan(variance):
        return UNDEFINED
    if not 0 < area < 1 or variance == 0:
        return wilson(area * trials, trials, level)
    centre, spread = log(area / (1 - area)), normal_reach(level) * sqrt(variance) / (area * (1 - area))
    return 1 / (1 + exp(spread - centre)), 1 / (1 + exp(-spread - centre))


BOOTSTRAP, NORMAL_TAIL = "bootstrap", "normal tail"
SMALLEST_P = 1e-16
"""Below this a p-value says nothing more."""


def p_value(differences: NDArray[np.float64]) -> tuple[float, str]:
    """Two-sided p-value of replicates of a difference, and what gave it.

    How often they fall on the rarer side of zero; one is added above and below, so that it is never 0. Where none
    does, that is 2 / (replicates + 1) however far away zero is, which many comparisons together could never take
    for significant: there the tail of a normal distribution of the replicates' mean and spread stands in.

    Returns:
        p, NaN without replicates, and ``BOOTSTRAP`` or ``NORMAL_TAIL``.
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return NAN, BOOTSTRAP
    rarer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    p, spread = min(1.0, 2 * (int(rarer) + 1) / (len(known) + 1)), float(known.std())
    if rarer or not spread:
        return p, BOOTSTRAP
    tail = max(2 * NormalDist().cdf(-abs(float(known.mean())) / spread), SMALLEST_P)
    return (tail, NORMAL_TAIL) if tail < p else (p, BOOTSTRAP)


def two_sided_p(differences: NDArray[np.float64]) -> float:
    """The p-value alone, see `p_value`."""
    return p_value(differences)[0]


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjustment of several p-values, in their order; NaN stays NaN and does not count."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    adjusted = [NAN] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = largest
    return adjusted


def _share_below(values: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return below / (2 * len(ordered))
