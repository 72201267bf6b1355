"""Parquet shards: of many types and encodings, damaged as files, in their footers and in their pages."""

from __future__ import annotations

import io
import pickle
import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.arrow import GENERATORS, IMAGES, LABELS, SIZES
from fuzz.mutators import mutated, overwritten_number

# Arrow writes no views
WRITTEN_IMAGES = [kind for kind in IMAGES if "view" not in str(kind)]
WRITTEN_GENERATORS = [kind for kind in GENERATORS if "view" not in str(kind)]
COMPRESSIONS = ("none", "none", "snappy", "gzip", "zstd", "brotli", "lz4")


def make(folder: Path, rng: random.Random) -> None:
    """Write shards into ``folder`` and damage them."""
    count = rng.randint(1, 2)
    for k in range(count):
        data = _shard(rng)
        if rng.random() < 0.9:
            data = _damaged(data, rng)
        name = rng.choice(
            (f"train-{k:05d}-of-{count:05d}", f"train-{k:05d}-of-{count:05d}", f"train-{k}", "train", "x")
        )
        (folder / f"{name}.parquet").write_bytes(data)


def check(folder: Path) -> None:
    """Read everything that any command reads of shards."""
    from aigenbench.data.sources.opening import open_source
    from aigenbench.data.sources.parquet import open_parquet_images
    from aigenbench.data.sources.shards import tell_cost

    for table in (open_parquet_images(next(folder.iterdir())), *open_source(folder).splits.values()):
        _ = table.counts
        for name in table.columns:
            _ = table.columns[name]
        store = pickle.loads(pickle.dumps(table.store))
        for row in range(len(table)):
            for one in (table.store, store):
                # an image that cannot be read is told by who reads it
                with suppress(OSError):
                    one.read(row)
                with suppress(OSError):
                    one.name(row)
        tell_cost(table, folder)


def _shard(rng: random.Random) -> bytes:
    rows = rng.choice((0, 1, 3, 12, 40))
    fake = [rng.random() < 0.5 for _ in range(rows)]
    kind = rng.choice(IMAGES[:2] if rng.random() < 0.8 else WRITTEN_IMAGES)
    files = [rng.choice((None, rng.randbytes(rng.choice((0, 5, 40))))) for _ in fake]
    texts = [None if data is None else f"{i}.png" for i, data in enumerate(files)]
    pairs = [{"bytes": data, "path": text} for data, text in zip(files, texts, strict=True)]
    labels = ["fake" if one else "real" for one in fake]
    label, generator = rng.choice(LABELS), rng.choice(WRITTEN_GENERATORS)
    named = pa.types.is_string(label) or pa.types.is_dictionary(label)
    given = pairs if pa.types.is_struct(kind) else files if pa.types.is_binary(kind) else texts
    columns = {
        "image": pa.array(given, kind),
        "label": pa.array(labels, label) if named else pa.array([int(one) for one in fake]).cast(label),
        "generator": pa.array([int(one) for one in fake])
        if pa.types.is_integer(generator)
        else pa.array(["ADM" if one else "" for one in fake], generator),
        "height": pa.array(["1"] * rows).cast(rng.choice(SIZES)),
        "file_id": pa.array([f"id {i}" for i in range(rows)]),
    }
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        sink,
        row_group_size=rng.choice((3, 10, 100)),
        compression=rng.choice(COMPRESSIONS),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(("1.0", "2.0")),
        data_page_size=rng.choice((50, 1000)),
        write_batch_size=rng.choice((2, 100)),
        dictionary_pagesize_limit=rng.choice((60, 10_000)),
        store_schema=rng.random() < 0.7,
    )
    return sink.getvalue()


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """As any bytes; or the pages, or the footer, byte by byte: their numbers are of any length."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    match rng.randrange(4):
        case 0:
            return mutated(data, rng)
        case 1:
            return overwritten_number(data[:footer], rng) + data[footer:]
        case 2:
            start, end = 4, footer
        case _:
            start, end = footer, len(data) - 8
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if end > start:
            changed[rng.randrange(start, end)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)
