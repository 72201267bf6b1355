"""The files that a data set saved by Hugging Face ``datasets`` consists of, written with pyarrow alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aigenbench.data.sources.mark import INFO_FILE
from aigenbench.files import write_json

TEXT_COLUMNS = (
    "generator",
    "file_id",
    "description",
    "positive_prompt",
    "negative_prompt",
    "conditioning",
    "origin_dataset",
)

Features = dict[str, Any]


def features_of(*more_texts: str) -> Features:
    """The columns of protocol section 1 as ``datasets`` describes them, and further columns of text."""
    return {
        "image": {"_type": "Image"},
        "height": {"dtype": "uint32", "_type": "Value"},
        "width": {"dtype": "uint32", "_type": "Value"},
        "label": {"names": ["real", "fake"], "_type": "ClassLabel"},
        **{name: {"dtype": "string", "_type": "Value"} for name in TEXT_COLUMNS},
        # the one list feature that every supported version of `datasets` reads
        "paired_real_images": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "LargeList"},
        **{name: {"dtype": "string", "_type": "Value"} for name in more_texts},
    }


@contextmanager
def data_file(path: Path, features: Features) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A new Arrow stream file; gives a function that appends rows, together at most 2 GiB, as one batch."""
    import pyarrow as pa

    types = {"uint32": pa.uint32(), "string": pa.string()}
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    special = {"image": picture, "label": pa.int64(), "paired_real_images": pa.large_list(pa.string())}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema({n: special.get(n) or types[f["dtype"]] for n, f in features.items()}, metadata=metadata)
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_stream(stream, schema) as writer:
        yield lambda rows: writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def data_file_name(number: int, of: int) -> str:
    """The name of a split's file number ``number`` of ``of``."""
    return f"data-{number:05d}-of-{of:05d}.arrow"


def write_split_info(
    folder: Path, split: str, files: Sequence[str], identity: str, description: str, features: Features
) -> None:
    """Write what stands beside a split's data files.

    Args:
        folder: of the split.
        split: its name.
        files: names of the data files, in order.
        identity: what the content is a function of.
        description: what the data set says of itself.
        features: of its columns.
    """
    write_json(
        folder / INFO_FILE,
        {"features": features, "citation": "", "description": description, "homepage": "", "license": ""},
    )
    write_json(
        folder / "state.json",
        {
            "_data_files": [{"filename": name} for name in files],
            "_fingerprint": hashlib.sha256(identity.encode()).hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        },
    )
