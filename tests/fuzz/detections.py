"""``aigenbench detect`` on damaged and hostile picture files: an answer or an error row for each."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from made_detector import write_detector
from PIL import Image

from fuzz import file_facts, pictures
from fuzz.picture_damage import chunk


def cases(rng: np.random.Generator) -> Iterator[bytes]:
    """A file: nearly always a damaged picture, else a whole one, one with notes, a bomb, or none at all."""
    while True:
        how = rng.random()
        if how < 0.8:
            yield next(pictures.cases(rng)).data
        elif how < 0.985:
            yield next(file_facts.cases(rng))
        else:
            yield HOSTILE[rng.integers(len(HOSTILE))]()


def black_png(width: int, height: int) -> bytes:
    """A whole file of one bit a pixel."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(6)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    """Three frames, of which the first is read."""
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def stored(mode: str, size: tuple[int, int], kind: str) -> bytes:
    """One colour."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


HOSTILE = (
    bytes,
    lambda: b"\0" * 5000,
    functools.partial(black_png, 20_000, 20_000),
    functools.partial(black_png, 11_000, 11_000),
    functools.partial(black_png, 1, 70_000),
    functools.partial(black_png, 70_000, 1),
    functools.partial(stored, "RGB", (8000, 6000), "JPEG"),
    functools.partial(stored, "CMYK", (3000, 2000), "JPEG"),
    functools.partial(stored, "RGBA", (3000, 2000), "PNG"),
    functools.partial(stored, "I;16", (3000, 2000), "PNG"),
    functools.partial(stored, "RGB", (7000, 7000), "WEBP"),
    *(functools.partial(animated, kind) for kind in ("GIF", "PNG", "WEBP")),
)
"""Made only when drawn: some take a second."""


@functools.cache
def _detector() -> Path:
    return write_detector(Path(tempfile.mkdtemp(prefix="fuzz_detections")) / "detector")


def check(data: bytes) -> None:
    """Give a file to the command, with all that can be asked but maps.

    Raises:
        AssertionError: not one row, or one that has neither a verdict nor an error.
    """
    from aigenbench.cli import main

    detector = _detector()
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as here, contextlib.redirect_stdout(said):
        path = Path(here) / "one"
        path.write_bytes(data)
        # of a large picture, what `all` does is done to three of a hundred alone
        asked = ["--stability", "all", "--group"] if len(data) < 20_000 else []
        code = main(["detect", str(path), "--detector", str(detector), "--format", "jsonl", "--metadata", *asked])
    (row,) = map(json.loads, said.getvalue().splitlines())
    assert code == (row["error"] is not None)
    assert (row["verdict"] is None) == (row["error"] is not None)
    assert row["verdict"] is None or np.isfinite(row["logit"])
