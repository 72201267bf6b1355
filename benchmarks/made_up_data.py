"""A data set of any number of rows in the benchmark's layout, in seconds: few distinct, tiny images, many rows."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from aigenbench.protocol.timeline import PUBLISHED

TRUE_SIZE = {"train": 4000, "validation": 1000}
"""Fakes of each generator in the published data set; there are as many reals as fakes."""
DISTINCT = 64
SIDE = 64
BATCH_ROWS = 1000
SHARD_ROWS, GROUP_ROWS = 2500, 100
"""Of the published Parquet shards, and of the row groups that `datasets` wrote in its versions up to 3."""
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


IMPORTED = pa.schema([*SCHEMA, ("license", pa.string()), ("sha256", pa.string())])
"""What `data import` writes."""


def make_shards(folder: Path, saved: Path) -> None:
    """Write a saved data set's rows as Parquet shards, as the Hugging Face hub has them."""
    folder.mkdir()
    for split in json.loads((saved / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]:
        table = pa.ipc.open_stream(pa.memory_map(str(saved / split / "data-00000-of-00001.arrow"))).read_all()
        count = -(-len(table) // SHARD_ROWS)
        for k in range(count):
            file = folder / f"{split}-{k:05d}-of-{count:05d}.parquet"
            pq.write_table(table.slice(k * SHARD_ROWS, SHARD_ROWS), file, row_group_size=GROUP_ROWS)


def make_data(folder: Path, per_generator: dict[str, int], schema: pa.Schema = SCHEMA) -> None:
    """Write a saved data set with all 36 generators.

    Args:
        folder: to be made.
        per_generator: number of fakes of each generator, by split.
        schema: its columns, `SCHEMA` or `IMPORTED`.
    """
    folder.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(per_generator)}), encoding="utf-8")
    for seed, (split, count) in enumerate(per_generator.items()):
        (folder / split).mkdir()
        _write_split(folder / split, split, count, np.random.default_rng(seed), schema)


def _write_split(folder: Path, split: str, count: int, rng: np.random.Generator, schema: pa.Schema) -> None:
    generators = rng.permutation(np.repeat(np.arange(37), [36 * count, *[count] * 36]))
    share = np.array(ORIGINS[split]) / sum(ORIGINS[split])
    origins = np.where(generators > 0, 3, rng.choice(3, len(generators), p=share))
    images = pa.array(tiny_images(rng), pa.binary())
    names = pa.array(["", *sorted(PUBLISHED.names)])
    file = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / file), "wb") as stream, pa.ipc.new_stream(stream, schema) as writer:
        for start in range(0, len(generators), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            rows = range(start, min(start + BATCH_ROWS, len(generators)))
            batch = _batch(rows, generators[part], origins[part], images, names, split)
            writer.write_batch(batch.select(schema.names))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}), encoding="utf-8")


def _batch(
    rows: Sequence[int], generators: np.ndarray, origins: np.ndarray, images: pa.Array, names: pa.Array, split: str
) -> pa.RecordBatch:
    n = len(rows)
    bytes_ = images.take(pa.array([row % DISTINCT for row in rows]))
    paths = pa.array([f"{row:07d}.jpg" for row in rows])
    side = pa.array(np.full(n, SIDE, dtype=np.uint32))
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in rows]
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
            pa.array(["CC BY 4.0"] * n),
            pa.array(digests),
        ],
        schema=IMPORTED,
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
