"""One image after another in random order, out of Parquet shards as different writers leave them, and out of Arrow.

What is read of a shard for one image is the page that holds it; reading the whole row group by pyarrow stands beside.
Files are in the system's cache: on a disk or network, the bytes that are read count for more.

    python benchmarks/shards.py [--images 3000] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.data.sources.parquet_images import ParquetImages, open_shard
from claims import Results, parser

IMAGE_BYTES = 100_000
READ, READ_GROUPS = 200, 20
WRITTEN: dict[str, dict[str, Any]] = {
    "as datasets 5 writes": {
        "row_group_size": 1000,
        "use_dictionary": False,
        "compression": "none",
        "write_batch_size": 10,
    },
    "row groups of 100, a page each": {"row_group_size": 100},
    "row groups of 1,000, a page each": {"row_group_size": 1000},
}


def write(folder: Path, count: int) -> None:
    """Images of random bytes, as no compression makes less of them, in every form."""
    rng = np.random.default_rng(0)
    images = [{"bytes": rng.bytes(IMAGE_BYTES), "path": None} for _ in range(count)]
    table = pa.table({"image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    with pa.ipc.new_stream(str(folder / "saved.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=1000)
    for name, options in WRITTEN.items():
        pq.write_table(table, folder / f"{name}.parquet", **options)


def milliseconds(read: Callable[[int], Any], places: np.ndarray) -> float:
    """Milliseconds a call, the mean over ``places``."""
    started = time.perf_counter()
    for place in places.tolist():
        read(place)
    return 1000 * (time.perf_counter() - started) / len(places)


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=3000)
    options = arguments.parse_args()
    results = Results("shards", f"Images of {IMAGE_BYTES // 1000} kB in random order")
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.images)
        orders = [rng.permutation(options.images)[:READ] for _ in range(options.repeats)]
        saved = [milliseconds(ArrowImages([folder / "saved.arrow"]).read, order) for order in orders]
        results.claim("saved with save_to_disk", saved, "ms")
        for form in WRITTEN:
            path = folder / f"{form}.parquet"
            ours = [milliseconds(ParquetImages([open_shard(path)]).read, order) for order in orders]
            results.claim(form, ours, "ms")
            with pq.ParquetFile(path) as file:
                groups = [rng.integers(0, file.num_row_groups, READ_GROUPS) for _ in range(options.repeats)]
                whole = [
                    milliseconds(lambda g, file=file: file.read_row_group(g, ["image.bytes"]), one) for one in groups
                ]
            results.claim(f"{form}: the whole row group by pyarrow", whole, "ms")
    results.finish(options.json)


if __name__ == "__main__":
    main()
