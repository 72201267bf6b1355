"""Metrics of a multiclass detector: which generator made an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.predictions import Predictions
from aigenbench.protocol.periods import period_generators


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
    names = ("class_accuracy", "class_balanced_accuracy", "class_macro_f1", "top3_accuracy")
    given = predictions.fused_multiclass_predictions
    held = np.isin(predictions.generator_id_to_name, period_generators(period, predictions.windows_timeline, window))
    truth = predictions.fused_generator_ids
    rows = held[np.where(truth > 0, truth, predictions.paired_generators())]
    if given is None or not rows.any():
        return dict.fromkeys(names)
    truth, given = truth[rows], given[rows]
    called = given.astype(np.int64) if given.ndim == 1 else given.argmax(axis=1)
    top = None
    if given.ndim == 2:
        best = np.argsort(-given, axis=1, kind="stable")[:, :3]
        top = float(np.mean((best == truth[:, None]).any(axis=1)))
    recalls, f1s = _per_class(truth, called, len(predictions.generator_id_to_name))
    values = (float(np.mean(called == truth)), float(np.mean(recalls)), float(np.mean(f1s)), top)
    return dict(zip(names, values, strict=True))


def _per_class(
    truth: NDArray[np.int64], called: NDArray[np.int64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    right = np.bincount(truth[truth == called], minlength=n)
    there, predicted = np.bincount(truth, minlength=n), np.bincount(called, minlength=n)
    recalls = right[there > 0] / there[there > 0]
    either = there + predicted
    return recalls, (2 * right[either > 0] / either[either > 0])
