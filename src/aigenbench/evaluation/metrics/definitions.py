"""Exact metrics of a group of scored images.

Ranking metrics see every distinct score as one threshold, so ties count as ties. Metrics of decisions count a
score as fake where it is strictly greater than the threshold (protocol section 9). An undefined value is NaN.
"""

from __future__ import annotations

import bisect
from collections import UserDict
from collections.abc import Callable

import numpy as np

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.bins import mass_bins
from aigenbench.evaluation.metrics.group import Group

NAN = float("nan")

Metric = Callable[[Group], float]
BUILT_IN: frozenset[str] = frozenset()
"""The metrics of this module: those that take the weights of a resampled group into account."""

RESERVED = ("auroc_delong", "auroc_generators")
"""Names that results use for something else."""


def check_own_name(name: str) -> None:
    """See that a metric of one's own does not take the name of a known one.

    Raises:
        InputError: it does, or it is no name.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"a metric needs a name, found {name!r}")
    if name in BUILT_IN or name in RESERVED:
        raise InputError(
            f"the metric {name!r} is one of aigenbench's own, and results would no longer mean what they say; "
            f"give yours another name, such as 'my_{name}'"
        )


class Registry(UserDict[str, Metric]):
    """Metrics by name; none of ours is replaced or removed."""

    def __setitem__(self, name: str, function: Metric) -> None:
        if self.data.get(name) is function:
            return
        check_own_name(name)
        if not callable(function):
            raise InputError(f"the metric {name!r} must be a function of a group of images, found {function!r}")
        super().__setitem__(name, function)

    def __delitem__(self, name: str) -> None:
        if name in self.data:
            check_own_name(name)
        super().__delitem__(name)


METRICS = Registry()
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
        value = value_of(name, group) if group.n else NAN
        values[name] = None if np.isnan(value) else value
    return values


def value_of(name: str, group: Group) -> float:
    """One metric of ``group``; NaN where undefined.

    Raises:
        InputError: a metric of one's own fails or does not give a number.
    """
    if name in BUILT_IN:
        return METRICS[name](group)
    try:
        value = METRICS[name](group)
    except Exception as error:
        raise InputError(f"the metric {name!r} failed: {type(error).__name__}: {error}") from error
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"the metric {name!r} must give a number, found {value!r}") from None


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN


@metric("auroc")
def auroc(group: Group) -> float:
    """Area under the ROC curve: the chance that a fake ranks above a real, ties counting one half."""
    if not group.both_classes:
        return NAN
    tps, fps = group.curve.tps, group.curve.fps
    before = np.append(0, tps[:-1])
    doubled_area = int(np.dot(np.diff(fps, prepend=0), tps + before))
    return doubled_area / (2 * group.n_fakes * group.n_reals)


@metric("average_precision")
def average_precision(group: Group) -> float:
    """Sum of precision times step in recall over the distinct thresholds (no interpolation)."""
    if not group.both_classes:
        return NAN
    tps, fps = group.curve.tps, group.curve.fps
    # images of weight zero may lead the ranking
    first = int(np.searchsorted(tps, 0, side="right"))
    tps, fps = tps[first:], fps[first:]
    # not np.dot: the matrix library's threads would start for this, and wait for each other
    return float((np.diff(tps, prepend=0) * (tps / (tps + fps))).sum()) / group.n_fakes


@metric("accuracy")
def accuracy(group: Group) -> float:
    """Share of right decisions."""
    tp, _, tn, _ = group.confusion
    return _ratio(tp + tn, group.n)


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


@metric("best_f1")
def best_f1(group: Group) -> float:
    """The highest F1 that any threshold reaches."""
    return _best_f1(group)[0]


@metric("best_f1_threshold")
def best_f1_threshold(group: Group) -> float:
    """The highest threshold that reaches the best F1: scores strictly above it are fake."""
    return _best_f1(group)[1]


@metric("eer")
def eer(group: Group) -> float:
    """Equal error rate: where the ROC polyline meets false positive rate = false negative rate."""
    if not group.both_classes:
        return NAN
    tps, fps, fakes, reals = group.curve.tps, group.curve.fps, group.n_fakes, group.n_reals

    def excess(i: int) -> int:
        # false positive rate less false negative rate at threshold i, times both counts: exact, and rising with i
        return int(fps[i]) * fakes - (fakes - int(tps[i])) * reals

    after = bisect.bisect_left(range(len(tps)), 0, key=excess)
    fpr, above = int(fps[after]) / reals, excess(after)
    before_fpr, below = (int(fps[after - 1]) / reals, excess(after - 1)) if after else (0.0, -fakes * reals)
    return before_fpr + (fpr - before_fpr) * -below / (above - below)


def tpr_at_fpr(group: Group, limit: float) -> float:
    """The highest recall of a threshold whose false positive rate is at most ``limit``."""
    if not group.both_classes:
        return NAN
    allowed = int(np.searchsorted(group.curve.fps, limit * group.n_reals, side="right"))
    return int(group.curve.tps[allowed - 1]) / group.n_fakes if allowed else 0.0


@metric("tpr_at_fpr_1")
def tpr_at_fpr_1(group: Group) -> float:
    """Recall at a false positive rate of at most 1 %."""
    return tpr_at_fpr(group, 0.01)


@metric("tpr_at_fpr_5")
def tpr_at_fpr_5(group: Group) -> float:
    """Recall at a false positive rate of at most 5 %."""
    return tpr_at_fpr(group, 0.05)


@metric("tpr_at_fpr_10")
def tpr_at_fpr_10(group: Group) -> float:
    """Recall at a false positive rate of at most 10 %."""
    return tpr_at_fpr(group, 0.10)


@metric("ece")
def ece(group: Group) -> float:
    """Expected calibration error of the probability of being fake, in 15 bins of equal mass."""
    bins = mass_bins(group)
    return float(np.abs(bins.scores - bins.fakes).sum()) / group.n if group.n else NAN


@metric("brier")
def brier(group: Group) -> float:
    """Mean squared distance between probability and label."""
    return group.mean(group.rows.squares)


@metric("nll")
def nll(group: Group) -> float:
    """Mean negative log-likelihood in nats, from the logits where they are known."""
    return group.mean(group.rows.losses)


def _best_f1(group: Group) -> tuple[float, float]:
    if not group.n_fakes:
        return NAN, NAN
    curve = group.score_curve
    values = 2 * curve.tps / (curve.tps + curve.fps + group.n_fakes)
    best = int(np.argmax(values))
    # strictly greater than the next number below a score, of the scores' own type, means: at least that score
    found = curve.thresholds[best]
    return float(values[best]), float(np.nextafter(found, found.dtype.type(-np.inf)))


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


BUILT_IN = frozenset(METRICS)
