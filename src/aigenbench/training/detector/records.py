"""A detector's weights as a checkpoint holds them: what it says of itself, and its weights loaded back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aigenbench.errors import InputError
from aigenbench.models.catalogue import network_of
from aigenbench.models.probe import weights_hash
from aigenbench.models.weights.reading import Use, check_finite, first_names
from aigenbench.protocol.trained import Trained
from aigenbench.training.processes.sharding import gathered, spread_like
from aigenbench.training.resume.checkpoints import load

if TYPE_CHECKING:
    from aigenbench.training.detector.base import BaseDeepfakeDetectionModel

logger = logging.getLogger(__name__)

CHECKPOINT_SCHEMA = 1
OF_TERMS = "objective_terms."
"""Where a detector keeps the parameters of its objective's terms."""


def detector_record(detector: BaseDeepfakeDetectionModel, keep: bool = True) -> dict[str, Any]:
    """Weights of a detector with what is needed to use them: tensors and primitives.

    All processes must call it where the detector is sharded; ``keep`` is of those that want the weights.
    """
    return {**said_of(detector), "state_dict": gathered(detector.state_dict(), keep)}


def said_of(detector: BaseDeepfakeDetectionModel) -> dict[str, Any]:
    """What is needed to use a detector's weights, themselves aside; primitives."""
    return {
        "schema": CHECKPOINT_SCHEMA,
        "model_name": detector.model_name,
        "training_task": detector.training_task,
        "preprocessing": detector.preprocessing.to_dict(),
        "input_size": list(detector.input_size),
        "backbone": backbone_reference(detector),
        **_parts(detector),
        **_origin(detector),
    }


def _parts(detector: BaseDeepfakeDetectionModel) -> dict[str, Any]:
    """Names of what features are made of, where that is not one backbone's own output."""
    layout = getattr(detector.model, "layout", ())
    return {} if [part.layer for part in layout] in ([], [None]) else {"parts": [part.name for part in layout]}


def _origin(detector: BaseDeepfakeDetectionModel) -> dict[str, Any]:
    """What the weights were trained on, and what makes the detector again."""
    trained = detector.stage.trained
    origin: dict[str, Any] = {"description": detector.description} if detector.description else {}
    if trained is None:
        return origin
    return {
        **origin,
        "window": detector.stage.window,
        "trained_generators": list(trained.generators),
        "trained": trained.to_record(),
    }


def backbone_reference(detector: BaseDeepfakeDetectionModel) -> dict[str, str] | None:
    """Name and hash of a probe's frozen backbone, which the checkpoint leaves out; None for other detectors."""
    return getattr(detector.model, "backbone_reference", None)


def load_detector(detector: BaseDeepfakeDetectionModel, path: Path, key: str = "model.base_weights") -> None:
    """Load a checkpoint's weights into a detector.

    Args:
        detector: takes the weights.
        path: a checkpoint of ours or Lightning's, or a plain state dict.
        key: the argument that names it, for messages.

    Raises:
        InputError: the file is no checkpoint, or of another model; the first missing and unexpected keys are told.
    """
    record = load(path, key)
    load_record(detector, record, path)
    stored, own = record.get("preprocessing"), detector.preprocessing.to_dict()
    for name in ("mean", "std"):
        if isinstance(stored, Mapping) and stored.get(name, own[name]) != own[name]:
            logger.warning(
                "%s was trained on pixels with %s %s, here it goes on with %s; model.preprocessing sets it",
                record.path,
                name,
                stored[name],
                own[name],
            )


def load_record(detector: BaseDeepfakeDetectionModel, record: Mapping[str, Any], path: Path) -> None:
    """As ``load_detector``, from what ``load`` returned."""
    path = getattr(record, "path", path)
    if record.get("schema", CHECKPOINT_SCHEMA) != CHECKPOINT_SCHEMA:
        raise InputError(
            f"{path} was written by another version of aigenbench (schema {record['schema']}, this one has "
            f"{CHECKPOINT_SCHEMA}); use that version"
        )
    weights = record.get("state_dict", record)
    if not _is_state_dict(weights):
        raise InputError(f"{path} holds no weights: expected a checkpoint or a state dict")
    own = detector.state_dict()
    if not any(name in own for name in weights) and any(f"model.{name}" in own for name in weights):
        weights = {f"model.{name}": tensor for name, tensor in weights.items()}
    # parameters of an objective's terms are no part of what is evaluated: another objective may go on from it
    weights = {k: v for k, v in weights.items() if k in own or not k.startswith(OF_TERMS)}
    missing = [name for name in own if name not in weights and not name.startswith(OF_TERMS)]
    unexpected = [name for name in weights if name not in own]
    # a probe's head fits the head of a detector that is to be tuned, and the other way round
    heads = [name for name in own if name in weights]
    kept: list[str] = []
    if missing and heads and _is_probe_record(record) and not unexpected:
        missing, kept = [], missing
    if unexpected and not missing and backbone_reference(detector) is not None:
        raise InputError(f"{path} holds a tuned backbone, {detector.model_name} a frozen one; use the _tune model")
    if missing or unexpected:
        raise InputError(
            f"{path} is of another model than {detector.model_name}: missing {_first(missing)}, "
            f"unexpected {_first(unexpected)}"
        )
    _check_shapes(own, weights, path)
    if record.get("parts") != (own_parts := _parts(detector).get("parts")) and "state_dict" in record:
        raise InputError(
            f"{path} holds a head on {', '.join(record.get('parts') or ['the own output of its backbone'])}; here it "
            f"sees {', '.join(own_parts or ['that of its backbone'])}: give the same model.features and model.backbones"
        )
    _check_backbone(detector, record, path)
    _check_model(detector, record, path)
    check_finite(weights, dict(detector.named_buffers()), str(path))
    detector.load_state_dict({name: spread_like(own[name], value) for name, value in weights.items()}, strict=False)
    detector.trained = trained_of(record, path)
    logger.info(
        "%s%s",
        Use(len(weights), []).told(path),
        f"; it is a probe's, so the backbone keeps its own weights ({len(kept)} tensors)" if kept else "",
    )


def _is_state_dict(weights: Any) -> bool:
    return (
        isinstance(weights, Mapping)
        and bool(weights)
        and all(isinstance(value, torch.Tensor) for value in weights.values())
    )


def trained_of(record: Mapping[str, Any], path: Path) -> Trained | None:
    """What a checkpoint's weights were trained on; None where it does not say."""
    return Trained.from_record(record["trained"], str(path)) if "trained" in record else None


def _is_probe_record(record: Mapping[str, Any]) -> bool:
    return bool(record.get("backbone"))


def _check_shapes(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], path: Path) -> None:
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"{path} is of another model: {name} has shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )


def _check_backbone(detector: BaseDeepfakeDetectionModel, record: Mapping[str, Any], path: Path) -> None:
    stored, backbone = record.get("backbone"), getattr(detector.model, "backbone", None)
    if not stored or not isinstance(backbone, torch.nn.Module):
        return
    own = (backbone_reference(detector) or {}).get("sha256") or weights_hash(backbone)
    if stored["sha256"] != own:
        raise InputError(
            f"{path} holds the head of a probe on {stored['name']} with weights {stored['sha256'][:12]}; the backbone "
            f"loaded has weights {own[:12]}: use the backbone's weights it was trained on"
        )


def _check_model(detector: BaseDeepfakeDetectionModel, record: Mapping[str, Any], path: Path) -> None:
    """Refuse weights of a model with the same names and shapes that computes otherwise; of users' models, tell it."""
    theirs, own = record.get("model_name"), detector.model_name
    if not isinstance(theirs, str) or _stem(theirs) == _stem(own):
        return
    networks = [network_of(name) for name in (theirs, own)]
    if None in networks:
        logger.warning("%s holds weights of %s, whose names and shapes fit %s", path, theirs, own)
    elif networks[0] != networks[1]:
        raise InputError(
            f"{path} holds weights of {theirs}; {own} has the same names and shapes and computes otherwise: give "
            f"model.model_name {theirs}"
        )


def _stem(model_name: str) -> str:
    return model_name.removesuffix("_tune").removesuffix("_probe")


def _first(names: list[str], n: int = 3) -> str:
    return first_names(names, n) or "none"
