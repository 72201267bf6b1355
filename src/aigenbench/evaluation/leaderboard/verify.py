"""Checking a submission: the rules of the leaderboard as far as a file can show them (protocol section 8)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.config.folder import CONFIG_FILE, predictions_file
from aigenbench.errors import InputError, printable
from aigenbench.evaluation.leaderboard.bundle import predictions_name, read_bundle
from aigenbench.evaluation.leaderboard.rules import DECLARED, FAILED, OK, RULES, Submission
from aigenbench.evaluation.leaderboard.submission import CARD
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import STAGES, ExperimentPredictions, load_experiment
from aigenbench.protocol.published import GENERATORS_PER_WINDOW, PER_GENERATOR
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import generator_windows

LONGEST_ENTRY = 2000
"""Letters of an entry of the card."""


@dataclass(frozen=True)
class Check:
    """One rule: its name, ``ok``, ``failed`` or ``declared``, and what was found, which may quote the bundle."""

    name: str
    status: str
    found: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", printable(self.found, line=True))


@dataclass(frozen=True)
class Verification:
    """What came of a bundle.

    Attributes:
        checks: every rule looked at; those after a file that cannot be read are missing.
        experiment: the predictions, None where they cannot be read.
        scores: recomputed from the predictions, never the submitted ones.
        manifest: as submitted; its card is declared, not checked.
    """

    checks: tuple[Check, ...]
    experiment: ExperimentPredictions | None
    scores: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether nothing failed."""
        return not self.rejected_for

    @property
    def rejected_for(self) -> str:
        """The first rule it broke and how, or ""."""
        return next((f"{check.name}: {check.found}" for check in self.checks if check.status == FAILED), "")


def verify_submission(
    path: Path | str,
    per_generator: int | None = PER_GENERATOR,
    columns: Sequence[str] | None = None,
    timeline: Timeline = PUBLISHED,
) -> Verification:
    """Check a bundle and recompute its scores.

    Args:
        path: the zip file.
        per_generator: how many fakes each generator must have; None for any number.
        columns: generator name of every row of the data set's evaluation split, to check labels against.
        timeline: the generators that must be there.
    """
    manifest: dict[str, Any] = {}
    try:
        manifest, contents = read_bundle(path)
        if (title := manifest.get("timeline")) and not timeline.title:
            raise InputError(
                f"made on timeline {str(title)[:80]}, outside the published leaderboard; --timeline FILE checks "
                "it against that"
            )
        experiment = _load(path, manifest, contents, len(generator_windows(timeline, GENERATORS_PER_WINDOW)))
        scores = score(experiment)
    except InputError as error:
        return Verification((Check("readable", FAILED, str(error)),), None, {}, manifest)
    config = contents.get(CONFIG_FILE, b"").decode("utf-8", "replace")
    submission = Submission(experiment, manifest, config, per_generator, columns, timeline)
    checks = [Check("readable", OK, f"{len(experiment.windows)} windows, {len(experiment.first)} images each")]
    for name, rule in RULES.items():
        try:
            checks.append(Check(name, *rule(submission)))
        except InputError as error:
            checks.append(Check(name, FAILED, str(error)))
    checks.append(_scores_check(manifest, scores))
    if changes := manifest.get("config_changes"):
        told = "; ".join(map(str, changes)) if isinstance(changes, list) else str(changes)
        checks.append(Check("one configuration", DECLARED, told))
    checks += [_card_check(manifest["card"], name) for name in CARD]
    return Verification(tuple(checks), experiment, scores, manifest)


def _card_check(card: dict[str, Any], name: str) -> Check:
    value = str(card.get(name, "not given"))
    if len(value) > LONGEST_ENTRY:
        return Check(f"card: {name}", FAILED, f"{len(value)} letters; at most {LONGEST_ENTRY} are shown")
    return Check(f"card: {name}", DECLARED, value)


def _load(
    path: Path | str, manifest: dict[str, Any], contents: dict[str, bytes], n_windows: int
) -> ExperimentPredictions:
    if manifest["stage"] not in STAGES:
        raise InputError(f"{path}: unknown stage {manifest['stage']!r}; known: {', '.join(STAGES)}")
    known = {predictions_name(k): k for k in range(min(len(contents), n_windows))}
    foreign = sorted(contents.keys() - known.keys() - {CONFIG_FILE})
    if foreign:
        raise InputError(
            f"{path}: {foreign[0]!r} does not belong in a bundle of {n_windows} windows, or one before is missing"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name in contents.keys() & known.keys():
            place = Path(folder) / f"window_{known[name]}" / predictions_file(manifest["stage"])
            place.parent.mkdir()
            place.write_bytes(contents[name])
        try:
            experiment = load_experiment(folder, manifest["stage"])
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "").replace(folder, str(path))) from error
    if experiment.notes:
        raise InputError(f"{path}: {experiment.notes[0]}")
    return ExperimentPredictions(manifest["experiment"], experiment.stage, experiment.windows, experiment.n_windows)


def _scores_check(manifest: dict[str, Any], scores: dict[str, Any]) -> Check:
    difference = _first_difference(manifest["scores"], scores, "scores")
    if difference:
        return Check("submitted scores", FAILED, f"{difference}: recomputed from the predictions it is another")
    return Check("submitted scores", OK, "equal to those recomputed from the predictions")


def _first_difference(a: Any, b: Any, where: str) -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{where} has other entries"
        return next((d for k in a if (d := _first_difference(a[k], b[k], f"{where}.{k}"))), "")
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{where} has {len(a)} values"
        return next((d for i in range(len(a)) if (d := _first_difference(a[i], b[i], f"{where}[{i}]"))), "")
    if isinstance(a, float) and isinstance(b, float | int):
        return "" if abs(a - b) <= 1e-9 else f"{where} is {a}"
    return "" if a == b else f"{where} is {a!r}"
