"""Exact metrics of a group of scored images.

Ranking metrics see every distinct score as one threshold, so ties count as ties. Metrics of decisions count a
score as fake where it is strictly greater than the threshold (protocol section 9). An undefined value is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

NAN = float("nan")
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Curve:
    """Counts at every distinct score, from the highest down.

    Attributes:
        thresholds: distinct scores, descending, (t,).
        tps: fakes scored at least ``thresholds``, int64 (t,).
        fps: reals scored at least ``thresholds``, int64 (t,).
    """

    thresholds: NDArray[np.float64]
    tps: NDArray[np.int64]
    fps: NDArray[np.int64]

    @staticmethod
    def of_sorted(values: NDArray[np.floating], fakes: NDArray[np.bool_]) -> Curve:
        """The curve of ``values`` that stand in descending order, (n,), with n > 0."""
        last_of_tie = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
        tps = np.cumsum(fakes, dtype=np.int64)[last_of_tie]
        return Curve(values[last_of_tie], tps, last_of_tie + 1 - tps)


@dataclass(frozen=True, eq=False)
class Group:
    """Scored images that are judged together: what every metric is a function of.

    Attributes:
        scores: probabilities of being fake, (n,).
        fakes: bool (n,).
        ranks: what images are ranked by, in descending order, (n,): logits where known, else scores.
        threshold: decision threshold on ``scores``.
    """

    scores: NDArray[np.floating]
    fakes: NDArray[np.bool_]
    ranks: NDArray[np.floating]
    threshold: float = 0.5

    @staticmethod
    def of(scores: ArrayLike, labels: ArrayLike, logits: ArrayLike | None = None, threshold: float = 0.5) -> Group:
        """Make a group of images in any order.

        Args:
            scores: (n,) in 0..1.
            labels: (n,), 0 real, 1 fake.
            logits: (n,) or None.
            threshold: see the class.
        """
        scores = np.asarray(scores)
        ranks = scores if logits is None else np.asarray(logits)
        order = np.argsort(-ranks, kind="stable")
        return Group(scores[order], np.asarray(labels)[order] == 1, ranks[order], threshold)

    def take(self, mask: NDArray[np.bool_]) -> Group:
        """The images where ``mask`` (n,) is true; nothing is sorted again."""
        return Group(self.scores[mask], self.fakes[mask], self.ranks[mask], self.threshold)

    @cached_property
    def n_fakes(self) -> int:
        """Number of fakes."""
        return int(np.count_nonzero(self.fakes))

    @cached_property
    def n_reals(self) -> int:
        """Number of reals."""
        return len(self.fakes) - self.n_fakes

    @cached_property
    def both_classes(self) -> bool:
        """Whether there is a real and a fake."""
        return self.n_fakes > 0 and self.n_reals > 0

    @cached_property
    def curve(self) -> Curve:
        """Counts at every distinct rank."""
        return Curve.of_sorted(self.ranks, self.fakes)

    @cached_property
    def score_curve(self) -> Curve:
        """Counts at every distinct score: coarser than ``curve`` where scores round to the same number."""
        if self.ranks is self.scores:
            return self.curve
        order = np.argsort(-self.scores, kind="stable")
        return Curve.of_sorted(self.scores[order], self.fakes[order])

    @cached_property
    def confusion(self) -> tuple[int, int, int, int]:
        """(tp, fp, tn, fn) at the threshold."""
        called_fake = self.scores > self.threshold
        tp = int(np.count_nonzero(called_fake & self.fakes))
        fp = int(np.count_nonzero(called_fake)) - tp
        return tp, fp, self.n_reals - fp, self.n_fakes - tp


Metric = Callable[[Group], float]
METRICS: dict[str, Metric] = {}
"""Every metric by name, in the order of tables. A metric of one's own: ``METRICS["name"] = function``."""


def metric(name: str) -> Callable[[Metric], Metric]:
    """Decorator that enters a function of a `Group` into ``METRICS``."""

    def enter(function: Metric) -> Metric:
        METRICS[name] = function
        return function

    return enter


def compute(group: Group, names: tuple[str, ...] | None = None) -> dict[str, float | None]:
    """All metrics (or those named) of ``group``; None where a metric is undefined or the group empty."""
    values: dict[str, float | None] = {}
    for name in METRICS if names is None else names:
        value = METRICS[name](group) if len(group.fakes) else NAN
        values[name] = None if np.isnan(value) else value
    return values


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN


@metric("auroc")
def auroc(group: Group) -> float:
    """Area under the ROC curve: the chance that a fake ranks above a real, ties counting one half."""
    if not group.both_classes:
        return NAN
    tps, fps = group.curve.tps, group.curve.fps
    doubled_area = int(np.dot(np.diff(fps, prepend=0), tps + np.append(0, tps[:-1])))
    return doubled_area / (2 * group.n_fakes * group.n_reals)


@metric("average_precision")
def average_precision(group: Group) -> float:
    """Sum of precision times step in recall over the distinct thresholds (no interpolation)."""
    if not group.both_classes:
        return NAN
    tps, fps = group.curve.tps, group.curve.fps
    return float(np.dot(np.diff(tps, prepend=0), tps / (tps + fps))) / group.n_fakes


@metric("accuracy")
def accuracy(group: Group) -> float:
    """Share of right decisions."""
    tp, _, tn, _ = group.confusion
    return _ratio(tp + tn, len(group.fakes))


@metric("balanced_accuracy")
def balanced_accuracy(group: Group) -> float:
    """Mean of recall and specificity."""
    return (recall(group) + specificity(group)) / 2


@metric("precision")
def precision(group: Group) -> float:
    """Share of fakes among what is called fake."""
    tp, fp, _, _ = group.confusion
    return _ratio(tp, tp + fp)


@metric("recall")
def recall(group: Group) -> float:
    """Share of fakes called fake: the true positive rate."""
    tp, _, _, fn = group.confusion
    return _ratio(tp, tp + fn)


@metric("specificity")
def specificity(group: Group) -> float:
    """Share of reals called real: one minus the false positive rate."""
    _, fp, tn, _ = group.confusion
    return _ratio(tn, tn + fp)


@metric("f1")
def f1(group: Group) -> float:
    """Harmonic mean of precision and recall."""
    tp, fp, _, fn = group.confusion
    return _ratio(2 * tp, 2 * tp + fp + fn)


@metric("tp")
def tp(group: Group) -> float:
    """Fakes called fake."""
    return float(group.confusion[0])


@metric("fp")
def fp(group: Group) -> float:
    """Reals called fake."""
    return float(group.confusion[1])


@metric("tn")
def tn(group: Group) -> float:
    """Reals called real."""
    return float(group.confusion[2])


@metric("fn")
def fn(group: Group) -> float:
    """Fakes called real."""
    return float(group.confusion[3])


@metric("n_real")
def n_real(group: Group) -> float:
    """Number of reals."""
    return float(group.n_reals)


@metric("n_fake")
def n_fake(group: Group) -> float:
    """Number of fakes."""
    return float(group.n_fakes)
