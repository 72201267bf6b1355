"""A data set of any number of rows in the benchmark's layout, in seconds: few distinct, tiny images, many rows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from aigenbench.protocol.timeline import PUBLISHED

TRUE_SIZE = {"train": 4000, "validation": 1000}
"""Fakes of each generator in the published data set; there are as many reals as fakes."""
DISTINCT = 64
SIDE = 64
BATCH_ROWS = 1000
ORIGINS = {"train": (83_084, 55_618, 5_298), "validation": (12_074, 23_862, 64)}
ORIGIN_NAMES = ("COCO", "LAION-400M", "RAISE", "generated")
SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "height": pa.uint32(),
        "width": pa.uint32(),
        "label": pa.int64(),
        "generator": pa.string(),
        "file_id": pa.string(),
        "description": pa.string(),
        "origin_dataset": pa.string(),
    }
)


def make_data(folder: Path, per_generator: dict[str, int]) -> None:
    """Write a saved data set with all 36 generators.

    Args:
        folder: to be made.
        per_generator: number of fakes of each generator, by split.
    """
    folder.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(per_generator)}), encoding="utf-8")
    for seed, (split, count) in enumerate(per_generator.items()):
        (folder / split).mkdir()
        _write_split(folder / split, split, count, np.random.default_rng(seed))


def _write_split(folder: Path, split: str, count: int, rng: np.random.Generator) -> None:
    generators = rng.permutation(np.repeat(np.arange(37), [36 * count, *[count] * 36]))
    share = np.array(ORIGINS[split]) / sum(ORIGINS[split])
    origins = np.where(generators > 0, 3, rng.choice(3, len(generators), p=share))
    images = pa.array(tiny_images(rng), pa.binary())
    names = pa.array(["", *sorted(PUBLISHED.names)])
    file = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / file), "wb") as stream, pa.ipc.new_stream(stream, SCHEMA) as writer:
        for start in range(0, len(generators), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            rows = range(start, min(start + BATCH_ROWS, len(generators)))
            writer.write_batch(_batch(rows, generators[part], origins[part], images, names, split))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}), encoding="utf-8")


def _batch(
    rows: Sequence[int], generators: np.ndarray, origins: np.ndarray, images: pa.Array, names: pa.Array, split: str
) -> pa.RecordBatch:
    n = len(rows)
    bytes_ = images.take(pa.array([row % DISTINCT for row in rows]))
    paths = pa.array([f"{row:07d}.jpg" for row in rows])
    side = pa.array(np.full(n, SIDE, dtype=np.uint32))
    return pa.record_batch(
        [
            pa.StructArray.from_arrays([bytes_, paths], ["bytes", "path"]),
            side,
            side,
            pa.array((generators > 0).astype(np.int64)),
            names.take(pa.array(generators)),
            pa.array([f"made-up/{split}/{row:032d}" for row in rows]),
            pa.array([f"row {row}: a description as long as those that people write of pictures" for row in rows]),
            pa.array(ORIGIN_NAMES).take(pa.array(origins)),
        ],
        schema=SCHEMA,
    )


def tiny_images(rng: np.random.Generator) -> list[bytes]:
    """Distinct JPEG files."""
    files = []
    for _ in range(DISTINCT):
        buffer = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files
