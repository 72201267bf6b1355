"""From what a user names as a detector to one that scores images."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError, nearest
from aigenbench.files import read_json, user_path
from aigenbench.inference.artefact import is_exported
from aigenbench.inference.external.exported import ExportedScorer
from aigenbench.inference.external.functions import SCORES, function_given, function_of_file
from aigenbench.inference.external.scorer import Scorer

TIMM = "timm/"


@dataclass(frozen=True)
class Reading:
    """How a detector is to be read; what its kind does not take is refused.

    Attributes:
        scores: of a function: one of ``SCORES``; None takes probabilities.
        fake_labels: of a classifier: its labels that stand for fake; empty to go by their names.
        weights: of ``timm/NAME``: the file.
    """

    scores: str | None = None
    fake_labels: tuple[str, ...] = ()
    weights: Path | None = None

    def refuse(self, kind: str, *taken: str) -> None:
        """Refuse what is given and not among ``taken``."""
        options = {"scores": "--scores", "fake_labels": "--fake-label", "weights": "--weights"}
        for name, option in options.items():
            if getattr(self, name) and name not in taken:
                raise InputError(f"{option} says nothing of {kind}; leave it out")


def open_scorer(detector: Path | str | Callable[..., Any], reading: Reading) -> Scorer:
    """Open a detector of any kind.

    Args:
        detector: an exported folder, a checkpoint's folder of transformers or timm, ``timm/NAME``, ``FILE.py:NAME``,
            or a function.
        reading: how.

    Raises:
        InputError: it is none of these, or not whole.
    """
    scores = reading.scores or SCORES[0]
    if scores not in SCORES:
        raise InputError(f"--scores: one of {', '.join(SCORES)}, found {scores!r}{nearest(scores, SCORES)}")
    if callable(detector):
        reading.refuse("a function", "scores")
        return function_given(detector, scores)
    text = os.fspath(detector)
    if text.startswith(TIMM) and not Path(text).exists():
        return _timm(text.removeprefix(TIMM), reading)
    if ".py" in text and not user_path(text).is_dir():
        reading.refuse("a function", "scores")
        return function_of_file(text, scores)
    return _of_folder(user_path(text), reading)


def _timm(name: str, reading: Reading) -> Scorer:
    from aigenbench.inference.external.timm_models import timm_scorer

    reading.refuse("a model of timm", "weights", "fake_labels")
    if reading.weights is None:
        raise InputError(f"timm/{name} is an architecture: say with --weights FILE where its trained weights are")
    return timm_scorer(name, user_path(reading.weights), reading.fake_labels)


def _of_folder(folder: Path, reading: Reading) -> Scorer:
    kinds = "an exported folder, a checkpoint's folder of transformers or timm, timm/NAME with --weights, FILE.py:NAME"
    if not folder.is_dir():
        hint = "; a checkpoint on a hub is downloaded first, into a folder" if len(folder.parts) == 2 else ""
        raise InputError(f"no detector at {folder}: expected {kinds}{hint}")
    if is_exported(folder):
        reading.refuse("an exported detector")
        return ExportedScorer(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} is no detector: it has neither detector.json nor config.json; expected {kinds}")
    config = read_json(folder / "config.json")
    if "architecture" in config and "model_type" not in config:
        from aigenbench.inference.external.timm_models import timm_folder_scorer

        reading.refuse("a folder of timm's", "fake_labels")
        return timm_folder_scorer(folder, reading.fake_labels)
    if "model_type" not in config:
        raise InputError(f"{folder}: config.json names neither a model_type (transformers) nor an architecture (timm)")
    from aigenbench.inference.external.hugging_face import transformers_scorer

    reading.refuse("a checkpoint of transformers", "fake_labels")
    return transformers_scorer(folder, reading.fake_labels)
