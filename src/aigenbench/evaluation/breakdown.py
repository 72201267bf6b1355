"""Errors by where a real comes from and how large an image is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.chart import Cell, Table
from aigenbench.evaluation.experiment import Experiment
from aigenbench.evaluation.intervals import wilson
from aigenbench.evaluation.table import percent
from aigenbench.evaluation.uncertainty import interval_text

ORIGIN, WIDTH, HEIGHT = "origin_dataset", "width", "height"
SIZE_CLASSES = ((0.1, "below 0.1 MP"), (0.5, "0.1 to 0.5 MP"), (2.0, "0.5 to 2 MP"), (np.inf, "2 MP and more"))
"""Upper bounds in megapixels, and names."""


def breakdowns(
    experiment: Experiment, window: int, columns: Mapping[str, NDArray[Any]], threshold: float = 0.5
) -> tuple[Table, ...]:
    """Error rates of a window by origin and by size, over the whole evaluation set.

    Args:
        experiment: loaded predictions.
        window: which window.
        columns: of the evaluation split, one value a row: ``origin_dataset``, and ``width`` with ``height``.
            What is missing is left out.
        threshold: a score counts as fake where it is strictly greater.

    Returns:
        One table for each kind of class that the columns give.
    """
    p = experiment.windows[window]
    ids, tables = p.fused_identifiers, []
    called_fake, fake = p.fused_scores > threshold, p.fused_labels == 1
    if ORIGIN in columns:
        origins = np.asarray(columns[ORIGIN]).astype(str)[ids]
        rows = _rows(origins[~fake], sorted(set(origins[~fake].tolist())), called_fake[~fake])
        tables.append(Table("origins", "False positives by origin", ("Origin", "Reals", "FPR (%)"), rows))
    if WIDTH in columns and HEIGHT in columns:
        pixels = np.asarray(columns[WIDTH], dtype=np.float64)[ids] * np.asarray(columns[HEIGHT])[ids] / 1e6
        names = [name for _, name in SIZE_CLASSES]
        sizes = np.array(names)[np.searchsorted([bound for bound, _ in SIZE_CLASSES], pixels, side="right")]
        reals, fakes = (_rows(sizes[side], names, called_fake[side]) for side in (~fake, fake))
        both = tuple((*r, *f[1:]) for r, f in zip(reals, fakes, strict=True))
        header = ("Image size", "Reals", "FPR (%)", "Fakes", "Recall (%)")
        tables.append(Table("sizes", "Error rates by image size", header, both))
    return tuple(tables)


def _rows(classes: NDArray[np.str_], names: list[str], called_fake: NDArray[np.bool_]) -> tuple[tuple[Cell, ...], ...]:
    rows = []
    for name in names:
        held = called_fake[classes == name]
        n, hits = len(held), int(held.sum())
        rate = hits / n if n else None
        note = interval_text(wilson(hits, n), 1) if n else ""
        rows.append((Cell(name or "not given"), Cell(f"{n:,}", n), Cell(percent(rate), rate, note)))
    return tuple(rows)
