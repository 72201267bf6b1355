"""Which image is which, whatever copy of the data it lies in (protocol section 4, Identity)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from aigenbench.protocol.fingerprints import fingerprint

Keys = npt.NDArray[np.uint64]


def image_keys(names: Iterable[str]) -> Keys:
    """The key of every image: the first 8 bytes of the SHA-256 of its name, little-endian; uint64 (n,)."""
    digests = (hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8] for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def data_fingerprint(keys: Keys, generators: Sequence[str]) -> str:
    """Fingerprint of a set of images, in whatever order they stand.

    Args:
        keys: of the images, (n,).
        generators: generator name of each, "" for a real.
    """
    return fingerprint(sorted([key, name] for key, name in zip(keys.tolist(), generators, strict=True)))


def training_fingerprint(keys: Keys) -> str:
    """Fingerprint of the images that a window trains on, in whatever order they stand."""
    return fingerprint(np.sort(keys).tolist())
