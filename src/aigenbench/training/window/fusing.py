"""The learned rule of fusion that belongs to weights: it lies with the results of their own evaluation."""

from __future__ import annotations

from aigenbench.config.folder import predictions_file
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import read_record
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.resume.state import read_state
from aigenbench.training.window.weights import Weights


def use_learned_fusion(detector: BaseDeepfakeDetectionModel, weights: Weights) -> None:
    """Let a detector fuse views as the evaluation of these weights learned to; other rules need nothing.

    Raises:
        InputError: the results of that evaluation are not beside the weights, or were not fused so.
    """
    if detector.fusion.kind != "learned":
        return
    folder = weights.path.absolute().parent
    state, path = read_state(folder), folder / predictions_file("validate")
    is_final = state is not None and state.final is not None and state.final.sha256 == weights.sha256
    record = read_record(path) if path.is_file() else None
    if not is_final or not path.is_file() or (record is not None and not record.get("own")):
        raise InputError(
            f"model.fusion learned: the rule of {weights.path} lies with the results of its evaluation, and {path} is "
            "not that; use the weights that a window ended with, in its folder, once it is evaluated"
        )
    rule = load_predictions(path).rule_of_fusion()
    if (rule.kind, rule.inputs) != (detector.fusion.kind, detector.fusion.inputs):
        raise InputError(f"model.fusion learned: {path} was fused by another rule ({rule.kind})")
    detector.fusion = rule
