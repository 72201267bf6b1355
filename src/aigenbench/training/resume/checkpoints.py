"""Checkpoints: tensors and primitives only, written whole, loaded with ``weights_only=True``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aigenbench.config.folder import FINAL_FILE
from aigenbench.errors import InputError
from aigenbench.fences import generation_of, remove
from aigenbench.files import file_sha256, remove_temporaries, whole_file
from aigenbench.models.weights.kinds import Kind, kind_of
from aigenbench.models.weights.reading import read_pickle, read_safetensors
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.resume.state import SavedCheckpoint, WindowState, write_state

logger = logging.getLogger(__name__)

KEPT = 2
"""Resumable checkpoints kept while a window is being trained: the newest, and one to fall back on."""


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
        digest = file_sha256(temporary)
    return SavedCheckpoint(path.name, digest)


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


class UnreadableError(InputError):
    """What a window has come to cannot be read; it is to be trained again.

    Attributes:
        folder: the window's.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


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
        self._record(replace(self._going_on(), epochs=epochs, steps=steps, checkpoints=kept))
        self.tidy()

    def save_final(self, epochs: int, record: Mapping[str, Any], evaluated: bool) -> None:
        """Write the window's weights after its last epoch, then name them in the record.

        ``evaluated`` says whether these very weights are evaluated; a finished window keeps them alone.
        """
        final = save(self.folder / FINAL_FILE, record)
        trained = replace(self._going_on(), epochs=epochs, steps=0, evaluated=0, final=final)
        if evaluated:
            self._finish(trained)
        else:
            self._record(trained)

    def evaluated(self) -> None:
        """Record the evaluation of the final weights; resumable checkpoints go."""
        self._finish(self.state)

    def _going_on(self) -> WindowState:
        return replace(self.state, generation=generation_of(self.folder))

    def _finish(self, trained: WindowState) -> None:
        self._record(replace(trained, evaluated=trained.epochs, checkpoints=()))
        self.tidy()

    def tidy(self) -> None:
        """Remove resumable checkpoints the record does not name, and what killed writers left."""
        named = {saved.file for saved in self.state.checkpoints}
        for path in self.folder.glob("epoch_*_step_*.ckpt"):
            if path.name not in named:
                remove(path)
        remove_temporaries(self.folder)

    def resume(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole; the record is set back to it where it is not the newest.

        Returns:
            The checkpoint's content, or None where the window starts anew.

        Raises:
            UnreadableError: the window had checkpoints, and none can be read.
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
            raise UnreadableError(f"no checkpoint in {self.folder} can be read", self.folder)
        return None

    def load_final(self) -> dict[str, Any]:
        """The window's weights.

        Raises:
            UnreadableError: they are missing or damaged.
        """
        assert self.state.final is not None, "asked for only where the window is trained"
        return self._verified(self.state.final)

    def _verified(self, saved: SavedCheckpoint) -> dict[str, Any]:
        path = self.folder / saved.file
        if not path.is_file():
            raise UnreadableError(f"{path} is missing", self.folder)
        if file_sha256(path) != saved.sha256:
            raise UnreadableError(f"{path} is damaged: its contents are not those that were written", self.folder)
        return load(path)

    def _record(self, state: WindowState) -> None:
        if is_first_process():
            write_state(self.folder, state)
        self.state = state
