"""Calibration: how far probabilities can be trusted, before and after a rescaling fitted on what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aigenbench.evaluation.metrics.bins import mass_bins
from aigenbench.evaluation.metrics.definitions import compute
from aigenbench.evaluation.metrics.group import Group, RankedImages
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.fusion import fit_logistic, sigmoid
from aigenbench.evaluation.statistics.draws import pair_up

MEASURES = ("ece", "brier", "nll")
METHODS = ("before", "temperature", "platt")
# a pull towards the unscaled logits, too weak to be seen unless the data leave a scale undetermined
_RIDGE = 1e-6


@dataclass(frozen=True)
class Scaling:
    """Logits x become ``slope * x + offset``; a temperature is 1 / slope with offset 0."""

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, logit: ArrayLike) -> NDArray[np.float64]:
        """The probability of being fake at a logit, or at several: float64 of its shape."""
        return sigmoid(self.slope * np.asarray(logit) + self.offset)

    def logits(self, group: Group) -> NDArray[np.float64]:
        """The rescaled logits of a group's rows, (n,)."""
        return self.slope * group.rows.logits + self.offset


def fit_scaling(logits: NDArray[np.float64], labels: NDArray[np.bool_], offset: bool) -> Scaling:
    """Minimise the mean negative log-likelihood: temperature scaling, or Platt's with an ``offset``.

    Args:
        logits: (n,).
        labels: bool (n,), true for a fake.
        offset: whether an offset is fitted too (Platt).
    """
    features = np.stack([logits, np.ones_like(logits)], axis=1)[:, : 2 if offset else 1]
    start = np.array([1.0, 0.0])[: features.shape[1]]
    return Scaling(*fit_logistic(features, labels, start, _RIDGE).tolist())


Paired = tuple[Group, NDArray[np.int64]]
"""A group with the pair (n,) of each of its rows."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A window's probabilities, as they are and rescaled.

    Attributes:
        window: index of the window.
        temperature, platt: the scalings fitted on Past.
        past, coming: the Past and the Next period by ``METHODS``; Past is rescaled by cross-fitting.
    """

    window: int
    temperature: Scaling
    platt: Scaling
    past: dict[str, Paired]
    coming: dict[str, Paired]

    def measured(self) -> dict[str, Any]:
        """``window``, ``temperature``, ``platt`` (slope, offset), ``past`` and ``next``: method -> ``MEASURES``."""
        return {
            "window": self.window,
            "temperature": 1 / self.temperature.slope,
            "platt": [self.platt.slope, self.platt.offset],
            "past": {method: compute(group, MEASURES) for method, (group, _) in self.past.items()},
            "next": {method: compute(group, MEASURES) for method, (group, _) in self.coming.items()},
        }


def calibrate(experiment: ExperimentPredictions) -> list[Calibrated]:
    """Fit on what is known, apply to what comes.

    At each window both scalings are fitted on the Past period with its paired reals and applied to the Next
    period; on the Past period itself by cross-fitting, two halves of the pairs each scaled by the fit of the
    other. Unpaired reals are never used: they stand in every period, and would be fitted and reported on at once.

    Raises:
        InputError: see `pair_up`.
    """
    pairs = pair_up(experiment.first)
    found = []
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions)
        of_rows = pairs.of_rows(predictions)[groups.order]
        masks = [groups.period_mask(p, k) for p in ("growing", "immediate_future")]
        (past, of_past), (coming, of_coming) = ((groups.whole.take(mask), of_rows[mask]) for mask in masks)
        fits = {"temperature": _fit(past, False), "platt": _fit(past, True)}
        crossed = {method: _cross_fitted(past, of_past % 2 == 1, method == "platt") for method in fits}
        found.append(
            Calibrated(
                k,
                **fits,
                past={"before": (past, of_past)} | {m: _rescaled(past, z, of_past) for m, z in crossed.items()},
                coming={"before": (coming, of_coming)}
                | {m: _rescaled(coming, fit.logits(coming), of_coming) for m, fit in fits.items()},
            )
        )
    return found


def reliability(group: Group) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean probability, share of fakes and size of each of the bins of the calibration error that is not empty."""
    bins = mass_bins(group)
    filled = bins.counts > 0
    counts = bins.counts[filled]
    return bins.scores[filled] / counts, bins.fakes[filled] / counts, counts


def _fit(group: Group, offset: bool) -> Scaling:
    if not group.both_classes:
        return Scaling()
    return fit_scaling(group.rows.logits, group.fakes, offset)


def _cross_fitted(group: Group, half: NDArray[np.bool_], offset: bool) -> NDArray[np.float64]:
    logits = np.empty(group.n)
    for mine in (half, ~half):
        logits[mine] = _fit(group.take(~mine), offset).logits(group.take(mine))
    return logits


def _rescaled(group: Group, logits: NDArray[np.float64], pairs: NDArray[np.int64]) -> Paired:
    order = np.argsort(-logits, kind="stable")
    ranks = logits[order]
    return Group(RankedImages(sigmoid(ranks), group.fakes[order], ranks), group.threshold), pairs[order]
