"""Detectors and pictures for the tests of the page: three greys that get the three verdicts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from made_detector import write_detector
from PIL import Image

REAL, UNSURE, GENERATED = 120, 185, 250
"""Grey values of pictures that get this verdict."""
BAND = (5.0, 5.55)


def two_detectors(folder: Path) -> list[Path]:
    """Two exported detectors of one name, the second of several crops."""
    return [write_detector(folder / strategy, strategy, BAND) for strategy in ("resize", "multicrop")]


def picture(grey: int, size: tuple[int, int] = (48, 64), kind: str = "PNG") -> bytes:
    """A plain picture's file; size is (height, width)."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(buffer, kind)
    return buffer.getvalue()
