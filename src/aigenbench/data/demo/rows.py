"""Which pictures the demo data set holds, and how each of them is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from aigenbench.data.demo import camera
from aigenbench.data.demo.generators import StandIn, stand_in
from aigenbench.data.demo.scenes import render_scene
from aigenbench.protocol.randomness import sample_rng
from aigenbench.protocol.timeline import PUBLISHED

_FORMATS = {"jpeg": ("jpg", 0.6), "png": ("png", 0.25), "webp": ("webp", 0.15)}
_ORIGINS = {"demo-street": 0.58, "demo-web": 0.38, "demo-raw": 0.04}
_ASPECTS = (1.0, 1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3)


@dataclass(frozen=True)
class File:
    """The outside of a picture, which says nothing about whether it is fake.

    Attributes:
        height: in pixels.
        width: in pixels.
        image_format: ``jpeg``, ``png`` or ``webp``.
        quality: of the file's compression.
        history: quality of a JPEG the picture went through earlier, 0 for none.
    """

    height: int
    width: int
    image_format: str
    quality: int
    history: int


@dataclass(frozen=True)
class Row:
    """One row to be made.

    Attributes:
        split: ``train`` or ``validation``.
        index: row number within it.
        file: the outside of the picture.
        maker: -1 for a camera, else the generator's place on the timeline.
        generator: its name, where it is not on the published timeline.
    """

    split: str
    index: int
    file: File
    maker: int
    generator: str = ""


def _draw_files(rng: np.random.Generator, count: int) -> list[File]:
    names, shares = list(_FORMATS), [share for _, share in _FORMATS.values()]
    files = []
    for _ in range(count):
        side = np.exp(rng.uniform(np.log(104), np.log(208))) if rng.random() < 0.97 else rng.uniform(224, 360)
        stretch = np.sqrt(rng.choice(_ASPECTS))
        height, width = (max(96, round(float(s))) for s in (side / stretch, side * stretch))
        history = int(rng.integers(75, 98)) if rng.random() < 0.5 else 0
        image_format = str(rng.choice(names, p=shares))
        files.append(File(height, width, image_format, int(rng.integers(75, 98)), history))
    return files


def plan_split(split: str, n_generators: int, per_generator: int, seed: int) -> list[Row]:
    """The rows of a split: as many reals as fakes, reals first, then the fakes by release date.

    Reals and fakes get the same files (sizes, formats, qualities), dealt out anew: these tell nothing.
    """
    rng = sample_rng(seed, split, 0, 0, "demo files")
    files = _draw_files(rng, n_generators * per_generator)
    reals = [Row(split, i, files[j], -1) for i, j in enumerate(rng.permutation(len(files)).tolist())]
    fakes = [Row(split, len(files) + i, file, i // per_generator) for i, file in enumerate(files)]
    return reals + fakes


def plan_extension(split: str, names: Sequence[str], first: int, per_generator: int, seed: int) -> list[Row]:
    """Further rows of a split from row number ``first`` on: for every generator of ``names`` its reals, then its fakes.

    What ``plan_split`` gives stays as it is.
    """
    rows: list[Row] = []
    for place, name in enumerate(names, len(PUBLISHED.names)):
        rng = sample_rng(seed, split, place, 0, "demo files")
        files = _draw_files(rng, per_generator)
        ordered = [(files[j], -1, "") for j in rng.permutation(len(files)).tolist()]
        ordered += [(file, place, name) for file in files]
        rows += [Row(split, first + len(rows) + i, *one) for i, one in enumerate(ordered)]
    return rows


@lru_cache(maxsize=256)
def _maker(place: int, name: str) -> StandIn:
    return stand_in(name or PUBLISHED.names[place], place)


def make_row(row: Row, seed: int) -> dict[str, Any]:
    """Draw, photograph or forge, and compress one picture.

    Returns:
        The columns of protocol section 1; ``image`` as ``{"bytes": ..., "path": ...}``.
    """
    rng = sample_rng(seed, row.split, row.index, 0, "demo picture")
    file = row.file
    scene, description = render_scene(rng, file.height, file.width)
    picture, noise = camera.photograph(rng, scene)
    if row.maker < 0:
        generator, origin = "", str(rng.choice(list(_ORIGINS), p=list(_ORIGINS.values())))
        image = picture + noise
    else:
        maker = _maker(row.maker, row.generator)
        generator, origin = maker.name, "demo-generated"
        image = maker.forge(rng, picture, noise)
    pixels = camera.to_pixels(image)
    if file.history:
        pixels = camera.recompress(pixels, file.history)
    file_id = f"demo/{seed}/{row.split}/{row.index:06d}"
    return {
        "image": {
            "bytes": camera.encode(pixels, file.image_format, file.quality),
            "path": f"{row.index:06d}.{_FORMATS[file.image_format][0]}",
        },
        "height": file.height,
        "width": file.width,
        "label": int(row.maker >= 0),
        "generator": generator,
        "file_id": file_id,
        "description": description,
        "positive_prompt": "",
        "negative_prompt": "",
        "conditioning": "",
        "origin_dataset": origin,
        "paired_real_images": [],
    }


def make_rows(rows: list[Row], seed: int) -> list[dict[str, Any]]:
    """``make_row`` for each of ``rows``, on one core."""
    cv2.setNumThreads(1)
    return [make_row(row, seed) for row in rows]
