"""Metrics of a multiclass detector: which generator made an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.predictions.record import Predictions

CLASS_METRICS = ("class_accuracy", "class_balanced_accuracy", "class_macro_f1", "top3_accuracy")


@dataclass(frozen=True)
class Judged:
    """The images of a period and what a multiclass detector called them.

    Attributes:
        rows: which ``fused_*`` rows they are, (m,).
        truth, called: class of each, int64 (m,).
        among_three: whether the true class is among the three likeliest, bool (m,); None where only the called
            class is known.
        n_classes: how many classes there are.
    """

    rows: NDArray[np.intp]
    truth: NDArray[np.int64]
    called: NDArray[np.int64]
    among_three: NDArray[np.bool_] | None
    n_classes: int

    def measured(self, counts: NDArray[np.integer] | None = None) -> dict[str, float | None]:
        """``CLASS_METRICS``, each image counted ``counts`` (m,) times, or once."""
        weights = np.ones(len(self.rows)) if counts is None else counts.astype(np.float64)
        right, n = self.called == self.truth, weights.sum()
        recalls, f1s = _per_class(self.truth, self.called, weights, self.n_classes)
        top = None if self.among_three is None else float(weights[self.among_three].sum() / n)
        values = (float(weights[right].sum() / n), float(np.mean(recalls)), float(np.mean(f1s)), top)
        return dict(zip(CLASS_METRICS, values, strict=True))


def multiclass(predictions: Predictions, window: int, period: str = "growing") -> dict[str, float | None]:
    """Score the classes of one window's detector.

    Class index is the generator id, 0 for reals. By default the generators trained on are judged, with the reals
    paired with them: other generators have no class of their own yet.

    Args:
        predictions: of the whole evaluation set.
        window: the window trained last.
        period: whose images are judged.

    Returns:
        ``class_accuracy``, ``class_balanced_accuracy`` (mean recall over the classes there are),
        ``class_macro_f1`` (mean F1 over classes that are there or are predicted) and ``top3_accuracy``; None for
        binary detectors and empty periods, and for the last where only the predicted class is known.
    """
    found = judged(predictions, window, period)
    return dict.fromkeys(CLASS_METRICS) if found is None else found.measured()


def judged(predictions: Predictions, window: int, period: str = "growing") -> Judged | None:
    """What `multiclass` judges; None for binary detectors and empty periods."""
    given = predictions.fused_multiclass_predictions
    held = np.isin(predictions.generator_id_to_name, predictions.period_generators(period, window))
    truth = predictions.fused_generator_ids
    rows = np.flatnonzero(held[np.where(truth > 0, truth, predictions.paired_generators())])
    if given is None or not len(rows):
        return None
    truth, given = truth[rows], given[rows]
    called = given.astype(np.int64) if given.ndim == 1 else given.argmax(axis=1)
    top = None
    if given.ndim == 2:
        best = np.argsort(-given, axis=1, kind="stable")[:, :3]
        top = (best == truth[:, None]).any(axis=1)
    return Judged(rows, truth, called, top, len(predictions.generator_id_to_name))


def _per_class(
    truth: NDArray[np.int64], called: NDArray[np.int64], weights: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    right = np.bincount(truth, weights * (truth == called), minlength=n)
    there, predicted = np.bincount(truth, weights, minlength=n), np.bincount(called, weights, minlength=n)
    recalls = right[there > 0] / there[there > 0]
    either = there + predicted
    return recalls, (2 * right[either > 0] / either[either > 0])
