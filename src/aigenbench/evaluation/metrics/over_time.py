"""What happens to a detector over the windows: learning, forgetting, and the price of what is new."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANCE = 0.5
"""AUROC of a detector that knows nothing: what forward transfer is measured against."""

TRANSFERS = ("forgetting", "backward_transfer", "forward_transfer")


def generator_matrix(scores: dict[str, Any]) -> tuple[list[str], list[int], NDArray[np.float64]]:
    """AUROC of every generator after every window.

    Args:
        scores: what `score_experiment` returns.

    Returns:
        Generator names (g) in timeline order, the window each enters at (g), and AUROC (g, windows) with NaN
        where unknown.
    """
    names = [name for window in scores["windows"] for name in window]
    entered = [k for k, window in enumerate(scores["windows"]) for _ in window]
    rows = [[np.nan if v is None else v for v in scores["generators"][name]["auroc"]] for name in names]
    return names, entered, np.array(rows, dtype=np.float64).reshape(len(names), len(scores["windows"]))


def over_time(scores: dict[str, Any]) -> dict[str, Any]:
    """Transfer and forgetting of every generator and on average.

    The drop of a window is its Past less its Next AUROC: what a family of new generators costs. The area is the
    trapezoid mean of Next AUROC over the windows. See `transfers` for the rest.

    Returns:
        ``generators``: name -> forgetting, backward_transfer, forward_transfer, entered; ``mean`` of each;
        ``drop`` per window; ``mean_drop``; ``area``. None where undefined.
    """
    names, entered, matrix = generator_matrix(scores)
    by_name = {
        name: {"entered": e} | {m: _number(v) for m, v in transfers(row, e).items()}
        for name, e, row in zip(names, entered, matrix, strict=True)
    }
    past, coming = (np.array(scores["periods"][p]["auroc"], dtype=np.float64) for p in ("growing", "immediate_future"))
    return {
        "generators": by_name,
        "mean": {m: _mean([values[m] for values in by_name.values()]) for m in TRANSFERS},
        "drop": [_number(v) for v in past - coming],
        "mean_drop": _mean([_number(v) for v in past - coming]),
        "area": _number(area(coming)),
    }


def transfers(aurocs: NDArray[np.float64], entered: int) -> dict[str, NDArray[np.float64]]:
    """How a generator fares before and after it is trained on.

    With R[k] its AUROC after window k, e the window it enters at and K the last window: forgetting is
    max(R[e..K-1]) - R[K], backward transfer R[K] - R[e], forward transfer R[e-1] - 0.5.

    Args:
        aurocs: (..., windows), NaN where unknown.
        entered: the window that brings the generator.

    Returns:
        The three measures of ``TRANSFERS``, (...) each, NaN where undefined.
    """
    last = aurocs.shape[-1] - 1
    unknown = np.full(aurocs.shape[:-1], np.nan)
    before_last = aurocs[..., entered:last]
    best = np.where(np.isnan(before_last), -np.inf, before_last).max(axis=-1, initial=-np.inf)
    return {
        "forgetting": np.where(np.isfinite(best), best - aurocs[..., last], np.nan),
        "backward_transfer": aurocs[..., last] - aurocs[..., entered] if entered < last else unknown,
        "forward_transfer": aurocs[..., entered - 1] - CHANCE if entered > 0 else unknown,
    }


def area(aurocs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trapezoid mean over the windows that are known, (...) of (..., windows); NaN without any."""
    at = np.flatnonzero(~np.isnan(aurocs).reshape(-1, aurocs.shape[-1]).any(axis=0))
    if len(at) < 2:
        return aurocs[..., at[0]] if len(at) else np.full(aurocs.shape[:-1], np.nan)
    return np.asarray(np.trapezoid(aurocs[..., at], at, axis=-1) / (at[-1] - at[0]))


def _number(value: np.floating[Any] | NDArray[np.float64] | float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
