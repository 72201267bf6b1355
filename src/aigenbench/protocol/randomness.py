"""The counter-based generator every random draw of a sample comes from.

A sample is a function of its name: the same key gives the same numbers in any process, on any machine, in any
order of reading. The key is hashed to the 128 bits of a Philox generator; no global state is read or written.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10


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


def first_uniforms(
    base_seed: int,
    split: str,
    image_ids: npt.NDArray[np.int64],
    copies: npt.NDArray[np.int64],
    stage: str,
    window: int | None = None,
    epoch: int | None = None,
) -> npt.NDArray[np.float64]:
    """The first two uniforms in [0, 1) that ``sample_rng`` of each sample draws, all samples at once.

    Philox-4x64 with ten rounds over arrays: a fraction of the time that making a generator for each sample takes.

    Args:
        base_seed: as of ``sample_key``, like the others.
        split: one for all.
        image_ids: int64 (n,).
        copies: int64 (n,).
        stage: one for all.
        window: one for all.
        epoch: one for all.

    Returns:
        float64 (n, 2).
    """
    numbers = np.empty((len(image_ids), 5), dtype="<i8")
    numbers[:, 0], numbers[:, 1], numbers[:, 2] = base_seed, image_ids, copies
    numbers[:, 3], numbers[:, 4] = -1 if window is None else window, -1 if epoch is None else epoch
    packed, text = numbers.tobytes(), f"{len(split)}:{split}{len(stage)}:{stage}".encode()
    digests = b"".join(
        hashlib.blake2b(packed[at : at + 40] + text, digest_size=16).digest() for at in range(0, len(packed), 40)
    )
    keys = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    return (_philox(keys)[:, :2] >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _philox(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The first block of NumPy's Philox for each key: uint64 (n, 2) to (n, 4)."""
    key = [keys[:, 0].copy(), keys[:, 1].copy()]
    zero = np.zeros(len(keys), dtype=np.uint64)
    # NumPy counts up before it draws
    words = [zero + np.uint64(1), zero, zero, zero]
    for _ in range(_ROUNDS):
        (high_0, low_0), (high_1, low_1) = (_product(words[2 * i], _MULTIPLIERS[i]) for i in range(2))
        words = [high_1 ^ words[1] ^ key[0], low_1, high_0 ^ words[3] ^ key[1], low_0]
        key = [key[i] + np.uint64(_WEYL[i]) for i in range(2)]
    return np.stack(words, axis=1)


def _product(values: npt.NDArray[np.uint64], factor: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """High and low 64 bits of the 128-bit products."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low = values >> half, values & mask
    b_high, b_low = np.uint64(factor >> 32), np.uint64(factor & 0xFFFFFFFF)
    low, middle = a_low * b_low, a_high * b_low
    middle = middle + (low >> half)
    other = a_low * b_high + (middle & mask)
    return a_high * b_high + (middle >> half) + (other >> half), values * np.uint64(factor)
