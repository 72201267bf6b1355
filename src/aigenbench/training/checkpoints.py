"""Checkpoints: tensors and primitives only, written whole, loaded with ``weights_only=True``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aigenbench.config.folder import FINAL_FILE
from aigenbench.errors import InputError
from aigenbench.files import remove_temporaries, whole_file
from aigenbench.models.catalogue import network_of
from aigenbench.models.probe import weights_hash
from aigenbench.models.reading import Use, check_finite, first_names, read_pickle, read_safetensors
from aigenbench.models.weight_files import Kind, kind_of
from aigenbench.protocol.trained import Trained
from aigenbench.training.processes import is_first_process
from aigenbench.training.sharding import gathered, spread_like
from aigenbench.training.state import SavedCheckpoint, WindowState, write_state

if TYPE_CHECKING:
    from aigenbench.training.detector import BaseDeepfakeDetectionModel

logger = logging.getLogger(__name__)

CHECKPOINT_SCHEMA = 1
KEPT = 2
"""Resumable checkpoints kept while a window is being trained: the newest, and one to fall back on."""


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
        **_origin(detector),
    }


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


def save(path: Path, record: Mapping[str, Any]) -> SavedCheckpoint:
    """Write a checkpoint, whole or not at all."""
    with whole_file(path) as temporary:
        try:
            with temporary.open("wb") as target:
                torch.save(dict(record), target)
        except RuntimeError as error:
            # torch's writer covers up what went wrong with the file (a full disk) by an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
        digest = sha256(temporary)
    return SavedCheckpoint(path.name, digest)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


class Record(dict[str, Any]):
    """A checkpoint's content, and where it was read from."""

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        super().__init__(content)
        self.path = path


def load(path: Path, key: str = "") -> Record:
    """Read a checkpoint, or weights alone: a file of ``torch.save``, or safetensors.

    Args:
        path: the file.
        key: the argument that names it, for messages.

    Raises:
        InputError: there is none, it is damaged, or it holds anything but tensors and primitives; one line says which.
    """
    path, label = path.expanduser(), f"{key}: " if key else ""
    kind = kind_of(path, key, "checkpoint")
    if kind is Kind.TORCHSCRIPT:
        raise InputError(
            f"{label}{path} is a TorchScript archive, which is code; give a checkpoint, a state dict or safetensors "
            "(weights of a backbone are named by model.model_args weights)"
        )
    if kind is Kind.SAFETENSORS:
        return Record({"state_dict": read_safetensors(path, key)}, path)
    record = read_pickle(path, key)
    if not isinstance(record, dict):
        raise InputError(f"{label}{path} holds a {type(record).__name__}, expected a checkpoint or a state dict")
    return Record(record, path)


def refuse_checkpoint(config: Mapping[str, Any]) -> None:
    """Refuse a ``ckpt_path`` where a run trains and would not use it.

    Raises:
        InputError: one is named.
    """
    if (path := config.get("ckpt_path")) is not None:
        raise InputError(
            f"ckpt_path: {path} is not used by fit; model.base_weights is the key for weights to start from, and a run "
            "that was stopped goes on with its own command, experiment_info.experiment_id included"
        )


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
    missing = [name for name in own if name not in weights]
    unexpected = [name for name in weights if name not in own]
    # a probe's head fits the head of a detector that is to be tuned, and the other way round
    heads = [name for name in own if name not in missing]
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


class WindowCheckpoints:
    """The checkpoints of one window, and the record that names them."""

    def __init__(self, folder: Path, state: WindowState | None) -> None:
        self.folder = folder
        self.state = state or WindowState()

    def save_position(self, epochs: int, steps: int, record: Mapping[str, Any]) -> None:
        """Write a resumable checkpoint after ``steps`` steps of the epoch under way, then name it in the record."""
        name = f"epoch_{epochs:03d}_step_{steps:08d}.ckpt"
        saved = save(self.folder / name, {**record, "epochs": epochs, "steps": steps})
        older = tuple(s for s in self.state.checkpoints if s.file != name)
        kept = (saved, *older)[:KEPT]
        self._record(replace(self.state, epochs=epochs, steps=steps, checkpoints=kept))
        self.tidy()

    def save_final(self, epochs: int, record: Mapping[str, Any], evaluated: bool) -> None:
        """Write the window's weights after its last epoch, then name them in the record.

        ``evaluated`` says whether these very weights are evaluated; a finished window keeps them alone.
        """
        final = save(self.folder / FINAL_FILE, record)
        trained = replace(self.state, epochs=epochs, steps=0, evaluated=0, final=final)
        if evaluated:
            self._finish(trained)
        else:
            self._record(trained)

    def evaluated(self) -> None:
        """Record the evaluation of the final weights; resumable checkpoints go."""
        self._finish(self.state)

    def _finish(self, trained: WindowState) -> None:
        self._record(replace(trained, evaluated=trained.epochs, checkpoints=()))
        self.tidy()

    def tidy(self) -> None:
        """Remove resumable checkpoints the record does not name, and what killed writers left."""
        named = {saved.file for saved in self.state.checkpoints}
        for path in self.folder.glob("epoch_*_step_*.ckpt"):
            if path.name not in named:
                path.unlink(missing_ok=True)
        remove_temporaries(self.folder)

    def resume(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; the record is set back to it where it is not the newest.

        Returns:
            The checkpoint's content, or None where the window starts anew.

        Raises:
            InputError: the window had checkpoints, and none can be read.
        """
        for i, saved in enumerate(self.state.checkpoints):
            try:
                record = self._verified(saved)
            except InputError as error:
                logger.warning("%s; falling back to the checkpoint before it", error)
                continue
            if i:
                self._record(
                    replace(
                        self.state,
                        epochs=record["epochs"],
                        steps=record["steps"],
                        evaluated=0,
                        checkpoints=self.state.checkpoints[i:],
                    )
                )
            return record
        if self.state.checkpoints:
            raise InputError(f"no checkpoint in {self.folder} can be read; remove the folder to train the window again")
        return None

    def load_final(self) -> dict[str, Any]:
        """The window's weights.

        Raises:
            InputError: they are missing or damaged.
        """
        assert self.state.final is not None, "asked for only where the window is trained"
        return self._verified(self.state.final)

    def _verified(self, saved: SavedCheckpoint) -> dict[str, Any]:
        path = self.folder / saved.file
        if not path.is_file():
            raise InputError(f"{path} is missing")
        if sha256(path) != saved.sha256:
            raise InputError(f"{path} is damaged: its contents are not those that were written")
        return load(path)

    def _record(self, state: WindowState) -> None:
        if is_first_process():
            write_state(self.folder, state)
        self.state = state
