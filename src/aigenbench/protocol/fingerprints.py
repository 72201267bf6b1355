"""Short hashes that say whether two results were computed on the same protocol (protocol section 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.files import canonical_json
from aigenbench.protocol.timeline import Timeline

PROTOCOL_SCHEMA = 1
"""Raised whenever the meaning of a fingerprint's parts changes."""


def fingerprint(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def pairing_fingerprint(ids: npt.NDArray[np.integer], pairing: npt.NDArray[np.integer]) -> str:
    """Fingerprint of the evaluation ids in order and their pairing alone."""
    return fingerprint({"evaluation_ids": ids.tolist(), "pairing": pairing.tolist()})


def protocol_fingerprint(
    timeline: Timeline,
    windows: Sequence[Sequence[str]],
    benchmark_type: str,
    ids: npt.NDArray[np.integer],
    pairing: npt.NDArray[np.integer],
    mandatory_evaluation: Mapping[str, Any],
    augmentations_base_seed: int,
) -> str:
    """Fingerprint of everything that decides what is evaluated and on which pixels.

    Args:
        timeline: the generators used.
        windows: generator names of every window.
        benchmark_type: ``cumulative``, ``continual_learning`` or ``none``.
        ids: evaluation ids in order, int (n,).
        pairing: paired generator id of every id, -1 for a fake, int (n,).
        mandatory_evaluation: ``describe()`` of the mandatory evaluation recipe, its JPEG mode included.
        augmentations_base_seed: seed of the evaluation's draws.
    """
    return fingerprint(
        {
            "schema": PROTOCOL_SCHEMA,
            "timeline": timeline.describe(),
            "windows": [list(names) for names in windows],
            "benchmark_type": benchmark_type,
            "evaluation_ids": ids.tolist(),
            "pairing": pairing.tolist(),
            "mandatory_evaluation": mandatory_evaluation,
            "augmentations_base_seed": augmentations_base_seed,
        }
    )
