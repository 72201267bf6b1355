"""Operating points: thresholds and an unsure band, fitted on what is known, with the error rates they came to.

A detector that is handed on answers in words. The words come from two thresholds on the logit, both fitted on the Past
period with its paired reals: above ``high`` an image is called generated, below ``low`` real, between them neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.calibration import Scaling, calibrate
from aigenbench.evaluation.statistics.draws import pair_up
from aigenbench.evaluation.statistics.intervals import wilson
from aigenbench.evaluation.statistics.thresholds import threshold_at_fpr, whole_number
from aigenbench.protocol.periods import PERIOD_TITLES

FALSE_POSITIVES = (0.01, 0.05)
"""Of the operating points: the share of reals that may be called generated."""
MISSED = 0.05
"""The share of fakes that may be called real."""
FOLDS = 100
"""Parts of Past that are measured one after the other, under thresholds fitted on the rest. With few, these thresholds
would be others than those that are used, and the intervals too narrow."""
CROSSED = "Past, cross-fitted"
"""Where the rates of the last window were measured, which has no Next period."""


@dataclass(frozen=True)
class Rate:
    """A share of images, with its interval of 95 % (Wilson).

    Attributes:
        count: the images that it happened to.
        of: the images there were; at least one.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0..1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval."""
        return wilson(self.count, self.of)

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.count + other.count, self.of + other.of)


@dataclass(frozen=True)
class Rates:
    """What thresholds do to the images of a period.

    Attributes:
        recall: fakes above the threshold.
        false_positives: reals above the threshold.
        reals_called_generated: reals above the band.
        fakes_called_real: fakes below the band.
        reals_unsure: reals inside the band.
        fakes_unsure: fakes inside the band.
    """

    recall: Rate
    false_positives: Rate
    reals_called_generated: Rate
    fakes_called_real: Rate
    reals_unsure: Rate
    fakes_unsure: Rate

    def __add__(self, other: Rates) -> Rates:
        return Rates(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and a band, and the rates they have.

    Attributes:
        fpr: the false positive rate aimed at.
        threshold: a logit; an image is called generated where its own is greater.
        low: below this logit an image is called real.
        high: above this logit an image is called generated, where an unsure band is used.
        fitted: rates on the Past period, which the thresholds were fitted on: what was aimed at, and no measurement.
        measured: rates on images that the thresholds do not know.
        period: where they were measured: ``Next``, or `CROSSED`.
        note: what a reader should know, or "".
    """

    fpr: float
    threshold: float
    low: float
    high: float
    fitted: Rates
    measured: Rates
    period: str
    note: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain values, the intervals of the measured rates among them."""
        record = asdict(self)
        for name, rate in record["measured"].items():
            rate["interval"] = list(Rate(**rate).interval)
            rate["value"] = getattr(self.measured, name).value
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> OperatingPoint:
        """Read what ``to_record`` gave; rates are computed again from their counts.

        Raises:
            LookupError, TypeError, ValueError: it is of another form.
        """
        fpr, threshold, low, high = (float(record[name]) for name in ("fpr", "threshold", "low", "high"))
        if not low <= high:
            raise ValueError(f"low, {low}, lies above high, {high}")
        fitted, measured = (_rates_of_record(record[name]) for name in ("fitted", "measured"))
        return cls(fpr, threshold, low, high, fitted, measured, str(record["period"]), str(record.get("note", "")))


def _rates_of_record(record: Mapping[str, Any]) -> Rates:
    rates = {}
    for name in Rates.__dataclass_fields__:
        count, of = int(record[name]["count"]), int(record[name]["of"])
        if not 0 <= count <= of or not 0 < of < 2**53:
            raise ValueError(f"{name}: {count} of {of}")
        rates[name] = Rate(count, of)
    return Rates(**rates)


def operating_points(experiment: ExperimentPredictions, window: int) -> tuple[Scaling, tuple[OperatingPoint, ...]]:
    """What a detector that is handed on answers by: Platt's scaling, and an operating point a false positive rate.

    All is fitted on the Past period of ``window`` with its paired reals. The rates are measured on its Next period; the
    last window has none, there they are measured on Past by cross-fitting: each part of the pairs under thresholds that
    were fitted on the others.

    Args:
        experiment: loaded predictions.
        window: one of its windows.

    Raises:
        InputError: Past lacks reals or fakes, or see `pair_up`.
    """
    predictions = experiment.windows[window]
    groups = WindowGroups(predictions)
    of_rows = pair_up(predictions).of_rows(predictions)[groups.order]
    mask = groups.period_mask("growing", window)
    past, coming = groups.whole.take(mask), groups.period("immediate_future", window)
    _, pairs = np.unique(of_rows[mask], return_inverse=True)
    if len(pairs) < 4:
        raise InputError(
            f"{experiment.name}: the Past period of window {window} has {past.n_reals} real and {past.n_fakes} "
            "generated images to fit thresholds on; at least two pairs are needed"
        )
    (calibrated,) = calibrate(replace(experiment, windows={window: predictions}))
    return calibrated.platt, tuple(_point(past, pairs % FOLDS, coming, fpr) for fpr in FALSE_POSITIVES)


def _point(past: Group, folds: NDArray[np.int64], coming: Group, fpr: float) -> OperatingPoint:
    own = _fit(past, fpr, MISSED)
    if coming.both_classes:
        measured, period = own.rates(coming), PERIOD_TITLES["immediate_future"]
    else:
        parts = (folds == fold for fold in np.unique(folds))
        measured = reduce(add, (_fit_beside(past, part, fpr).rates(past.take(part)) for part in parts))
        period = CROSSED
    note = _note(past, fpr)
    return OperatingPoint(fpr, own.threshold, own.low, own.high, own.rates(past), measured, period, note)


@dataclass(frozen=True)
class _Fit:
    threshold: float
    low: float
    high: float

    def rates(self, group: Group) -> Rates:
        ranks = group.rows.ranks
        fakes, reals = ranks[group.fakes], ranks[~group.fakes]
        return Rates(
            recall=_share(fakes > self.threshold),
            false_positives=_share(reals > self.threshold),
            reals_called_generated=_share(reals > self.high),
            fakes_called_real=_share(fakes < self.low),
            reals_unsure=_share((reals >= self.low) & (reals <= self.high)),
            fakes_unsure=_share((fakes >= self.low) & (fakes <= self.high)),
        )


def _fit(group: Group, fpr: float, missed: float) -> _Fit:
    """The threshold, and the band between it and the one below which at most ``missed`` of the fakes lie.

    Where the classes are so far apart that the two thresholds cross, what lies between them looks like neither: it is
    the band too, and both rates are lower than aimed at.
    """
    threshold = float(threshold_at_fpr(group, fpr))
    fakes = group.rows.ranks[group.fakes]
    # ranks fall: counted from the end, so many fakes may lie below
    least = float(fakes[len(fakes) - 1 - whole_number(missed, len(fakes))])
    return _Fit(threshold, min(least, threshold), max(least, threshold))


def _fit_beside(group: Group, part: NDArray[np.bool_], fpr: float) -> _Fit:
    """The fit of all but a part, with as large shares above and below as the whole group's fit has.

    Rounded down anew, the thresholds would be a rank stricter.
    """
    rest = group.take(~part)
    above = round(whole_number(fpr, group.n_reals) * rest.n_reals / group.n_reals) / rest.n_reals
    below = round(whole_number(MISSED, group.n_fakes) * rest.n_fakes / group.n_fakes) / rest.n_fakes
    return _fit(rest, above, below)


def _share(called: NDArray[np.bool_]) -> Rate:
    return Rate(int(called.sum()), len(called))


def _note(past: Group, fpr: float) -> str:
    """Why a threshold is hardly known, where it is not."""
    if past.n_reals * fpr >= 1:
        return ""
    return (
        f"fitted on {past.n_reals} real images, of which {100 * fpr:g} % is less than one: the threshold is the "
        "highest logit among them"
    )
