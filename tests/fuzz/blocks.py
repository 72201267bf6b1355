"""Stores of computed rows: block files, identities and what else may lie in their folder, damaged."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.mutators import ODD_NUMBERS, mutated

KEYS = np.arange(0, 60, 3)
SHAPE = (3, 5)
PAGE = 4096
ODD: tuple[Any, ...] = (None, True, [], {}, "", "x", -1, 0.5, float("nan"), float("inf"), 10**400, [[[]]], *ODD_NUMBERS)


def make(folder: Path, rng: random.Random) -> None:
    """Write a store into ``folder`` and damage some of it."""
    store = _store(folder)
    for block in store.blocks_for(KEYS, 8):
        block.write(_rows(block.keys))
    for path in rng.sample(sorted(store.folder.iterdir()), rng.randint(1, 3)):
        if path.suffix == ".json":
            path.write_bytes(
                _odd_json(path.read_bytes(), rng) if rng.random() < 0.7 else mutated(path.read_bytes(), rng)
            )
        elif rng.random() < 0.1:
            path.unlink()
            rng.choice((os.mkfifo, os.mkdir, lambda p: p.symlink_to("/dev/zero"), lambda p: p.symlink_to("gone")))(path)
        else:
            path = path.rename(path.with_name(rng.choice((path.name, path.name, path.name, "block_x.rows"))))
            path.write_bytes(_damaged_block(path.read_bytes(), rng))
    if rng.random() < 0.1:
        store.folder.rename(folder / rng.choice(("rows_0123456789abcdef", "x", "_", "rows_")))


def check(folder: Path) -> None:
    """Read, verify and repair it as runs and ``data cache`` do; what is read afterwards is what was computed."""
    from aigenbench.data.store import stores_in
    from aigenbench.errors import InputError

    try:
        for found in stores_in(folder):
            found.verify()
            found.open()
    except InputError:
        pass  # a run meets the same store, below
    store = _store(folder)
    stored = store.open()
    stored.take(stored.keys)
    for block in store.blocks_for(KEYS, 8):
        block.write(_rows(block.keys))
    assert not len(store.missing(KEYS)), "computed again, and yet missing"
    if store.verify(remove=True):
        for block in store.blocks_for(KEYS, 8):
            block.write(_rows(block.keys))
    rows = _store(folder).open()
    assert np.array_equal(rows.take(KEYS), _rows(KEYS))
    assert np.array_equal(rows.row(int(KEYS[0])), _rows(KEYS)[0])


def _store(folder: Path) -> Any:
    from aigenbench.data.store import Store

    return Store(folder, "rows", {"seed": 1}, SHAPE, "uint8")


def _rows(keys: Any) -> Any:
    return np.stack([np.full(SHAPE, int(key), np.uint8) for key in keys])


def _damaged_block(data: bytes, rng: random.Random) -> bytes:
    how = rng.random()
    if how < 0.3:
        return mutated(data, rng)
    if how < 0.6:
        header = _odd_json(data[:PAGE].strip(), rng)
        return header[: PAGE - 1].ljust(PAGE - 1) + b"\n" + data[PAGE:]
    if how < 0.7:
        return rng.choice((b"[" * PAGE, b'{"a":' * 800, b"\xff" * PAGE, b"")) + data[PAGE:]
    if how < 0.9:
        return data[:PAGE] + mutated(data[PAGE:], rng)
    # keys that are as their header says, and not those of its name
    header = json.loads(data[:PAGE])
    index = mutated(data[PAGE : PAGE + 16 * header["rows"]], rng)
    header |= {"index_sha256": hashlib.sha256(index).hexdigest(), "rows": len(index) // 16}
    return json.dumps(header).encode().ljust(PAGE - 1) + b"\n" + index.ljust(PAGE, b"\0") + data[2 * PAGE :]


def _odd_json(data: bytes, rng: random.Random) -> bytes:
    content = json.loads(data)
    content[rng.choice([*content, "more"])] = rng.choice(ODD)
    return json.dumps(rng.choice((content, content, content, rng.choice(ODD)))).encode()
