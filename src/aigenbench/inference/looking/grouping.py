"""Copies of one picture among those scored, and one verdict for all of them.

Two files are one picture by the rule of ``aigenbench data audit``: equal bytes; or perceptual hashes that differ in few
bits, and small grey copies that correlate (data/pictures/hashing.py).

A group's logit is the mean of the logits of its different files; bytes that stand there twice say nothing more. It lies
between those of the copies, so that one that was damaged most on its way does not decide alone. The error rates of the
verdict were measured on single pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aigenbench.data.pictures.decode import Pixels
from aigenbench.data.pictures.hashing import LEAST_CONTRAST, SIDE, perceptual_hash, same_pictures, small_grey

if TYPE_CHECKING:
    from aigenbench.inference.detector import Detector, Verdict


class Print(NamedTuple):
    """What a picture is recognised by: some 1.1 kB.

    Attributes:
        sha256: of the file's bytes.
        hash: perceptual hash.
        small: the small grey picture's bytes.
    """

    sha256: bytes
    hash: int
    small: bytes


@dataclass(frozen=True)
class Group:
    """Files that show one picture.

    Attributes:
        members: their places in what was given, in order.
        logit: the mean over different files.
        probability: calibrated, of that.
        verdict: of that.
    """

    members: tuple[int, ...]
    logit: float
    probability: float
    verdict: Verdict


def fingerprint(data: bytes, image: Pixels) -> Print:
    """What a picture is recognised by.

    Args:
        data: the file's bytes.
        image: its pixels, uint8 (h, w, 3), RGB.
    """
    small = small_grey(image)
    return Print(hashlib.sha256(data).digest(), perceptual_hash(small), small.tobytes())


def grouped(detector: Detector, prints: Sequence[Print], logits: Sequence[float]) -> list[Group]:
    """Groups of two or more files that show one picture, in the order of their first members.

    Args:
        detector: that gave the logits.
        prints: one a picture.
        logits: likewise.
    """
    if not prints:
        return []
    groups = []
    for members in _same_pictures(prints):
        different = {prints[member].sha256: logits[member] for member in members}
        logit = float(np.mean(list(different.values())))
        probability = float(detector.info.calibration.probability(logit))
        groups.append(Group(members, logit, probability, detector.verdict(logit)))
    return groups


def _same_pictures(prints: Sequence[Print]) -> list[tuple[int, ...]]:
    small = np.frombuffer(b"".join(one.small for one in prints), np.uint8).reshape(-1, SIDE, SIDE)
    return same_pictures(
        np.array([one.sha256 for one in prints], dtype="S32"),
        np.array([one.hash for one in prints], dtype=np.uint64),
        small,
        # what shows nothing could be any other such picture
        small.std(axis=(1, 2)) >= LEAST_CONTRAST,
    )
