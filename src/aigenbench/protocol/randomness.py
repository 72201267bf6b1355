"""The counter-based generator every random draw of a sample comes from.

A sample is a function of its name: the same key gives the same numbers in any process, on any machine, in any
order of reading. The key is hashed to the 128 bits of a Philox generator; no global state is read or written.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np


def sample_key(
    base_seed: int,
    split: str,
    image_id: int,
    copy: int,
    stage: str,
    window: int | None = None,
    epoch: int | None = None,
) -> int:
    """The 128-bit key of one stage of one sample.

    Args:
        base_seed: ``augmentations_base_seed``.
        split: ``train``, ``validation`` or ``test``.
        image_id: row number within the split.
        copy: 0 .. ``augmentation_factor`` - 1.
        stage: which step of the pipeline draws, such as ``mandatory``.
        window: index of the window, for draws that must differ between windows.
        epoch: epoch within the window, likewise.
    """
    numbers = struct.pack(
        "<qqqqq", base_seed, image_id, copy, -1 if window is None else window, -1 if epoch is None else epoch
    )
    text = f"{len(split)}:{split}{len(stage)}:{stage}".encode()
    return int.from_bytes(hashlib.blake2b(numbers + text, digest_size=16).digest(), "little")


def sample_rng(
    base_seed: int,
    split: str,
    image_id: int,
    copy: int,
    stage: str,
    window: int | None = None,
    epoch: int | None = None,
) -> np.random.Generator:
    """A NumPy generator (Philox) for one stage of one sample; arguments as of ``sample_key``."""
    key = sample_key(base_seed, split, image_id, copy, stage, window, epoch)
    return np.random.Generator(np.random.Philox(key=key))
