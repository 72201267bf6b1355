"""A detector's self-test: small pictures that travel with it, and the logits that they had where it was made."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.inference.artefact import SELFTEST_FILE
from aigenbench.inference.detector import Detector
from aigenbench.models.weights.reading import read_safetensors

TOLERANCE = 1e-4
"""Of a logit, in float32: processors add up in different orders."""
_EXPECTED = "expected_logits"


@dataclass(frozen=True)
class Checked:
    """What a self-test found.

    Attributes:
        names: of the pictures.
        expected: logits where the detector was made, float64 (n,).
        found: logits here.
    """

    names: tuple[str, ...]
    expected: NDArray[np.float64]
    found: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """The largest of a logit."""
        return float(np.abs(self.expected - self.found).max())

    @property
    def passed(self) -> bool:
        """Whether it is within `TOLERANCE`."""
        return self.difference <= TOLERANCE


def check(detector: Detector) -> Checked:
    """Score the pictures that lie with a detector.

    Raises:
        InputError: the file of the self-test is none.
    """
    path = detector.path / SELFTEST_FILE
    content = read_safetensors(path)
    names = tuple(sorted(name for name in content if name != _EXPECTED))
    expected = content.get(_EXPECTED)
    whole = expected is not None and expected.dtype == torch.float64 and expected.shape == (len(names),)
    if not names or not whole or any(content[name].dtype != torch.uint8 for name in names):
        raise InputError(f"{path} holds no pictures with a logit each; get the detector again")
    found = detector.logits([content[name].numpy().tobytes() for name in names])
    return Checked(names, content[_EXPECTED].numpy(), found)


def write(folder: Path, pictures: Sequence[bytes], logits: NDArray[np.float64]) -> None:
    """Write pictures and what is expected of them."""
    content = {f"picture_{i}": torch.frombuffer(bytearray(data), dtype=torch.uint8) for i, data in enumerate(pictures)}
    save_file({**content, _EXPECTED: torch.from_numpy(logits)}, folder / SELFTEST_FILE)


def pictures(size: tuple[int, int], as_is: bool = False) -> list[bytes]:
    """Small pictures drawn by a formula, as files: one larger than the model's input, one smaller, one turned by EXIF.

    Args:
        size: (height, width) of the model's input.
        as_is: the model takes pictures as they are, so all are of that size.
    """
    height, width = size
    sizes = [size] * 3 if as_is else [(height + height // 3, width + width // 2), (height // 2 + 1, width), size]
    turned = Image.Exif()
    turned[0x0112] = 1 if as_is else 6
    files = []
    for i, one in enumerate(sizes):
        buffer = io.BytesIO()
        image = Image.fromarray(_drawn(i, one))
        image.save(buffer, "PNG") if i < 2 else image.save(buffer, "JPEG", exif=turned)
        files.append(buffer.getvalue())
    return files


def _drawn(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Waves of three directions, and a fine pattern, which generators leave too."""
    y, x = np.indices(size) / max(size)
    waves = [np.sin((3 + number) * (np.cos(k) * x + np.sin(k) * y) * 2 * np.pi + k) for k in range(3)]
    fine = (np.indices(size).sum(0) // (1 + number)) % 2
    return np.clip(np.stack(waves, axis=-1) * 90 + 120 + 12 * fine[..., None], 0, 255).astype(np.uint8)
