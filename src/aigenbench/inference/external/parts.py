"""Scores kept while images are being scored, so that a run that is killed goes on."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from aigenbench.archives import read_npz
from aigenbench.errors import InputError
from aigenbench.files import read_json, whole_file, write_json
from aigenbench.inference.external.scorer import Scored

IDENTITY = "identity.json"
_ARRAYS = ("logits", "crop_logits", "crops")

logger = logging.getLogger(__name__)


class Parts:
    """The scores of the first images, in files of some each.

    Args:
        folder: where they lie; it need not exist.
        identity: of what is scored by what; parts of another are refused.

    Raises:
        InputError: the folder holds scores of something else.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        path = folder / IDENTITY
        if path.is_file() and self._files() and (other := differing(read_json(path), identity)):
            raise InputError(
                f"{folder} holds unfinished scores of another evaluation ({other}); remove it to begin anew, or give "
                "another -o"
            )
        write_json(path, dict(identity))

    def read(self) -> Scored | None:
        """The scores of the images from the first on that are there, or None."""
        files = self._files()
        found, done = [], 0
        while done in files:
            try:
                part = _read(files[done])
            except InputError as error:
                logger.warning("%s; scored again from there on", error)
                break
            found.append(part)
            done += len(part)
        return Scored.joined(found) if found else None

    def write(self, start: int, scored: Scored) -> None:
        """Keep the scores of the images from position ``start`` on."""
        with whole_file(self._folder / f"scores_{start:09d}.npz") as temporary:
            np.savez(temporary, **{name: getattr(scored, name) for name in _ARRAYS})

    def remove(self) -> None:
        """Remove them: the predictions are written, or there are none; then the folder that they lie in goes, too."""
        shutil.rmtree(self._folder)
        with suppress(OSError):
            self._folder.parent.rmdir()

    def _files(self) -> dict[int, Path]:
        """By the position of their first image."""
        return {int(match[1]): path for path in self._folder.iterdir() if (match := _NAME.fullmatch(path.name))}


_NAME = re.compile(r"scores_(\d{9})\.npz")


def differing(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In what two identities differ, in a few words, or ""."""
    found, asked = _flat(there), _flat(wanted)
    keys = [key for key in asked if found.get(key) != asked[key]]
    return ", ".join(f"{key} {_short(found.get(key))}, now {_short(asked[key])}" for key in keys[:2])


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in identity.items():
        flat |= {f"{key} {k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _read(path: Path) -> Scored:
    arrays = read_npz(path, _ARRAYS)
    if set(arrays) != set(_ARRAYS):
        raise InputError(f"{path} is damaged: it lacks scores")
    logits, crop_logits, crops = (arrays[name] for name in _ARRAYS)
    if crops.dtype != np.int64 or len(crops) != len(logits) or not len(logits) or crops.sum() != len(crop_logits):
        raise InputError(f"{path} is damaged: its arrays contradict each other")
    return Scored(logits, crop_logits, crops)
