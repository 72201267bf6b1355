"""Where results are written: what cannot be written is told before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

from aigenbench.errors import InputError


def output_file(text: str, option: str, name: str) -> Path:
    """The file that an option names; in a folder, the file ``name``.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(text).expanduser()
    if path.is_dir() or text.endswith(("/", os.sep)):
        path /= name
    if path.is_dir():
        raise InputError(f"{option} {text}: {path} is a folder; name a file")
    _check_place(path.parent, option, text)
    return path


def output_folder(text: str, option: str) -> Path:
    """The folder that an option names; it need not exist.

    Raises:
        InputError: it is a file, or cannot be written to.
    """
    path = Path(text).expanduser()
    _check_place(path, option, text)
    return path


def _check_place(folder: Path, option: str, text: str) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        raise InputError(f"{option} {text}: {there} is no folder; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {text}: no right to write in {there}; name another place")
