"""The metrics of one window: periods and generators, each from one sort."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics import definitions as metrics
from aigenbench.evaluation.metrics.group import Group, RankedImages
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.protocol.periods import PERIODS

ALL_PERIODS = (*PERIODS, "all")
"""The protocol's periods and the whole evaluation set."""

GENERATORS = "generators"
"""Key of the per-generator AUROC in what `evaluate` returns."""


class WindowGroups:
    """The images of a window, sorted once, from which groups of generators are taken.

    With pairing, a real counts where its paired fake's generator counts; without, every real counts
    everywhere (protocol section 4). A group of no generators is empty in both.
    """

    def __init__(self, predictions: Predictions, pairing: bool = True, threshold: float = 0.5) -> None:
        ranks = predictions.fused_scores if predictions.fused_logits is None else predictions.fused_logits
        order = np.argsort(-ranks, kind="stable")
        fakes = predictions.fused_labels[order] == 1
        self.order: NDArray[np.intp] = order
        self.names = predictions.generator_id_to_name
        self.windows = predictions.windows_timeline
        self.period_generators = predictions.period_generators
        """(period, window) to the names that count for it."""
        scores = predictions.fused_scores[order]
        sorted_ranks = scores if predictions.fused_logits is None else ranks[order]
        self.whole = Group(RankedImages(scores, fakes, sorted_ranks), threshold)
        counted = np.where(
            predictions.fused_labels == 1, predictions.fused_generator_ids, predictions.paired_generators()
        )
        self._counted = counted[order]
        self._everywhere = ~fakes if not pairing else np.zeros(len(fakes), dtype=bool)

    def mask(self, generators: Collection[str]) -> NDArray[np.bool_]:
        """Which sorted rows (n,) count for ``generators``."""
        if not generators:
            return np.zeros(len(self._counted), dtype=bool)
        wanted = np.isin(self.names, list(generators))
        return wanted[self._counted] | self._everywhere

    def period_mask(self, period: str, window: int) -> NDArray[np.bool_]:
        """Which sorted rows (n,) count for a period at ``window``."""
        return self.mask(self.period_generators(period, window))

    def generators(self, *names: str) -> Group:
        """The fakes of ``names`` with their reals."""
        return self.whole.take(self.mask(names))

    def period(self, period: str, window: int) -> Group:
        """The images of a period at ``window``; ``all`` is the whole evaluation set."""
        if period == "all":
            return self.whole
        return self.whole.take(self.period_mask(period, window))


def evaluate(
    predictions: Predictions, window: int, pairing: bool = True, threshold: float = 0.5
) -> dict[str, dict[str, float | None]]:
    """Score one window.

    Args:
        predictions: of the whole evaluation set.
        window: index of the window the detector was trained up to; decides what the periods hold where the predictions
            do not say what that was.
        pairing: whether a real counts only where its paired fake's generator counts.
        threshold: a score counts as fake where it is strictly greater.

    Returns:
        Metrics by name for every period of ``ALL_PERIODS``, and under ``"generators"`` the AUROC of every
        generator of the windows; None where a period is empty or a value undefined.
    """
    groups = WindowGroups(predictions, pairing, threshold)
    scores = {period: metrics.compute(groups.period(period, window)) for period in ALL_PERIODS}
    by_generator = evaluate_generators(groups, ("auroc",))
    scores[GENERATORS] = {name: values["auroc"] for name, values in by_generator.items()}
    return scores


def evaluate_generators(
    groups: WindowGroups, names: tuple[str, ...] | None = None
) -> dict[str, dict[str, float | None]]:
    """All metrics (or those named) of every generator of the windows: its fakes with their reals."""
    return {g: metrics.compute(groups.generators(g), names) for window in groups.windows for g in window}
