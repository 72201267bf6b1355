"""Checking a submission: the rules of the leaderboard as far as a file can show them (protocol section 8)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aigenbench.config.folder import CONFIG_FILE, predictions_file
from aigenbench.errors import InputError, nearest, printable
from aigenbench.evaluation.leaderboard.bundle import predictions_name, read_bundle
from aigenbench.evaluation.leaderboard.submission import CARD
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.experiment import STAGES, ExperimentPredictions, load_experiment
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.evaluation.predictions.standing import mandatory_fingerprints
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.pairing import evaluation_set
from aigenbench.protocol.published import (
    AUGMENTATION_FACTOR,
    GENERATORS_PER_WINDOW,
    PAIRING_SEED,
    PER_GENERATOR,
    SHUFFLE_SEED,
)
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import generator_windows
from aigenbench.yaml_text import read_yaml

LONGEST_ENTRY = 2000
"""Letters of an entry of the card."""
OK, FAILED, DECLARED = "ok", "failed", "declared"


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


@dataclass(frozen=True)
class _Submission:
    experiment: ExperimentPredictions
    manifest: dict[str, Any]
    config: str
    per_generator: int | None
    columns: Sequence[str] | None
    timeline: Timeline


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
        experiment = _load(path, manifest, contents, len(generator_windows(timeline, GENERATORS_PER_WINDOW)))
        scores = score(experiment)
    except InputError as error:
        return Verification((Check("readable", FAILED, str(error)),), None, {}, manifest)
    config = contents.get(CONFIG_FILE, b"").decode("utf-8", "replace")
    submission = _Submission(experiment, manifest, config, per_generator, columns, timeline)
    checks = [Check("readable", OK, f"{len(experiment.windows)} windows, {len(experiment.first)} images each")]
    for name, rule in _RULES.items():
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


Found = tuple[str, str]


def _windows(s: _Submission) -> Found:
    expected = generator_windows(s.timeline, GENERATORS_PER_WINDOW)
    if s.experiment.first.windows_timeline != expected:
        raise InputError(f"the windows are not those of the timeline: expected {len(expected)} of its generators")
    if s.experiment.first.generator_id_to_name != s.timeline.id_to_name:
        raise InputError("the generator ids are not those of the timeline")
    if not s.experiment.ordinary:
        raise InputError("a window's weights were trained on other generators than those of the windows up to it")
    unnamed = [k for k, p in s.experiment.windows.items() if p.window != k]
    if unnamed:
        raise InputError(f"the predictions of window {unnamed[0]} do not say which window they belong to")
    return OK, f"{len(expected)} windows of the timeline"


def _training(s: _Submission) -> Found:
    kind = s.experiment.first.benchmark_type
    if kind not in ("cumulative", "continual_learning"):
        raise InputError(f"benchmark_type is {kind!r}; the leaderboard follows the sliding windows")
    return DECLARED, f"benchmark_type {kind}"


def _balance(s: _Submission) -> Found:
    p = s.experiment.first
    counts = np.bincount(p.fused_generator_ids, minlength=len(p.generator_id_to_name))
    fakes = int(counts[1:].sum())
    if counts[0] != fakes:
        raise InputError(f"{counts[0]} reals and {fakes} fakes; the evaluation set is balanced")
    least, most = int(counts[1:].min()), int(counts[1:].max())
    wrong = np.flatnonzero(counts[1:] != (s.per_generator or counts[1:]))
    if len(wrong):
        g = int(wrong[0]) + 1
        raise InputError(
            f"{counts[g]} fakes of {p.generator_id_to_name[g]!r}; expected {s.per_generator} of each generator "
            "(--per-generator 0 takes any numbers)"
        )
    return OK, f"{fakes} reals, {fakes} fakes, {least if least == most else f'{least} to {most}'} of each generator"


def _order(s: _Submission) -> Found:
    """Undo the shuffle: reals must come first, then fakes by rising row number; then draw the pairing again."""
    p = s.experiment.first
    for k, window in s.experiment.windows.items():
        if not np.array_equal(window.fused_identifiers, window.identifier):
            raise InputError(f"the rows of window {k} are not in evaluation order")
    n = len(p)
    rows = np.empty(n, dtype=np.int64)
    rows[np.random.default_rng(SHUFFLE_SEED).permutation(n)] = np.arange(n)
    labels, ids = p.fused_labels[rows], p.identifier[rows]
    fakes_rise = bool((np.diff(ids[n // 2 :]) > 0).all())
    if labels[: n // 2].any() or not labels[n // 2 :].all() or not fakes_rise:
        raise InputError("the order of the images is not the protocol's")
    _check_pairing(s)
    return OK, "recomputed from ids and labels"


def _check_pairing(s: _Submission) -> None:
    p = s.experiment.first
    reals = np.flatnonzero(p.fused_labels == 0).tolist()
    random.Random(PAIRING_SEED).shuffle(reals)
    expected = np.full(len(p), -1, dtype=np.int64)
    expected[reals] = p.fused_generator_ids[p.fused_labels == 1]
    if not np.array_equal(p.pairing, expected):
        raise InputError("the pairing of reals with fakes is not the protocol's")
    for k, window in s.experiment.windows.items():
        for name in ("fused_labels", "fused_generator_ids"):
            if not np.array_equal(getattr(window, name), getattr(p, name)):
                raise InputError(f"{name} of window {k} differ from those of the first window")


def _labels(s: _Submission) -> Found:
    if s.columns is None:
        return DECLARED, "labels and generators of the images (give the data set's columns to check them)"
    ids = s.timeline.ids
    foreign = sorted({name for name in s.columns if name and name not in ids})
    if foreign and not any(name in ids for name in s.columns if name):
        raise InputError(
            f"none of the generators that the columns name is on the timeline: {', '.join(foreign[:3])}"
            f"{', ...' if len(foreign) > 3 else ''}{nearest(foreign[0], s.timeline.names)}"
        )
    expected = evaluation_set(np.array([ids.get(name, -1) for name in s.columns], dtype=np.int64))
    p = s.experiment.first
    if not np.array_equal(p.identifier, expected.ids):
        raise InputError("the images are not those that the data set's columns give")
    if not np.array_equal(p.fused_generator_ids, expected.generator_ids):
        raise InputError("the generators of the images are not those of the data set")
    return OK, "every image's label and generator equals the data set's"


def _copies(s: _Submission) -> Found:
    found = sorted(_values(read_yaml(s.config, CONFIG_FILE), "augmentation_factor"))
    if any(not copies <= AUGMENTATION_FACTOR for copies in found):
        raise InputError(f"augmentation_factor {found[-1]:g}; at most {AUGMENTATION_FACTOR} is allowed")
    return DECLARED, f"augmentation_factor {found[-1]:g}" if found else "augmentation_factor is not in the config"


def _values(node: Any, key: str) -> list[float]:
    if isinstance(node, dict):
        own = [float(v) for k, v in node.items() if k == key and isinstance(v, int | float)]
        return own + [v for child in node.values() for v in _values(child, key)]
    if isinstance(node, list):
        return [v for child in node for v in _values(child, key)]
    return []


def _mandatory(s: _Submission) -> Found:
    p = s.experiment.first
    if p.pairing_fingerprint and p.pairing_fingerprint != pairing_fingerprint(p.identifier, p.pairing):
        raise InputError(f"pairing_fingerprint {p.pairing_fingerprint} is not that of the ids and pairing")
    if p.protocol_fingerprint is None:
        return DECLARED, "no protocol fingerprint: the evaluation steps are not recorded"
    for jpeg, expected in mandatory_fingerprints(p, s.timeline).items():
        if p.protocol_fingerprint == expected:
            return DECLARED, f"the fingerprint is that of the mandatory steps, JPEG qualities {jpeg}"
    raise InputError(f"protocol_fingerprint {p.protocol_fingerprint} is not that of the mandatory evaluation steps")


def _consistent(s: _Submission) -> Found:
    seen: dict[bytes, int] = {}
    for k, p in s.experiment.windows.items():
        if p.fused_logits is not None:
            distance = np.abs(sigmoid(p.fused_logits) - p.fused_scores).max()
            if distance > 1e-4:
                raise InputError(f"scores and logits of window {k} differ by up to {distance:.2g}")
        same = seen.setdefault(p.fused_scores.tobytes(), k)
        if same != k:
            raise InputError(f"windows {same} and {k} have the same predictions")
    return OK, "scores and logits agree; no two windows are equal"


_RULES: dict[str, Callable[[_Submission], Found]] = {
    "windows": _windows,
    "balance": _balance,
    "order and pairing": _order,
    "labels": _labels,
    "scores and logits": _consistent,
    "mandatory steps": _mandatory,
    "training windows": _training,
    "copies": _copies,
}


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
