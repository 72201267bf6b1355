"""What an evaluation step may return, as rows: logits of ours, or probabilities in a plain tuple or mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aigenbench.data.samples.hooks import is_overridden
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.stage import EvaluationOutput
from aigenbench.training.detector.tasks import MulticlassTask

Arrays = dict[str, npt.NDArray[Any]]

_FIELDS = ("scores", "labels", "generator_ids", "identifiers", "losses")
ROUNDING = 1e-5
"""So far beside [0, 1] may lie what a hook on probabilities makes of them."""
FUSED = "fused_"
"""Stands before the names of rows that are of whole images."""


class ScoredCrops(tuple[Any, ...]):
    """What the original framework's ``evaluation_step`` gives: probabilities, with the logits they come from.

    Returned as it is, the logits count, so nothing is lost; taken apart and changed, the probabilities do.

    Attributes:
        output: the same with logits.
    """

    output: EvaluationOutput

    @classmethod
    def of(cls, detector: BaseDeepfakeDetectionModel, output: EvaluationOutput) -> ScoredCrops:
        """Probabilities of being fake (n,), or of the classes (n, n_classes), beside the other four."""
        scores = torch.sigmoid(detector.task.fake_logits(output.logits))
        if isinstance(detector.task, MulticlassTask):
            classes = detector.task.class_probabilities(output.logits)
            if detector.evaluation_type == "multiclass":
                scores = classes
            elif is_overridden(type(detector), "multiclass_to_binary_prediction"):
                scores = detector.multiclass_to_binary_prediction(classes)
        made = cls((scores, *output[1:]))
        made.output = output
        return made


def rows_of(detector: BaseDeepfakeDetectionModel, returned: Any) -> Arrays:
    """Rows of a batch: logits, labels, generator_ids, identifiers, losses, and multiclass where there are classes.

    Where images have rows of their own beside their crops', these come under names that begin with ``fused_``.

    Raises:
        InputError: what ``evaluation_step`` returned is none of the known forms.
    """
    if isinstance(returned, ScoredCrops):
        returned = returned.output
    if isinstance(returned, EvaluationOutput):
        return _of_logits(detector, returned)
    if isinstance(returned, Mapping):
        return _of_mapping(detector, returned)
    if isinstance(returned, Sequence) and len(returned) == len(_FIELDS):
        rows = _of_probabilities(detector, dict(zip(_FIELDS, returned, strict=True)))
        is_final = detector.fused_in_step and len(np.unique(rows["identifiers"])) == len(rows["identifiers"])
        return rows | _as_fused(rows) if is_final else rows
    found = f"{type(returned).__name__} of {len(returned)}" if hasattr(returned, "__len__") else type(returned).__name__
    raise _unknown(detector, f"a {found}")


def _unknown(detector: BaseDeepfakeDetectionModel, found: str) -> InputError:
    return InputError(
        f"{type(detector).__name__}.evaluation_step returned {found}; expected EvaluationOutput(logits, labels, "
        "generator_ids, image_identifiers, losses), a plain tuple of these five with probabilities in place of "
        "logits, or a mapping with the keys of the predictions file"
    )


def _of_logits(detector: BaseDeepfakeDetectionModel, output: EvaluationOutput) -> Arrays:
    rows = rows_of_outputs(detector, output.logits)
    return rows | _facts(detector, dict(zip(_FIELDS, output, strict=True)), len(rows["logits"]))


def rows_of_outputs(detector: BaseDeepfakeDetectionModel, outputs: Tensor) -> Arrays:
    """Fake logits, and the probabilities of the classes where there are any, of a model's outputs."""
    task = detector.task
    rows = {"logits": _array(task.fake_logits(outputs))}
    if isinstance(task, MulticlassTask):
        rows["multiclass"] = _array(task.class_probabilities(outputs))
        if is_overridden(type(detector), "multiclass_to_binary_prediction"):
            rows["logits"] = logits_of(binary_of(detector, rows["multiclass"]))
    return rows


def _of_mapping(detector: BaseDeepfakeDetectionModel, returned: Mapping[str, Any]) -> Arrays:
    kinds = {kind: {field: returned.get(f"{kind}{field}") for field in _FIELDS} for kind in ("crop_", FUSED)}
    given = {kind: columns for kind, columns in kinds.items() if all(v is not None for v in columns.values())}
    if not given:
        raise _unknown(detector, f"a mapping with {', '.join(map(str, returned)) or 'nothing'}")
    rows = _of_probabilities(detector, given.get("crop_") or given[FUSED])
    return rows | _as_fused(_of_probabilities(detector, given[FUSED])) if FUSED in given else rows


def _as_fused(rows: Arrays) -> Arrays:
    return {f"{FUSED}{name}": column for name, column in rows.items()}


def _of_probabilities(detector: BaseDeepfakeDetectionModel, columns: Mapping[str, Any]) -> Arrays:
    rows = rows_of_probabilities(detector, columns["scores"], "evaluation_step")
    return rows | _facts(detector, columns, len(rows["logits"]))


def rows_of_probabilities(detector: BaseDeepfakeDetectionModel, given: Any, step: str) -> Arrays:
    """Fake logits, and the probabilities of the classes where there are any, of probabilities.

    Args:
        detector: whose hook makes one of several classes' probabilities.
        given: (n,) or (n, 1) of being fake, or (n, n_classes).
        step: the hook that returned them, for messages.

    Raises:
        InputError: one lies outside [0, 1].
    """
    scores = np.asarray(_array(given), dtype=np.float64)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    finite = scores[np.isfinite(scores)]
    if len(finite) and (finite.min() < 0 or finite.max() > 1):
        instead = {
            "evaluation_step": "a plain tuple or mapping carries probabilities of being fake in [0, 1]; for logits, "
            "return aigenbench.training.EvaluationOutput(logits=...)",
            "predict_step": "expected the model's outputs as they are, or probabilities of being fake in [0, 1]",
        }
        raise InputError(
            f"{type(detector).__name__}.{step} returned predictions from {finite.min():.4g} to {finite.max():.4g}: "
            f"{instead[step]}"
        )
    if scores.ndim == 2:
        return {"logits": logits_of(binary_of(detector, scores)), "multiclass": scores.astype(np.float32)}
    if scores.ndim != 1:
        raise InputError(
            f"{type(detector).__name__}.{step} returned predictions of shape {scores.shape}; expected a row for each"
        )
    return {"logits": logits_of(scores)}


def _facts(detector: BaseDeepfakeDetectionModel, columns: Mapping[str, Any], n: int) -> Arrays:
    """Labels, generator ids, identifiers and losses, a row for each of ``n`` predictions."""
    rows = {field: _column(_array(columns[field])) for field in _FIELDS[1:]}
    if rows["losses"].ndim == 0 and np.issubdtype(rows["losses"].dtype, np.number):
        # a batch's mean stands for each of its rows
        rows["losses"] = np.full(n, float(rows["losses"]))
    wrong = f"{type(detector).__name__}.evaluation_step returned"
    for field, column in rows.items():
        if column.ndim != 1 or column.dtype == object:
            raise InputError(f"{wrong} {field} of shape {column.shape}, {column.dtype}; expected a number for each row")
    lengths = {"predictions": n, **{field: len(column) for field, column in rows.items()}}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} {field}" for field, count in lengths.items())
        raise InputError(f"{wrong} unequal numbers of rows: {told}")
    for field in _FIELDS[1:4]:
        whole = rows[field].astype(np.int64)
        if (whole != rows[field]).any():
            raise InputError(f"{wrong} {field} that are no whole numbers; expected the batch's own")
        rows[field] = whole
    if not np.isin(rows["labels"], (0, 1)).all():
        raise InputError(f"{wrong} labels that are neither 0 (real) nor 1 (fake); expected the batch's y, no classes")
    return {**rows, "losses": rows["losses"].astype(np.float64)}


def _column(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def binary_of(detector: BaseDeepfakeDetectionModel, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probabilities of being fake (n,), from those of the classes (n, n_classes), by the detector's hook.

    Raises:
        InputError: the hook returns something else.
    """
    given = _array(detector.multiclass_to_binary_prediction(torch.from_numpy(np.asarray(scores, dtype=np.float64))))
    return checked_probabilities(detector, given, len(scores), "multiclass_to_binary_prediction")


def checked_probabilities(
    detector: BaseDeepfakeDetectionModel, given: npt.NDArray[Any], n: int, hook: str
) -> npt.NDArray[np.float64]:
    """Probabilities of being fake (n,) that a hook returned; what rounding puts beside [0, 1] is put at its end.

    Raises:
        InputError: they are too many or too few, or lie elsewhere.
    """
    name = f"{type(detector).__name__}.{hook}"
    if given.size != n:
        raise InputError(f"{name} returned an array of shape {given.shape} for {n} images; expected a number for each")
    scores = given.astype(np.float64).reshape(n)
    finite = scores[np.isfinite(scores)]
    if len(finite) and (finite.min() < -ROUNDING or finite.max() > 1 + ROUNDING):
        raise InputError(
            f"{name} returned numbers from {finite.min():.4g} to {finite.max():.4g}; expected probabilities of being "
            "fake in [0, 1]"
        )
    return np.clip(scores, 0.0, 1.0)


def logits_of(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)); exactly 0 and 1, whose logits are infinite, are kept within float64's nearest."""
    kept = np.clip(scores, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)
    return np.log(kept) - np.log1p(-kept)


def probabilities_of(logits: npt.NDArray[Any]) -> Tensor:
    """Probabilities of logits, float64 (n,)."""
    return torch.from_numpy(sigmoid(logits))


def _array(column: Any) -> npt.NDArray[Any]:
    if isinstance(column, Tensor):
        column = column.detach()
        column = (column.float() if column.dtype in (torch.bfloat16, torch.float16) else column).cpu().numpy()
    if isinstance(column, list | tuple) and any(isinstance(one, Tensor) for one in column):
        return np.array([_array(one) for one in column])
    return np.asarray(column)
