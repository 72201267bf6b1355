"""What an evaluation step may return, as rows: logits of ours, or probabilities in a plain tuple or mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aigenbench.data.hooks import is_overridden
from aigenbench.errors import InputError
from aigenbench.evaluation.fuse import sigmoid
from aigenbench.training.detector import BaseDeepfakeDetectionModel, EvaluationOutput
from aigenbench.training.tasks import MulticlassTask

Arrays = dict[str, npt.NDArray[Any]]

_FIELDS = ("scores", "labels", "generator_ids", "identifiers", "losses")
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
        if isinstance(detector.task, MulticlassTask) and detector.evaluation_type == "multiclass":
            scores = detector.task.class_probabilities(output.logits)
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
        return _of_probabilities(detector, dict(zip(_FIELDS, returned, strict=True)))
    found = f"{type(returned).__name__} of {len(returned)}" if hasattr(returned, "__len__") else type(returned).__name__
    raise _unknown(detector, f"a {found}")


def _unknown(detector: BaseDeepfakeDetectionModel, found: str) -> InputError:
    return InputError(
        f"{type(detector).__name__}.evaluation_step returned {found}; expected EvaluationOutput(logits, labels, "
        "generator_ids, image_identifiers, losses), a plain tuple of these five with probabilities in place of "
        "logits, or a mapping with the keys of the predictions file"
    )


def _of_logits(detector: BaseDeepfakeDetectionModel, output: EvaluationOutput) -> Arrays:
    task = detector.task
    columns = {
        "logits": task.fake_logits(output.logits),
        "labels": output.labels,
        "generator_ids": output.generator_ids,
        "identifiers": output.image_identifiers,
        "losses": output.losses,
    }
    rows = {name: _array(column) for name, column in columns.items()}
    if isinstance(task, MulticlassTask):
        rows["multiclass"] = _array(task.class_probabilities(output.logits))
        if is_overridden(type(detector), "multiclass_to_binary_prediction"):
            rows["logits"] = logits_of(binary_of(detector, rows["multiclass"]))
    return rows


def _of_mapping(detector: BaseDeepfakeDetectionModel, returned: Mapping[str, Any]) -> Arrays:
    kinds = {kind: {field: returned.get(f"{kind}{field}") for field in _FIELDS} for kind in ("crop_", FUSED)}
    given = {kind: columns for kind, columns in kinds.items() if all(v is not None for v in columns.values())}
    if not given:
        raise _unknown(detector, f"a mapping with {', '.join(map(str, returned)) or 'nothing'}")
    rows = _of_probabilities(detector, given.get("crop_") or given[FUSED])
    if len(given) == 2:
        rows |= {f"{FUSED}{name}": column for name, column in _of_probabilities(detector, given[FUSED]).items()}
    return rows


def _of_probabilities(detector: BaseDeepfakeDetectionModel, columns: Mapping[str, Any]) -> Arrays:
    scores = np.asarray(_array(columns["scores"]), dtype=np.float64)
    rows = {name: _array(columns[name]) for name in _FIELDS[1:]}
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    _check(detector, scores, rows)
    if scores.ndim == 2:
        return {"logits": logits_of(binary_of(detector, scores)), **rows, "multiclass": scores.astype(np.float32)}
    return {"logits": logits_of(scores), **rows}


def _check(detector: BaseDeepfakeDetectionModel, scores: npt.NDArray[np.float64], rows: Arrays) -> None:
    name = type(detector).__name__
    lengths = {"predictions": len(scores), **{field: len(column) for field, column in rows.items()}}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{n} {field}" for field, n in lengths.items())
        raise InputError(f"{name}.evaluation_step returned unequal numbers of rows: {told}")
    finite = scores[np.isfinite(scores)]
    if len(finite) and (finite.min() < 0 or finite.max() > 1):
        raise InputError(
            f"{name}.evaluation_step returned predictions from {finite.min():.4g} to {finite.max():.4g}: a plain tuple "
            "or mapping carries probabilities of being fake in [0, 1]; for logits, return "
            "aigenbench.training.EvaluationOutput(logits=...)"
        )


def binary_of(detector: BaseDeepfakeDetectionModel, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probabilities of being fake (n,), from those of the classes (n, n_classes), by the detector's hook."""
    binary = detector.multiclass_to_binary_prediction(torch.from_numpy(np.asarray(scores, dtype=np.float64)))
    return np.clip(_array(binary).astype(np.float64).reshape(len(scores)), 0.0, 1.0)


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
    return np.asarray(column)
