"""Results by where a real comes from and by how large an image is, over the whole evaluation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.drawing.table import percent
from aigenbench.evaluation.metrics.definitions import METRICS, auroc, compute
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.intervals import Interval, bounds, delong, wilson
from aigenbench.evaluation.statistics.uncertainty import interval_text

ORIGIN, WIDTH, HEIGHT = "origin_dataset", "width", "height"
ORIGINS, SIZES = "origins", "sizes"
SIZE_CLASSES = ((0.1, "below 0.1 MP"), (0.5, "0.1 to 0.5 MP"), (2.0, "0.5 to 2 MP"), (np.inf, "2 MP and more"))
"""Upper bounds in megapixels, and names."""

Classes = dict[str, dict[str, list[Group | None]]]
"""Kind (``origins``, ``sizes``) -> class -> its images after every window, None where the window is missing."""


def class_groups(
    experiment: ExperimentPredictions, columns: Mapping[str, NDArray[Any]], threshold: float = 0.5
) -> Classes:
    """Sort the evaluation set into classes.

    Args:
        experiment: loaded predictions.
        columns: of the evaluation split, one value a row: ``origin_dataset``, and ``width`` with ``height``.
            What is missing is left out.
        threshold: a score counts as fake where it is strictly greater.

    Returns:
        See ``Classes``; those of ``origins`` hold reals only.
    """
    first = experiment.first
    codes: dict[str, tuple[Sequence[str], NDArray[np.intp]]] = {}
    if ORIGIN in columns:
        origins, of_row = np.unique(np.asarray(columns[ORIGIN]).astype(str), return_inverse=True)
        codes[ORIGINS] = (origins.tolist(), of_row)
    if WIDTH in columns and HEIGHT in columns:
        pixels = np.asarray(columns[WIDTH], dtype=np.float64) * np.asarray(columns[HEIGHT]) / 1e6
        upper = [bound for bound, _ in SIZE_CLASSES]
        codes[SIZES] = ([name for _, name in SIZE_CLASSES], np.searchsorted(upper, pixels, side="right"))
    reals = first.fused_identifiers[first.fused_labels == 0]
    found: Classes = {
        kind: {
            name: [None] * experiment.n_windows
            for i, name in enumerate(names)
            if kind == SIZES or (of_row[reals] == i).any()
        }
        for kind, (names, of_row) in codes.items()
    }
    for k, p in experiment.windows.items():
        groups = WindowGroups(p, True, threshold)
        ids = p.fused_identifiers[groups.order]
        for kind, (names, of_row) in codes.items():
            judged = ~groups.whole.fakes if kind == ORIGINS else np.ones(len(ids), dtype=bool)
            for name, windows in found[kind].items():
                windows[k] = groups.whole.take(judged & (of_row[ids] == names.index(name)))
    return found


def class_scores(classes: Classes) -> dict[str, Any]:
    """Scores of classes, JSON-able.

    Returns:
        ``origins``: name -> ``n_real`` and ``false_positive_rate`` (one value a window); ``sizes``: class -> metric
        -> one value a window. None where undefined or the window is missing.
    """
    found: dict[str, Any] = {}
    for kind, by_name in classes.items():
        found[kind] = {}
        for name, windows in by_name.items():
            values = [compute(g) if g else dict.fromkeys(METRICS) for g in windows]
            of_class: dict[str, Any] = {m: [v[m] for v in values] for m in METRICS}
            if kind == ORIGINS:
                rates = [g.confusion[1] / g.n if g else None for g in windows]
                of_class = {"n_real": next(g.n for g in windows if g), "false_positive_rate": rates}
            found[kind][name] = of_class
    return found


def breakdowns(classes: Classes, window: int) -> tuple[Table, ...]:
    """False positives by origin after every window, and rates and AUROC by size after ``window``."""
    tables = []
    if ORIGINS in classes:
        rows = [_origin_row(name, windows) for name, windows in classes[ORIGINS].items()]
        n_windows = len(next(iter(classes[ORIGINS].values()), ()))
        header = ("Origin", "Reals", *(str(k) for k in range(n_windows)))
        tables.append(
            Table("origins", "False positives (%) by origin of the real, after every window", header, tuple(rows))
        )
    if SIZES in classes:
        rows = [_size_row(name, group) for name, windows in classes[SIZES].items() if (group := windows[window])]
        header = ("Image size", "Reals", "FPR (%)", "Fakes", "Recall (%)", "AUROC (%)")
        tables.append(Table("sizes", f"By image size after window {window}", header, tuple(rows)))
    return tuple(tables)


def _origin_row(name: str, windows: Sequence[Group | None]) -> tuple[Cell, ...]:
    n = next(g.n for g in windows if g)
    rates = (_rate(g.confusion[1], g.n_reals) if g else Cell("-") for g in windows)
    return (Cell(name or "not given"), Cell(f"{n:,}", n), *rates)


def _size_row(name: str, group: Group) -> tuple[Cell, ...]:
    tp, fp, _, _ = group.confusion
    reals, fakes = group.n_reals, group.n_fakes
    area = _shown(auroc(group), delong(group)) if group.both_classes else Cell("-")
    return (
        Cell(name),
        Cell(f"{reals:,}", reals),
        _rate(fp, reals),
        Cell(f"{fakes:,}", fakes),
        _rate(tp, fakes),
        area,
    )


def _rate(hits: int, n: int) -> Cell:
    return _shown(hits / n, wilson(hits, n)) if n else Cell("-")


def _shown(value: float, interval: Interval) -> Cell:
    return Cell(percent(value), value, interval_text(bounds(interval)), interval=bounds(interval), share=True)
