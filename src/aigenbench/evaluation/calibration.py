"""Calibration: how far probabilities can be trusted, before and after a rescaling fitted on what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.experiment import Experiment
from aigenbench.evaluation.fuse import log_sigmoid, sigmoid
from aigenbench.evaluation.group import Group
from aigenbench.evaluation.metrics import compute, mass_bins
from aigenbench.evaluation.pairs import pair_up
from aigenbench.evaluation.periods import WindowGroups
from aigenbench.protocol.periods import period_generators

MEASURES = ("ece", "brier", "nll")
METHODS = ("before", "temperature", "platt")
# a pull towards the unscaled logits, too weak to be seen unless the data leave a scale undetermined
_RIDGE = 1e-6


@dataclass(frozen=True)
class Scaling:
    """Logits x become ``slope * x + offset``; a temperature is 1 / slope with offset 0."""

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, group: Group) -> Group:
        """The same images with rescaled logits and the probabilities of those."""
        logits = self.slope * group.rows.logits + self.offset
        return Group.of(sigmoid(logits), group.fakes, logits, group.threshold)


def fit_scaling(logits: NDArray[np.float64], labels: NDArray[np.bool_], offset: bool) -> Scaling:
    """Minimise the mean negative log-likelihood: temperature scaling, or Platt's with an ``offset``.

    Damped Newton steps on a convex function; labels that logits separate perfectly still give a finite scale.

    Args:
        logits: (n,).
        labels: bool (n,), true for a fake.
        offset: whether an offset is fitted too (Platt).
    """
    features = np.stack([logits, np.ones_like(logits)], axis=1)[:, : 2 if offset else 1]
    start = np.array([1.0, 0.0])[: features.shape[1]]
    signs = np.where(labels, 1.0, -1.0)

    def loss(theta: NDArray[np.float64]) -> float:
        return float(-log_sigmoid(signs * (features @ theta)).mean() + _RIDGE * np.sum((theta - start) ** 2))

    theta, best = start, loss(start)
    for _ in range(100):
        p = sigmoid(features @ theta)
        gradient = features.T @ (p - labels) / len(labels) + 2 * _RIDGE * (theta - start)
        curvature = features.T @ (features * (p * (1 - p))[:, None]) / len(labels)
        step = np.linalg.solve(curvature + 2 * _RIDGE * np.eye(len(theta)), gradient)
        scale = 1.0
        while scale > 1e-10 and loss(theta - scale * step) > best:
            scale /= 2
        theta = theta - scale * step
        previous, best = best, loss(theta)
        if previous - best < 1e-14:
            break
    return Scaling(*theta.tolist())


def calibration(experiment: Experiment) -> list[dict[str, Any]]:
    """Fit on what is known, report on what comes.

    At each window both scalings are fitted on the Past period with its paired reals and reported on the Next
    period; on the Past period itself by cross-fitting, two halves of the pairs each scaled by the fit of the
    other. Unpaired reals are never used: they stand in every period, and would be fitted and reported on at once.

    Returns:
        One mapping a window: ``temperature``, ``platt`` (slope and offset), and ``past`` and ``next``, each
        ``before`` / ``temperature`` / ``platt`` -> ECE, Brier score, NLL; None where a period is empty.
    """
    pairs = pair_up(experiment.first)
    found = []
    for k, predictions in experiment.windows.items():
        groups = WindowGroups(predictions)
        mask = groups.mask(period_generators("growing", groups.windows, k))
        past, coming = groups.whole.take(mask), groups.period("immediate_future", k)
        half = pairs.of_rows(predictions)[groups.order[mask]] % 2 == 1
        fits = {"temperature": _fit(past, False), "platt": _fit(past, True)}
        crossed = {method: _cross_fitted(past, half, method == "platt") for method in fits}
        found.append(
            {
                "window": k,
                "temperature": 1 / fits["temperature"].slope,
                "platt": [fits["platt"].slope, fits["platt"].offset],
                "past": {"before": _measured(past)} | {m: _measured(g) for m, g in crossed.items()},
                "next": {"before": _measured(coming)} | {m: _measured(f.apply(coming)) for m, f in fits.items()},
            }
        )
    return found


def scaled_groups(experiment: Experiment, window: int) -> dict[str, Group]:
    """The Next period of a window before and after temperature scaling fitted on its Past, for diagrams."""
    groups = WindowGroups(experiment.windows[window])
    coming = groups.period("immediate_future", window)
    if not coming.n:
        return {}
    return {"before": coming, "temperature": _fit(groups.period("growing", window), False).apply(coming)}


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


def _cross_fitted(group: Group, half: NDArray[np.bool_], offset: bool) -> Group:
    logits = np.empty(group.n)
    for mine in (half, ~half):
        fit = _fit(group.take(~mine), offset)
        logits[mine] = fit.slope * group.rows.logits[mine] + fit.offset
    return Group.of(sigmoid(logits), group.fakes, logits)


def _measured(group: Group) -> dict[str, float | None]:
    return compute(group, MEASURES)
