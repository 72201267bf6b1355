"""Files that ModelCheckpoint callbacks of the config write, over restarts.

What a killed run wrote after its last own checkpoint is written again; the callback would give the second file
another name beside the first. So files of the same window that came after the checkpoint go first.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from aigenbench.training.lightning.internals import callbacks_of

FOLDER = "checkpoints"
MARK = "aigenbench_window"
"""Key in a callback's files that says which window of which experiment wrote them."""


def place_in(folder: Path, callbacks: Collection[pl.Callback]) -> None:
    """Let ModelCheckpoints that name no folder write below the window's."""
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str((folder / FOLDER).absolute())


def checkpoint_files(trainer: pl.Trainer) -> dict[str, list[str]]:
    """Names of the files that lie in each ModelCheckpoint's folder, by the callback's key."""
    return {c.state_key: sorted(path.name for path in _files(c)) for c in writers_of(trainer)}


def remove_later_files(trainer: pl.Trainer, mark: str, kept: Mapping[str, Collection[str]]) -> None:
    """Remove the files of a window that are not among ``kept``; those of other windows and runs stay."""
    for callback in writers_of(trainer):
        for path in _files(callback):
            if path.name not in kept.get(callback.state_key, ()) and _has_mark(path, mark):
                path.unlink(missing_ok=True)


def writers_of(trainer: pl.Trainer) -> list[ModelCheckpoint]:
    """The ModelCheckpoints among a Trainer's callbacks."""
    return [c for c in callbacks_of(trainer) if isinstance(c, ModelCheckpoint)]


def _files(callback: ModelCheckpoint) -> list[Path]:
    return [] if callback.dirpath is None else sorted(Path(callback.dirpath).glob(f"*{callback.FILE_EXTENSION}"))


def _has_mark(path: Path, mark: str) -> bool:
    # the files may hold what loads only by running code: the text is looked for in the pickle, after its length
    text = mark.encode()
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return any(b"X" + struct.pack("<I", len(text)) + text in archive.read(name) for name in pickles)
    except (zipfile.BadZipFile, OSError):
        return False
