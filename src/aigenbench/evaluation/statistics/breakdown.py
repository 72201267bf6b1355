"""Results by where a real comes from and by how large an image is, over the whole evaluation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.definitions import METRICS, compute
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions

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
    first, codes = experiment.first, _codes(columns)
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


def _codes(columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[Sequence[str], NDArray[np.intp]]]:
    """By kind the names of its classes, and which of them each row is of, (rows,)."""
    codes: dict[str, tuple[Sequence[str], NDArray[np.intp]]] = {}
    if ORIGIN in columns:
        origins, of_row = np.unique(np.asarray(columns[ORIGIN]).astype(str), return_inverse=True)
        codes[ORIGINS] = (origins.tolist(), of_row)
    if WIDTH in columns and HEIGHT in columns:
        pixels = np.asarray(columns[WIDTH], dtype=np.float64) * np.asarray(columns[HEIGHT]) / 1e6
        upper = [bound for bound, _ in SIZE_CLASSES]
        codes[SIZES] = ([name for _, name in SIZE_CLASSES], np.searchsorted(upper, pixels, side="right"))
    return codes


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
