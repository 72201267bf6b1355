"""Checkpoints and files of weights, damaged: torch's archives member by member, safetensors by header and size."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from fuzz.mutators import ODD_NUMBERS, mutated

IMPORTS = ("aigenbench.training.loop.predicting", "safetensors.torch")

NAMES = ("a.ckpt", "a.pt", "a.safetensors", "weights")
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64)
ODD: tuple[Any, ...] = (None, "", "x", -1, 10**30, float("nan"), [], {}, [[1]], {"a": None}, torch.zeros(2), True, b"x")
SCHEMA = {"schema": 1, "model_name": "small_cnn_tune", "window": 0, "epochs": 1, "description": {"model": {}}}


def make(folder: Path, rng: random.Random) -> None:
    """Write one file into ``folder``."""
    writer = rng.choice((_archive, _archive, _old, _safetensors, _safetensors))
    data = writer(rng)
    if rng.random() < 0.3:
        data = mutated(data, rng)
    (folder / rng.choice(NAMES)).write_bytes(data)


def check(folder: Path) -> None:
    """Read it in every way a command does; it is told where none gives a result."""
    from aigenbench.errors import InputError
    from aigenbench.models.weights.contents import metadata_of
    from aigenbench.models.weights.kinds import Kind, kind_of
    from aigenbench.models.weights.reading import check_finite, read_weights
    from aigenbench.training.loop.predicting import description_of_weights, find_weights

    (path,) = folder.iterdir()

    def weights() -> None:
        check_finite(read_weights(path), (), str(path))
        if kind_of(path) is Kind.SAFETENSORS:
            metadata_of(path)

    def checkpoint() -> None:
        found = find_weights(path)
        _ = found.window, found.trained, found.name
        description_of_weights(found)

    told: list[InputError] = []
    readings = (weights, checkpoint)
    for reading in readings:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reading()
        except InputError as error:
            told.append(error)
    if len(told) == len(readings):
        raise told[0]


def _state(rng: random.Random) -> dict[str, torch.Tensor]:
    state = OrderedDict()
    for i in range(rng.choice((0, 1, 3))):
        shape = [rng.choice((0, 1, 3)) for _ in range(rng.randrange(3))]
        state[f"layer.{i}"] = torch.zeros(shape, dtype=rng.choice(DTYPES))
    return state


def _record(rng: random.Random) -> Any:
    state = _state(rng)
    record: Any = rng.choice((state, {"state_dict": state}, {**SCHEMA, "state_dict": state}))
    if isinstance(record, dict) and rng.random() < 0.4:
        record = dict(record)
        record[rng.choice([*record, "trained", "preprocessing", 7, ("a", 1)])] = rng.choice(ODD)
    return rng.choice(ODD) if rng.random() < 0.05 else record


def _archive(rng: random.Random) -> bytes:
    """A file of ``torch.save``, its members exchanged, lied about or compressed."""
    sink = io.BytesIO()
    torch.save(_record(rng), sink)
    if rng.random() < 0.15:
        return sink.getvalue()
    with zipfile.ZipFile(sink) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(members))
        name, data = members[at]
        match rng.randrange(7):
            case 0 | 1 | 2:
                # the pickle is where most can go wrong
                at = next((i for i, (one, _) in enumerate(members) if one.endswith("data.pkl")), at)
                members[at] = members[at][0], _damaged_pickle(members[at][1], rng)
            case 3:
                members[at] = name, mutated(data, rng)
            case 4:
                members[at] = rng.choice(("archive/../../x", "/etc/x", " ", "a/data/0", "archive/code/x.py", "é")), data
            case 5:
                members.append(members[at] if rng.random() < 0.5 else ("archive/extra", b"x" * rng.choice((0, 10**6))))
            case 6:
                members.pop(at)
        if not members:
            break
    return _zipped(members, rng)


def _damaged_pickle(data: bytes, rng: random.Random) -> bytes:
    how = rng.random()
    if how < 0.5 or not data:
        return mutated(data, rng)
    if how < 0.8:
        # one opcode or byte of an argument is another
        at = rng.randrange(len(data))
        return (
            data[:at]
            + bytes([rng.choice((*b".(]})tRcqQhXKMJI0\x85\x86\x87\x8a\x8b", rng.randrange(256)))])
            + data[at + 1 :]
        )
    if how < 0.9:
        return pickle.dumps(
            rng.choice((print, Path("x"), 10**5000, [[]] * 100, {1: {2: 3}}, complex(1, 2))), protocol=2
        )
    return b"\x80\x02" + rng.choice(
        (b"(" * 10_000, b"]" * 100_000 + b"a" * 99_999 + b".", b"X\xff\xff\xff\x7fabc", b"\x8b\xff\xff\xff\x7f")
    )


def _zipped(members: list[tuple[str, bytes]], rng: random.Random) -> bytes:
    sink = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED,) * 6 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with warnings.catch_warnings(), zipfile.ZipFile(sink, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, data in members:
            archive.writestr(name, data)
    data = sink.getvalue()
    if rng.random() < 0.3:
        # the directory says something else than what is there
        at = data.find(b"PK\x01\x02")
        place = at + rng.choice((8, 10, 16, 20, 24, 28, 30, 32, 42)) if at >= 0 else 0
        data = data[:place] + struct.pack("<I", rng.choice(ODD_NUMBERS) % 2**32) + data[place + 4 :]
    return data


def _old(rng: random.Random) -> bytes:
    """The format of ``torch.save`` before 1.6, and plain pickles."""
    sink = io.BytesIO()
    torch.save(_record(rng), sink, _use_new_zipfile_serialization=False)
    return _damaged_pickle(sink.getvalue(), rng) if rng.random() < 0.8 else sink.getvalue()


def _safetensors(rng: random.Random) -> bytes:
    data = save(_state(rng), metadata=rng.choice((None, {"model": "x"})))
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    for _ in range(rng.randint(0, 2)):
        key = rng.choice([*header, "new"])
        entry = header.get(key)
        if not isinstance(entry, dict) or rng.random() < 0.2:
            header[key] = rng.choice((None, [], "x", 1, {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}))
            continue
        field = rng.choice(("dtype", "shape", "data_offsets", "extra"))
        odd: list[Any] = [
            None,
            "F32",
            "F8_E4M3",
            "X",
            [],
            [-1],
            [2**62, 4],
            [0, 2**63],
            [2**70],
            [8, 0],
            ["a", "b"],
            [0, 4.0],
            1,
        ]
        entry[field] = rng.choice(odd)
    text = (
        rng.choice((json.dumps(header), json.dumps(header).replace("{", "{{", 1), "[" * 5000, "{" * 70_000))
        if rng.random() < 0.2
        else json.dumps(header)
    )
    size = len(text) if rng.random() < 0.85 else rng.choice(ODD_NUMBERS)
    return struct.pack("<Q", size % 2**64) + text.encode() + body
