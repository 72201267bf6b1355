"""Stores that are filled together: rows that the same stores lack, claimed and written at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aigenbench.data.store import Store, StoredTogether, check_room
from aigenbench.data.store.together import Blocks, blocks_for
from aigenbench.errors import InputError

KEYS = np.arange(10, 30)


def stores(root: Path) -> dict[str, Store]:
    return {name: Store(root, "features", {"of": name}, (width,), "float32") for name, width in (("a", 2), ("b", 3))}


def write(store: Store, keys: np.ndarray) -> None:
    for block in store.blocks_for(keys, 100):
        block.write(rows(store, block.keys))


def rows(store: Store, keys: np.ndarray) -> np.ndarray:
    return (keys[:, None] + 100 * np.arange(store.layout.shape[0])).astype(np.float32)


def test_of_one_store_they_are_its_own_blocks(tmp_path: Path) -> None:
    store = stores(tmp_path)["a"]
    write(store, KEYS[3:5])
    own = store.blocks_for(KEYS, 4)
    found = blocks_for({"a": store}, KEYS, 4)
    assert [(b.of["a"].path, b.number) for b in found] == [(b.path, b.number) for b in own]
    assert all(np.array_equal(one.keys, other.keys) for one, other in zip(found, own, strict=True))


def test_rows_that_the_same_stores_lack_stand_together(tmp_path: Path) -> None:
    both = stores(tmp_path)
    write(both["a"], KEYS[:6])
    write(both["b"], KEYS[4:8])
    found = blocks_for(both, KEYS, 5)
    told = [(tuple(block.of), block.keys.tolist()) for block in found]
    assert told == [(("b",), [10, 11, 12, 13]), (("a",), [16, 17]), (("a", "b"), [18, 19, 20, 21, 22]),
                    (("a", "b"), [23, 24, 25, 26, 27]), (("a", "b"), [28, 29])]  # fmt: skip
    for blocks in found:
        for name, block in blocks.of.items():
            block.write(rows(both[name], blocks.keys))
    assert not blocks_for(both, KEYS, 5)
    read = StoredTogether([store.open() for store in both.values()]).take(KEYS[[7, 2]])
    assert read.tolist() == [[17, 117, 17, 117, 217], [12, 112, 12, 112, 212]]


def test_each_is_claimed_by_one(tmp_path: Path) -> None:
    (blocks,) = blocks_for(stores(tmp_path), KEYS, 100)
    with blocks.of["a"].claim() as held, blocks.claim() as own:
        assert held
        assert list(own.of) == ["b"], "the other is held"
        part: Blocks[str] = own.first(3)
        part.of["b"].write(rows(stores(tmp_path)["b"], KEYS[:3]))
    assert stores(tmp_path)["b"].open().keys.tolist() == [10, 11, 12]


def test_room_is_told_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = list(stores(tmp_path).values())
    needed = sum(store.bytes_needed(KEYS) for store in both)
    for free, enough in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: type("Usage", (), {"free": free}))
        if enough:
            check_room(both, KEYS)
        else:
            with pytest.raises(InputError, match=r"2 stores in .* take .* GB more"):
                check_room(both, KEYS)
