"""Differences between experiments on the same images, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.errors import InputError
from aigenbench.evaluation.bootstrap import Replicates, bootstrap_auroc, row_means
from aigenbench.evaluation.draws import REPLICATES, SEED
from aigenbench.evaluation.experiment import Experiment, check_same_periods
from aigenbench.evaluation.intervals import holm, percentiles, two_sided_p
from aigenbench.evaluation.score import score
from aigenbench.evaluation.table import SHOWN_PERIODS, percent

HEADLINE = "headline"


def compare(
    experiments: Sequence[Experiment], replicates: int = REPLICATES, seed: int = SEED, pairing: bool = True
) -> dict[str, Any]:
    """Compare the AUROC of every two experiments, each replicate on the same images.

    Args:
        experiments: two or more, evaluated on the same images with the same pairing.
        replicates: how many draws of images.
        seed: of the draws.
        pairing: see `evaluate`.

    Returns:
        ``experiments`` (names), ``results`` (name -> headline value and interval) and ``differences``: one entry
        for every two of them with ``a``, ``b``, and ``headline`` and the mean over windows and the windows of each
        period: ``difference`` (a - b), ``interval``, ``p`` and, for the headline, ``p_holm``: Holm's adjustment for how
        many are compared. Only windows that both have enter.

    Raises:
        InputError: fewer than two experiments, two of one name, or not the same evaluation set.
    """
    check_comparable(experiments)
    replicated = [bootstrap_auroc(e, replicates, seed, pairing, SHOWN_PERIODS) for e in experiments]
    scores = [score(e, pairing) for e in experiments]
    points = [_points(s) for s in scores]
    differences = []
    for i, j in combinations(range(len(experiments)), 2):
        a, b = _measures(replicated[i], replicated[j]), _measures(replicated[j], replicated[i])
        point_a, point_b = _measures(points[i], points[j]), _measures(points[j], points[i])
        entry: dict[str, Any] = {"a": experiments[i].name, "b": experiments[j].name}
        entry |= {m: _difference(point_a[m] - point_b[m], a[m] - b[m]) for m in a}
        differences.append(entry)
    for entry, p in zip(differences, holm([_p(d[HEADLINE]) for d in differences]), strict=True):
        entry[HEADLINE]["p_holm"] = _none(p)
    return {
        "experiments": [e.name for e in experiments],
        "replicates": replicates,
        "results": {
            e.name: {"mean": s["headline"]["mean"], "interval": _none_pair(percentiles(r.headline))}
            for e, s, r in zip(experiments, scores, replicated, strict=True)
        },
        "differences": differences,
    }


def check_comparable(experiments: Sequence[Experiment]) -> None:
    """See that experiments were evaluated on the same images.

    Raises:
        InputError: see `compare`.
    """
    if len(experiments) < 2:
        raise InputError("compare needs at least two experiments")
    first = experiments[0]
    for other in experiments[1:]:
        for name in ("windows_timeline", "identifier", "pairing"):
            a, b = getattr(first.first, name), getattr(other.first, name)
            if not (a == b if isinstance(a, tuple) else np.array_equal(a, b)):
                raise InputError(
                    f"{first.name} and {other.name} differ in {name}: only runs evaluated on the same images with "
                    "the same pairing can be compared"
                )
        check_same_periods(first, other)
        known = (first.first.protocol_fingerprint, other.first.protocol_fingerprint)
        if None not in known and known[0] != known[1]:
            raise InputError(
                f"{first.name} and {other.name} have protocol fingerprints {known[0]} and {known[1]}: the same images, "
                "but not the same evaluation of them"
            )
    names = [e.name for e in experiments]
    if len(set(names)) < len(names):
        raise InputError(f"experiments to compare need different names, found {', '.join(names)}")


def comparison_table(result: dict[str, Any]) -> str:
    """The comparison as text."""
    lines = ["Next-period AUROC (%), mean over the windows, 95 % interval over images", ""]
    width = max(map(len, result["experiments"]))
    for name, value in result["results"].items():
        lines.append(f"  {name:<{width}}  {percent(value['mean']):>6}  {_bracket(value['interval'])}")
    lines += ["", "Paired differences", ""]
    for entry in result["differences"]:
        d = entry[HEADLINE]
        holm_p = d["p_holm"]
        shown = "undefined" if holm_p is None else f"p = {d['p']:.4f}, Holm {holm_p:.4f}"
        difference = "-" if d["difference"] is None else f"{100 * d['difference']:+.2f}"
        lines.append(f"  {entry['a']} - {entry['b']}: {difference} {_bracket(d['interval'], '+')}  {shown}")
    return "\n".join(lines)


def _points(scores: dict[str, Any]) -> Replicates:
    columns = {p: np.array([scores["periods"][p]["auroc"]], dtype=np.float64) for p in SHOWN_PERIODS}
    return Replicates(columns)


def _measures(mine: Replicates, other: Replicates) -> dict[str, NDArray[np.float64]]:
    measures = {}
    for period in SHOWN_PERIODS:
        # a window that one of the two lacks cannot be compared
        shared = np.where(np.isnan(other.periods[period]), np.nan, mine.periods[period])
        n = shared.shape[1]
        measures[period] = row_means(shared[:, : max(n - 1, 1)])
        measures |= {f"{period}/{k}": shared[:, k] for k in range(n)}
    return {HEADLINE: measures["immediate_future"]} | measures


def _difference(point: NDArray[np.float64], replicates: NDArray[np.float64]) -> dict[str, Any]:
    p = two_sided_p(replicates)
    return {
        "difference": _none(float(point[0])),
        "interval": _none_pair(percentiles(replicates)),
        "p": _none(p),
    }


def _p(entry: dict[str, Any]) -> float:
    return float("nan") if entry["p"] is None else float(entry["p"])


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _none_pair(interval: tuple[float, float]) -> list[float] | None:
    return None if np.isnan(interval[0]) else list(interval)


def _bracket(interval: list[float] | None, sign: str = "") -> str:
    return "" if interval is None else "[{:{s}.2f}, {:{s}.2f}]".format(*(100 * v for v in interval), s=sign)
