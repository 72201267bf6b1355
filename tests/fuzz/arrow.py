"""Saved data sets: Arrow streams of many types, and the JSON beside them, damaged."""

from __future__ import annotations

import json
import pickle
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fuzz.mutators import ODD_NUMBERS, mutated, overwritten_number

IMAGES = (
    pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]),
    pa.struct([("path", pa.string_view()), ("bytes", pa.binary_view())]),
    pa.struct([("path", pa.dictionary(pa.int8(), pa.string())), ("bytes", pa.binary())]),
    pa.binary(),
    pa.string(),
)
LABELS = (
    pa.int64(),
    pa.int8(),
    pa.uint64(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.dictionary(pa.int8(), pa.string()),
)
GENERATORS = (
    *(pa.string(), pa.large_string(), pa.string_view(), pa.int64()),
    *(pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string())),
)
SIZES = (pa.uint32(), pa.float64(), pa.int8(), pa.string())


def make(folder: Path, rng: random.Random) -> None:
    """Write a data set into ``folder`` and damage it."""
    (folder / "train").mkdir()
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    state = {"_data_files": [{"filename": f"{i}.arrow"} for i in range(rng.randint(1, 2))]}
    (folder / "train" / "state.json").write_text(json.dumps(state))
    features = {"generator": {"names": ["", "ADM"]}, "label": {"names": ["real", "fake"]}}
    if rng.random() < 0.6:
        (folder / "train" / "dataset_info.json").write_text(json.dumps({"features": features}))
    for entry in state["_data_files"]:
        data = _stream(rng, features)
        if rng.random() < 0.9:
            data = _damaged_stream(data, rng)
        (folder / "train" / entry["filename"]).write_bytes(data)
    if rng.random() < 0.15:
        path = rng.choice(sorted(folder.rglob("*.json")))
        path.write_bytes(rng.choice((mutated, _odd_json))(path.read_bytes(), rng))


def check(folder: Path) -> None:
    """Read everything that any command reads of a data set."""
    from aigenbench.data.sources.arrow import open_evaluation_images
    from aigenbench.data.sources.mark import is_synthetic
    from aigenbench.data.sources.opening import open_source

    is_synthetic(folder)
    for table in (*open_source(folder).splits.values(), open_evaluation_images(folder / "train")):
        _ = table.counts
        for name in table.columns:
            _ = table.columns[name]
        table.store.sizes()
        store = pickle.loads(pickle.dumps(table.store))
        for row in range(len(table)):
            for one in (table.store, store):
                one.name(row)
                # an image that cannot be read is told by who reads it
                with suppress(OSError):
                    bytes(one.read(row))


def _stream(rng: random.Random, features: dict[str, Any]) -> bytes:
    rows = rng.choice((0, 1, 3, 12))
    fake = [rng.random() < 0.5 for _ in range(rows)]
    columns = {
        "image": _images(rng.choice(IMAGES), rows, rng),
        "label": _labels(rng.choice(LABELS), fake),
        "generator": _generators(rng.choice(GENERATORS), fake),
        "height": pa.array(["1"] * rows).cast(rng.choice(SIZES)),
    }
    if rng.random() < 0.3:
        columns["origin_dataset"] = pa.array(["COCO"] * rows)
        columns["file_id"] = pa.array([f"id {i}" for i in range(rows)])
    if rng.random() < 0.05:
        columns[rng.choice(list(columns))] = rng.choice(
            (pa.array([[1]] * rows, pa.list_(pa.int32())), pc.run_end_encode(pa.array([""] * rows)))
        )
    if rows and rng.random() < 0.3:
        name = rng.choice(("image", "generator", "height"))
        columns[name] = _with_a_gap(columns[name])
    table = pa.table(columns)
    if rng.random() < 0.5:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=rng.choice((None, None, None, "lz4", "zstd")))
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table, max_chunksize=rng.choice((2, 5, 100)))
    return sink.getvalue().to_pybytes()


def _images(kind: pa.DataType, rows: int, rng: random.Random) -> pa.Array:
    data = [rng.randbytes(rng.choice((0, 5, 40))) for _ in range(rows)]
    if pa.types.is_struct(kind):
        return pa.array([{"bytes": one, "path": f"{i}.png"} for i, one in enumerate(data)], kind)
    return pa.array(data if kind == pa.binary() else [f"/nowhere/{i}.png" for i in range(rows)], kind)


def _labels(kind: pa.DataType, fake: list[bool]) -> pa.Array:
    if kind == pa.string() or pa.types.is_dictionary(kind):
        return pa.array(["fake" if one else "real" for one in fake], kind)
    return pa.array([int(one) for one in fake]).cast(kind)


def _generators(kind: pa.DataType, fake: list[bool]) -> pa.Array:
    if pa.types.is_integer(kind):
        return pa.array([int(one) for one in fake], kind)
    return pa.array(["ADM" if one else "" for one in fake], kind)


def _with_a_gap(column: pa.Array) -> pa.Array:
    if pa.types.is_run_end_encoded(column.type):
        return column
    return pa.concat_arrays([column[:-1], pa.nulls(1, column.type)])


def _damaged_stream(data: bytes, rng: random.Random) -> bytes:
    """As any bytes, or message by message."""
    if rng.random() < 0.5:
        return mutated(data, rng)
    messages = _messages(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(messages))
        head, body = messages[at]
        match rng.randrange(6):
            case 0:
                messages[at] = overwritten_number(head, rng), body
            case 1 | 2 | 3:
                messages[at] = head, overwritten_number(body, rng)
            case 4:
                messages.insert(rng.randrange(len(messages) + 1), messages[rng.randrange(len(messages))])
            case 5:
                del messages[at]
        if not messages:
            break
    return b"".join(head + body for head, body in messages)


def _messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """Metadata (with its length) and body of every message of a whole stream."""
    reader = pa.BufferReader(data)
    found, start = [], 0
    while True:
        try:
            message = pa.ipc.read_message(reader)
        except EOFError:
            return [*found, (data[start:], b"")]
        body = message.body.size if message.body is not None else 0
        end = reader.tell()
        found.append((data[start : end - body], data[end - body : end]))
        start = end


def _odd_json(data: bytes, rng: random.Random) -> bytes:
    """Valid JSON in which one value is another."""
    content = json.loads(data)
    odd = (None, [], {}, "", "../x", "/dev/zero", -1, 1e400, float("nan"), *ODD_NUMBERS, [[[]]], {"names": None}, ["x"])
    places = [content]
    for place in places:
        places += [v for v in (place.values() if isinstance(place, dict) else place) if isinstance(v, dict | list)]
    place = rng.choice([one for one in places if one])
    key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
    place[key] = rng.choice(odd)
    return json.dumps(content).encode()
