"""Differences between experiments on the same images, with intervals and p-values; seeds of a model gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, percent
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, check_same_periods
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.predictions.standing import mandatory_fingerprints
from aigenbench.evaluation.statistics.bootstrap import Replicates, bootstrap_auroc, row_means
from aigenbench.evaluation.statistics.draws import REPLICATES, SEED
from aigenbench.evaluation.statistics.intervals import (
    LEVEL,
    NORMAL_TAIL,
    SMALLEST_P,
    bounds_of,
    holm,
    interval_text,
    p_value,
)
from aigenbench.evaluation.statistics.shared import shared_images
from aigenbench.protocol.published import averaged_windows

HEADLINE = "headline"


@dataclass(frozen=True)
class Model:
    """One recipe and its trainings.

    Attributes:
        name: how it is called.
        runs: places of its trainings, which differ in their seed alone, in the list of experiments.
    """

    name: str
    runs: tuple[int, ...]


def compare(
    experiments: Sequence[ExperimentPredictions],
    replicates: int = REPLICATES,
    seed: int = SEED,
    pairing: bool = True,
    models: Sequence[Model] = (),
    by_row: bool = False,
) -> dict[str, Any]:
    """Compare the AUROC of every two experiments, each replicate on the same images.

    Args:
        experiments: two or more; the images that all hold are compared, see `shared_images`.
        replicates: how many draws of images.
        seed: of the draws.
        pairing: see `evaluate`.
        models: where some experiments are trainings of one model, all of them sorted into models.
        by_row: whether images without keys are known by their rows, see `shared_images`.

    Returns:
        ``experiments`` (names), ``notes`` (such as missing windows), ``shared`` (those of `shared_images`), ``results``
        (name -> headline value and interval, and ``knowledge`` of a detector that no run of the protocol has
        trained, the reasons ``off_protocol`` of one that is)
        and ``differences``: one entry for every two of them with ``a``, ``b``, and ``headline`` and the mean over
        windows and the windows of each period: ``difference`` (a - b), ``interval``, ``p``, ``p_from`` (see `p_value`)
        and, for the headline, ``p_holm``: Holm's adjustment for how many are compared. Only windows that both have
        enter. With ``models`` also ``models`` and
        ``model_differences``, see `compare_models`.

    Raises:
        InputError: fewer than two experiments, two of one name, or not the same evaluation set.
    """
    check_comparable(experiments)
    shared = shared_images(experiments, by_row)
    experiments = shared.experiments
    replicated = [
        bootstrap_auroc(e, replicates, seed, pairing, SHOWN_PERIODS, units)
        for e, units in zip(experiments, shared.units, strict=True)
    ]
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
    found = {
        "experiments": [e.name for e in experiments],
        "notes": [*shared.notes, *(f"{e.name}: {note}" for e in experiments for note in e.about)],
        "shared": list(shared.notes),
        "replicates": replicates,
        "results": {
            e.name: {"mean": s["headline"]["mean"], "interval": bounds_of("auroc", r.headline, s["headline"]["mean"])}
            | ({"knowledge": e.first.knowledge} if e.foreign else {})
            | ({"off_protocol": list(e.off_protocol)} if e.off_protocol else {})
            for e, s, r in zip(experiments, scores, replicated, strict=True)
        },
        "differences": differences,
    }
    return found | compare_models(models, points, replicated) if models else found


def compare_models(
    models: Sequence[Model], points: Sequence[Replicates], replicated: Sequence[Replicates]
) -> dict[str, Any]:
    """Compare models by the mean over their trainings.

    Drawing images anew tells what other images would give with these trainings. Where both models were trained with
    two seeds or more, ``both`` tells what other images and other trainings would give: the variance over images and
    that of each mean over seeds are added, with Student's distribution and Satterthwaite's degrees of freedom.

    Args:
        models: the models.
        points: AUROCs of every experiment, as replicates of one row.
        replicated: replicates of every experiment, on the same images.

    Returns:
        ``models`` (name -> ``runs``, ``mean`` and ``interval``, and those of every period in ``periods``) and
        ``model_differences``: for every two ``a``, ``b``, ``difference``, ``interval``, ``p``, ``p_from``, ``both``
        (``interval`` and ``p``, or None) and ``p_holm``, of ``both`` where it is known.
    """
    gathered = [_gathered([points[i] for i in m.runs]) for m in models]
    drawn = [_gathered([replicated[i] for i in m.runs]) for m in models]
    differences = []
    for i, j in combinations(range(len(models)), 2):
        point = _headlines(gathered[i], gathered[j])
        images = _headlines(drawn[i], drawn[j])
        entry = {"a": models[i].name, "b": models[j].name} | _difference(point[0] - point[1], images[0] - images[1])
        # every training's own headline, over the windows that all trainings of both models have
        own = [
            [float(_headlines(points[run], gathered[i], gathered[j])[0][0]) for run in models[side].runs]
            for side in (i, j)
        ]
        entry["both"] = _over_images_and_seeds(entry["difference"], images[0] - images[1], own)
        differences.append(entry)
    best = [entry["both"] or entry for entry in differences]
    for entry, p in zip(differences, holm([_p(b) for b in best]), strict=True):
        entry["p_holm"] = _none(p)
    return {
        "models": {
            m.name: {"runs": len(m.runs), "periods": _means(point, images)}
            for m, point, images in zip(models, gathered, drawn, strict=True)
        },
        "model_differences": differences,
    }


def check_comparable(experiments: Sequence[ExperimentPredictions]) -> None:
    """See that experiments have the same windows and were evaluated alike.

    Raises:
        InputError: see `compare`.
    """
    if len(experiments) < 2:
        raise InputError("compare needs at least two experiments")
    first = experiments[0]
    for other in experiments[1:]:
        for name in ("windows_timeline", "generator_id_to_name"):
            if getattr(first.first, name) != getattr(other.first, name):
                raise InputError(
                    f"{first.name} and {other.name} differ in {name}: only runs over the same windows can be compared"
                )
        check_same_periods(first, other)
        steps = [e.first.evaluation_steps or "after the mandatory steps" for e in (first, other)]
        if steps[0] != steps[1]:
            raise InputError(
                f"{first.name} scored the images {steps[0]}, {other.name} {steps[1]}: other pixels, so no comparison"
            )
        if not _evaluated_alike(first.first, other.first):
            raise InputError(
                f"{first.name} and {other.name} have protocol fingerprints {first.first.protocol_fingerprint} and "
                f"{other.first.protocol_fingerprint}: the same windows, but not the same evaluation of their images"
            )
    names = [e.name for e in experiments]
    if len(set(names)) < len(names):
        raise InputError(f"experiments to compare need different names, found {', '.join(names)}")


def _evaluated_alike(a: Predictions, b: Predictions) -> bool:
    """Whether fingerprints do not tell the evaluation's steps apart; those of two copies of the data differ anyway."""
    if None in (a.protocol_fingerprint, b.protocol_fingerprint) or a.protocol_fingerprint == b.protocol_fingerprint:
        return True
    modes = [
        [mode for mode, known in mandatory_fingerprints(p).items() if known == p.protocol_fingerprint] for p in (a, b)
    ]
    same_rows = a.pairing_fingerprint == b.pairing_fingerprint
    return modes[0] == modes[1] and (bool(modes[0]) or not same_rows)


def comparison_table(result: dict[str, Any]) -> str:
    """The comparison as text."""
    lines = ["Next-period AUROC (%), mean over the windows, 95 % interval over images", ""]
    width = max(map(len, (*result["experiments"], *result.get("models", ()))))
    for name, value in result["results"].items():
        foreign = "  not trained by the protocol" if "knowledge" in value else ""
        lines.append(f"  {name:<{width}}  {percent(value['mean']):>6}  {interval_text(value['interval'])}{foreign}")
    lines += ["", "Paired differences", ""]
    shown = [(entry["a"], entry["b"], entry[HEADLINE]) for entry in result["differences"]]
    lines += [f"  {a} - {b}: {_differing(d)}  {_tested(d['p'], d)}" for a, b, d in shown]
    if result.get("model_differences"):
        lines += ["", "Models, each the mean over its trainings", ""]
        for name, value in result["models"].items():
            of_next = value["periods"]["immediate_future"]
            trainings = f"{value['runs']} training{'s' if value['runs'] > 1 else ''}"
            lines.append(
                f"  {name:<{width}}  {percent(of_next['mean']):>6}  {interval_text(of_next['interval'])}  {trainings}"
            )
        lines += ["", "Paired differences of models, over other images and other seeds", ""]
        for d in result["model_differences"]:
            both = d["both"]
            told = _tested(both["p"] if both else d["p"], {} if both else d, d["p_holm"])
            seeds = interval_text((both or d)["interval"], sign="+")
            over = "" if both else "; over images alone: a model was trained once"
            lines.append(f"  {d['a']} - {d['b']}: {_signed(d['difference'])} {seeds}  {told}{over}")
    if any(d["p_from"] == NORMAL_TAIL for *_, d in shown):
        lines += ["", f"*: no draw of {result['replicates']:,} reached zero; p is the tail of a normal distribution."]
    lines += ["", *(f"note: {note}" for note in result["notes"])] if result["notes"] else []
    return "\n".join(lines)


def p_text(p: float | None) -> str:
    """A p-value: four places, or its magnitude where these would be zeros."""
    if p is None:
        return "-"
    return f"{p:.4f}" if p >= 0.001 else f"{max(p, SMALLEST_P):.0e}"


def _tested(p: float | None, entry: dict[str, Any], p_holm: float | None = None) -> str:
    adjusted = entry.get("p_holm") if p_holm is None else p_holm
    if p is None or adjusted is None:
        return "undefined"
    return f"p = {p_text(p)}{'*' if entry.get('p_from') == NORMAL_TAIL else ''}, Holm {p_text(adjusted)}"


def _differing(d: dict[str, Any]) -> str:
    return f"{_signed(d['difference'])} {interval_text(d['interval'], sign='+')}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f}"


def _gathered(runs: Sequence[Replicates]) -> Replicates:
    """The mean over trainings; a window that one of them lacks is unknown."""
    return Replicates({p: np.mean([run.periods[p] for run in runs], axis=0) for p in runs[0].periods})


def _headlines(*of: Replicates) -> list[NDArray[np.float64]]:
    """The mean Next-period AUROC of each, over the windows that all have."""
    columns = [r.periods["immediate_future"][:, averaged_windows(r.periods["immediate_future"].shape[1])] for r in of]
    unknown = np.any([np.isnan(c).all(axis=0) for c in columns], axis=0)
    return [row_means(np.where(unknown, np.nan, c)) for c in columns]


def _means(point: Replicates, images: Replicates) -> dict[str, Any]:
    found = {}
    for period, columns in point.periods.items():
        counted = averaged_windows(columns.shape[1])
        value = _none(float(row_means(columns[:, counted])[0]))
        found[period] = {
            "mean": value,
            "interval": bounds_of("auroc", row_means(images.periods[period][:, counted]), value),
        }
    return found


def _over_images_and_seeds(
    difference: float | None, replicates: NDArray[np.float64], own: Sequence[Sequence[float]]
) -> dict[str, Any] | None:
    if difference is None or any(len(values) < 2 for values in own):
        return None
    of_images = float(np.nanvar(replicates))
    of_seeds = [float(np.var(values, ddof=1)) / len(values) for values in own]
    total = of_images + sum(of_seeds)
    if not total:
        return None
    # the images' variance is known from thousands of draws, so it takes no degrees of freedom
    lost = sum(v * v / (len(values) - 1) for v, values in zip(of_seeds, own, strict=True))
    degrees = total * total / lost if lost else 1e9
    spread = float(stdtrit(degrees, (1 + LEVEL) / 2)) * total**0.5
    p = 2 * float(stdtr(degrees, -abs(difference) / total**0.5))
    return {"interval": [difference - spread, difference + spread], "p": max(p, SMALLEST_P)}


def _points(scores: dict[str, Any]) -> Replicates:
    columns = {p: np.array([scores["periods"][p]["auroc"]], dtype=np.float64) for p in SHOWN_PERIODS}
    return Replicates(columns)


def _measures(mine: Replicates, other: Replicates) -> dict[str, NDArray[np.float64]]:
    measures = {}
    for period in SHOWN_PERIODS:
        # a window that one of the two lacks cannot be compared
        shared = np.where(np.isnan(other.periods[period]), np.nan, mine.periods[period])
        n = shared.shape[1]
        measures[period] = row_means(shared[:, averaged_windows(n)])
        measures |= {f"{period}/{k}": shared[:, k] for k in range(n)}
    return {HEADLINE: measures["immediate_future"]} | measures


def _difference(point: NDArray[np.float64], replicates: NDArray[np.float64]) -> dict[str, Any]:
    p, source = p_value(replicates)
    value = _none(float(point[0]))
    return {"difference": value, "interval": bounds_of("auroc", replicates, value), "p": _none(p), "p_from": source}


def _p(entry: dict[str, Any]) -> float:
    return float("nan") if entry["p"] is None else float(entry["p"])


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value
