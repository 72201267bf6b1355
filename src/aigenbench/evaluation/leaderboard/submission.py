"""Making a submission: predictions, scores and declarations in one file."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aigenbench import __version__
from aigenbench.archives import LARGEST
from aigenbench.config.folder import CONFIG_FILE, predictions_file
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.leaderboard.bundle import predictions_name, write_bundle
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.changes import config_changes
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment, window_folder
from aigenbench.evaluation.predictions.standing import SYNTHETIC, standing_of
from aigenbench.evaluation.report.results import read_run
from aigenbench.files import read_bytes, read_text
from aigenbench.protocol.off_protocol import told
from aigenbench.yaml_text import read_yaml_file

CARD = {
    "name": "how the detector is called on the page",
    "authors": "who submits it",
    "parameters": "number of parameters of the detector",
    "training_hours": "hours of training, all windows together",
    "hardware": "what it was trained on",
    "licence": "of the weights or code",
    "code": "address of the public code",
    "report": "address of the public report",
    "training_data": "must be the benchmark's own data only",
    "backbone": "the pretrained backbone, open weights, not made for detection",
    "description": "a sentence or two",
}
"""Entries of a model card and what they mean. None can be checked from the file: all are declared."""


def read_card(path: Path | str) -> dict[str, Any]:
    """A model card: YAML, of which JSON is a part.

    Raises:
        InputError: the file is missing or holds no entries.
    """
    card = read_yaml_file(path)
    if not isinstance(card, dict):
        raise InputError(f"{path}: expected entries such as `name: My detector`")
    return card


def make_submission(
    folder: Path | str,
    path: Path | str,
    card: Mapping[str, Any] | None = None,
    stage: str = "validate",
    revision: str = "",
) -> None:
    """Bundle an experiment.

    Args:
        folder: the experiment's folder.
        path: the zip file to write.
        card: entries of ``CARD``.
        stage: which predictions.
        revision: version of the code that made the run.

    Raises:
        InputError: see `load_experiment`; a window is missing; or the card has an unknown entry.
    """
    folder, card = Path(folder), dict(card or {})
    for name in card:
        if name not in CARD:
            raise InputError(f"unknown entry {name!r} in the model card; known: {', '.join(CARD)}{nearest(name, CARD)}")
    experiment = load_experiment(folder, stage)
    if experiment.notes:
        raise InputError(f"{folder}: {experiment.notes[0]}; only a finished experiment can be submitted")
    if experiment.off_protocol:
        raise InputError(f"{folder} is {told(experiment.off_protocol)}; the leaderboard takes no such run")
    records = {k: read_run(folder, k, stage) for k in experiment.windows}
    first = next((record for record in records.values() if record), {})
    if "trained_parameters" in first:
        card.setdefault("parameters", first["trained_parameters"])
    contents = {
        predictions_name(k): read_bytes(window_folder(folder, k) / predictions_file(stage), LARGEST)
        for k in experiment.windows
    }
    config = window_folder(folder, min(records)) / CONFIG_FILE
    if config.is_file():
        contents[CONFIG_FILE] = read_text(config).encode()
    # where results come from is told by records that the bundle does not carry
    manifest = _manifest(replace(experiment, origin=()), card, first, revision)
    if changes := config_changes(folder):
        manifest["config_changes"] = list(changes)
    if standing_of(experiment, records).kind == SYNTHETIC:
        manifest["data"] = SYNTHETIC
    write_bundle(path, manifest, contents)


def _manifest(
    experiment: ExperimentPredictions, card: Mapping[str, Any], record: Mapping[str, Any], revision: str
) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "stage": experiment.stage,
        "protocol_fingerprint": experiment.first.protocol_fingerprint,
        "pairing_fingerprint": experiment.first.pairing_fingerprint,
        "data_fingerprint": experiment.first.data_fingerprint,
        "versions": {
            "aigenbench": record.get("aigenbench", __version__),
            "python": record.get("python", platform.python_version()),
            **record.get("packages", {}),
        },
        "code_revision": revision,
        "card": dict(card),
        "scores": score(replace(experiment, standard=None)),
        **({"timeline": title} if (title := experiment.first.timeline) else {}),
    }


def code_revision(folder: Path | str = ".") -> str:
    """The git revision that a folder is at; "" outside a repository.

    It is read from git's files: git would run programs that the configuration of a repository names.
    """
    here = Path(folder).absolute()
    found = next((place / ".git" for place in (here, *here.parents) if (place / ".git").exists()), None)
    try:
        revision = "" if found is None else _revision(found)
    except InputError:
        return ""
    return revision if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) else ""


def _revision(git: Path) -> str:
    if git.is_file():
        # of a worktree
        git = git.parent / _text(git).removeprefix("gitdir: ")
    head = _text(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = git / _text(git / "commondir") if (git / "commondir").is_file() else git
    if (common / name).is_file():
        return _text(common / name)
    packed = (line.partition(" ") for line in _text(common / "packed-refs").splitlines())
    return next((revision for revision, _, of in packed if of == name), "")


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8", "replace").strip()
