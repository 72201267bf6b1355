"""The rules of the leaderboard, one function each (protocol section 8)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aigenbench.config.folder import CONFIG_FILE
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.evaluation.predictions.standing import mandatory_fingerprints
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.off_protocol import told
from aigenbench.protocol.pairing import evaluation_set
from aigenbench.protocol.published import AUGMENTATION_FACTOR, GENERATORS_PER_WINDOW, PAIRING_SEED, SHUFFLE_SEED
from aigenbench.protocol.timeline import Timeline
from aigenbench.protocol.windows import generator_windows
from aigenbench.yaml_text import read_yaml

OK, FAILED, DECLARED = "ok", "failed", "declared"


@dataclass(frozen=True)
class Submission:
    """A bundle that was read, and what it is checked against, see `verify_submission`."""

    experiment: ExperimentPredictions
    manifest: dict[str, Any]
    config: str
    per_generator: int | None
    columns: Sequence[str] | None
    timeline: Timeline


Found = tuple[str, str]


def _windows(s: Submission) -> Found:
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


def _training(s: Submission) -> Found:
    if s.experiment.off_protocol:
        raise InputError(told(s.experiment.off_protocol))
    if s.experiment.foreign:
        return DECLARED, f"not trained by the protocol: no entry, shown apart; {s.experiment.first.knowledge}"
    kind = s.experiment.first.benchmark_type
    if kind not in ("cumulative", "continual_learning"):
        raise InputError(f"benchmark_type is {kind!r}; the leaderboard follows the sliding windows")
    return DECLARED, f"benchmark_type {kind}"


def _balance(s: Submission) -> Found:
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


def _order(s: Submission) -> Found:
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


def _check_pairing(s: Submission) -> None:
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


def _labels(s: Submission) -> Found:
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


def _copies(s: Submission) -> Found:
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


def _mandatory(s: Submission) -> Found:
    p = s.experiment.first
    if p.pairing_fingerprint and p.pairing_fingerprint != pairing_fingerprint(p.identifier, p.pairing):
        raise InputError(f"pairing_fingerprint {p.pairing_fingerprint} is not that of the ids and pairing")
    if p.protocol_fingerprint is None:
        return DECLARED, "no protocol fingerprint: the evaluation steps are not recorded"
    for jpeg, expected in mandatory_fingerprints(p, s.timeline).items():
        if p.protocol_fingerprint == expected:
            return DECLARED, f"the fingerprint is that of the mandatory steps, JPEG qualities {jpeg}"
    raise InputError(f"protocol_fingerprint {p.protocol_fingerprint} is not that of the mandatory evaluation steps")


def _consistent(s: Submission) -> Found:
    seen: dict[bytes, int] = {}
    for k, p in s.experiment.windows.items():
        if p.fused_logits is not None:
            distance = np.abs(sigmoid(p.fused_logits) - p.fused_scores).max()
            if distance > 1e-4:
                raise InputError(f"scores and logits of window {k} differ by up to {distance:.2g}")
        same = seen.setdefault(p.fused_scores.tobytes(), k)
        if same != k and not s.experiment.foreign:
            raise InputError(f"windows {same} and {k} have the same predictions")
    if s.experiment.foreign and len(seen) > 1:
        raise InputError("one detector stands at every window, yet the windows have different predictions")
    return OK, "scores and logits agree; " + ("one detector" if s.experiment.foreign else "no two windows are equal")


RULES: dict[str, Callable[[Submission], Found]] = {
    "windows": _windows,
    "balance": _balance,
    "order and pairing": _order,
    "labels": _labels,
    "scores and logits": _consistent,
    "mandatory steps": _mandatory,
    "training windows": _training,
    "copies": _copies,
}
"""Each gives ``ok`` or ``declared`` and what it found, or raises `InputError`."""
