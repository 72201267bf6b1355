"""Perturbation results as plain values, for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigenbench.evaluation.robustness.score import Estimates, Family, Result
from aigenbench.evaluation.robustness.shifts import THRESHOLD, reading
from aigenbench.evaluation.statistics.intervals import bounds
from aigenbench.protocol.periods import PERIOD_TITLES

NEXT = "immediate_future"


def robustness_values(name: str, families: Sequence[Family], off_protocol: Sequence[str] = ()) -> dict[str, Any]:
    """What ``aigenbench robustness --json`` prints; AUROC and shares in 0..1, shifts in logits, None where undefined.

    Args:
        name: the experiment's.
        families: see ``load_robustness``.
        off_protocol: why the training is off protocol; told where it is.
    """
    return {
        "experiment": name,
        **({"off_protocol": list(off_protocol)} if off_protocol else {}),
        "threshold_logit": THRESHOLD,
        "families": [
            {
                "family": family.name,
                "windows": list(family.windows),
                "counted": list(family.counted),
                "clean": _values(family.clean),
                "levels": [_values(result) | _against(family.clean, result) for result in family.levels],
            }
            for family in families
        ],
    }


def _values(result: Result) -> dict[str, Any]:
    return {
        "level": result.label,
        "auroc_mean": _estimates(result.mean),
        "auroc_last": _estimates(result.last),
        "windows": {str(k): periods for k, periods in result.windows.items()},
        "generators": result.generators,
    }


def _estimates(estimates: Estimates) -> dict[str, Any]:
    return {
        PERIOD_TITLES[period].lower(): None
        if e is None
        else {"value": e.value, "interval": bounds((e.interval[0], e.interval[1]))}
        for period, e in estimates.items()
    }


def _against(clean: Result, result: Result) -> dict[str, Any]:
    before, after = clean.mean[NEXT], result.mean[NEXT]
    change = None if before is None or after is None else after.change_from(before)
    return {
        "change_of_mean_next": None if change is None else {"value": change[0], "interval": change[1]},
        "shifts": {name: None if shift is None else shift.to_dict() for name, shift in result.shifts.items()},
        "reading": reading(result.shifts),
    }
