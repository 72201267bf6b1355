"""What an exported detector says of a picture in words, and how often such words were wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.evaluation.statistics.operating import OperatingPoint, Rate


@dataclass(frozen=True)
class Verdict:
    """A word, and how often it was wrong where that was measured.

    Attributes:
        word: ``real``, ``unsure`` or ``generated``.
        rate: of ``generated``, the share of real images that were called so; of ``real``, of generated ones; 0..1.
            None for ``unsure``, which cannot be wrong.
        interval: of the rate, 95 %.
        period: where it was measured.
        said: one plain sentence.
    """

    word: Literal["real", "unsure", "generated"]
    rate: float | None
    interval: tuple[float, float] | None
    period: str
    said: str


def verdict(logit: float, point: OperatingPoint) -> Verdict:
    """The verdict on a picture of this logit at an operating point."""
    measured, period = point.measured, point.period
    newer = period == "Next"
    where = "with generators newer than those it knows" if newer else f"with generators that it knows ({period})"
    if logit > point.high:
        rate = measured.reals_called_generated
        said = f"looks generated; {where}, {_told(rate)} of real images were called so by mistake"
        return Verdict("generated", rate.value, rate.interval, period, said)
    if logit < point.low:
        rate = measured.fakes_called_real
        said = f"looks real; {where}, {_told(rate)} of generated images were called so by mistake"
        return Verdict("real", rate.value, rate.interval, period, said)
    reals, fakes = measured.reals_unsure, measured.fakes_unsure
    said = f"cannot be told; {where}, so it was with {_told(reals)} of real and {_told(fakes)} of generated images"
    return Verdict("unsure", None, None, period, said)


def _told(rate: Rate) -> str:
    return f"{100 * rate.value:.1f} % {interval_text(rate.interval)}"
