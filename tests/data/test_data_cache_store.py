"""Rows kept in block files: stored once, found again, never believed when damaged."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.data.store import Store, share_of, stores_in
from aigenbench.data.store.blocks import PAGE, row_sums
from aigenbench.errors import InputError

FORK = multiprocessing.get_context("fork")


def store_in(root: Path, shape: tuple[int, ...] = (3, 5), dtype: str = "uint8", **identity: Any) -> Store:
    return Store(root, "rows", {"seed": 1, **identity}, shape, dtype)


def rows_of(keys: np.ndarray, shape: tuple[int, ...] = (3, 5), dtype: Any = np.uint8) -> np.ndarray:
    """Rows that tell their key."""
    return np.stack([np.random.default_rng(int(k) + 50).integers(0, 256, shape).astype(dtype) for k in keys])


def build(store: Store, keys: np.ndarray, rows_a_block: int = 4) -> int:
    """Store what is missing; returns how many rows were computed."""
    computed = 0
    for block in store.blocks_for(keys, rows_a_block):
        with block.claim() as mine:
            if mine:
                block.write(rows_of(block.keys, store.layout.shape, store.layout.numpy_dtype))
                computed += len(block.keys)
    return computed


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float32"])
def test_rows_come_back_in_any_order(tmp_path: Path, dtype: str) -> None:
    store, keys = store_in(tmp_path, dtype=dtype), np.arange(0, 60, 3)
    assert build(store, keys[::-1]) == 20
    rows = store_in(tmp_path, dtype=dtype).open()
    wanted = np.array([57, 0, 21, 21, 3])
    assert rows.take(wanted).dtype == store.layout.numpy_dtype
    assert np.array_equal(rows.take(wanted), rows_of(wanted, dtype=store.layout.numpy_dtype))
    assert np.array_equal(rows.row(30), rows_of(np.array([30]), dtype=store.layout.numpy_dtype)[0])
    assert len(rows) == 20
    assert 57 in rows
    assert rows.has(np.array([1, 3, -1, 58, 57])).tolist() == [False, True, False, False, True]
    assert rows.take(np.array([], dtype=np.int64)).shape == (0, 3, 5)
    for ask in (lambda: rows.row(1), lambda: rows.take(np.array([3, 1]))):
        with pytest.raises(KeyError, match="1"):
            ask()


@given(st.lists(st.sets(st.integers(-50, 50), min_size=1), min_size=1, max_size=4), st.integers(1, 9))
@settings(max_examples=25)
def test_any_sets_of_keys_are_stored_once_each(tmp_path_factory: Any, sets: list[set[int]], rows_a_block: int) -> None:
    root = tmp_path_factory.mktemp("s")
    seen: set[int] = set()
    for keys in sets:
        assert build(store_in(root), np.array(list(keys)), rows_a_block) == len(keys - seen)
        seen |= keys
        assert not len(store_in(root).missing(np.array(list(seen))))
        everything = np.array([*range(60, -60, -1), *keys])
        assert store_in(root).missing(everything).tolist() == sorted(set(range(-59, 61)) - seen)
    rows = store_in(root).open()
    assert rows.keys.tolist() == sorted(seen)
    assert np.array_equal(rows.take(rows.keys), rows_of(rows.keys))


def test_a_set_of_keys_gives_the_same_blocks_whatever_is_stored(tmp_path: Path) -> None:
    keys = np.arange(23)
    whole = {b.path: b.number for b in store_in(tmp_path).blocks_for(keys, 4)}
    for i in (3, 0, 5):
        block = store_in(tmp_path).blocks_for(keys, 4)
        chosen = next(b for b in block if b.number == i)
        chosen.write(rows_of(chosen.keys))
    left = {b.path: b.number for b in store_in(tmp_path).blocks_for(keys, 4)}
    assert left.items() < whole.items()
    assert sorted(left.values()) == [1, 2, 4]


def test_shares_are_disjoint_and_complete_whenever_they_start(tmp_path: Path) -> None:
    keys = np.arange(40)
    done = []
    for i in range(3):
        # each process starts when the ones before have ended
        share = share_of(store_in(tmp_path).blocks_for(keys, 4), i, 3)
        for block in share:
            block.write(rows_of(block.keys))
        done += [block.path for block in share]
    assert len(done) == len(set(done)) == 10
    assert not len(store_in(tmp_path).missing(keys))


def test_it_pickles_as_paths(tmp_path: Path) -> None:
    build(store_in(tmp_path), np.arange(400), 100)
    rows = store_in(tmp_path).open()
    rows.take(np.arange(400))
    pickled = pickle.dumps(rows)
    assert len(pickled) < 2000
    assert np.array_equal(pickle.loads(pickled).take(np.array([399, 5])), rows_of(np.array([399, 5])))


def test_reading_needs_few_open_files(tmp_path: Path) -> None:
    build(store_in(tmp_path, (8,)), np.arange(300), 1)
    rows = store_in(tmp_path, (8,)).open()
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    assert np.array_equal(rows.take(np.arange(300)), rows_of(np.arange(300), (8,)))
    assert len(list(descriptors.iterdir())) - before <= 256


def test_another_identity_is_another_folder(tmp_path: Path) -> None:
    folders = {store_in(tmp_path, **more).folder for more in ({}, {"seed": 2}, {"shape": (5, 3)}, {"dtype": "float16"})}
    assert len(folders) == 4
    build(store_in(tmp_path), np.arange(3))
    assert [store.identity for store in stores_in(tmp_path)] == [store_in(tmp_path).identity]


def damage(path: Path, at: int, value: bytes = b"\xff") -> None:
    with path.open("rb+") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(value if value != old else b"\x00")


def test_damage_is_found_named_and_built_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = np.arange(16)
    store = store_in(tmp_path)
    build(store, keys)
    paths = sorted(store.folder.glob("block_*.rows"))
    assert len(paths) == 4
    # in the header, in the keys, in a sum, and a file cut short
    damage(paths[0], 12)
    damage(paths[1], PAGE + 9)
    damage(paths[2], PAGE + 8 * 4 + 3)
    os.truncate(paths[3], paths[3].stat().st_size - 1)
    assert len(store_in(tmp_path).open()) == 0
    assert all(path.name in caplog.text for path in paths)
    assert set(store_in(tmp_path).verify()) == set(paths)
    assert build(store_in(tmp_path), keys) == 16
    assert store_in(tmp_path).verify() == {}
    assert np.array_equal(store_in(tmp_path).open().take(keys), rows_of(keys))


def test_a_damaged_row_is_never_given(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    build(store, np.arange(8), 8)
    (path,) = store.folder.glob("block_*.rows")
    damage(path, path.stat().st_size - 1)
    rows = store_in(tmp_path).open()
    assert np.array_equal(rows.take(np.arange(7)), rows_of(np.arange(7)))
    for ask in (lambda: rows.row(7), lambda: rows.take(np.array([0, 7]))):
        with pytest.raises(InputError, match=rf"{path.name}: the row of key 7 is damaged.*cache verify --remove"):
            ask()
    assert "SHA-256" in store.verify(remove=True)[path]
    assert build(store_in(tmp_path), np.arange(8), 8) == 8


@given(st.integers(1, 4), st.integers(1, 40), st.data())
def test_row_sums_see_every_change_of_a_byte(n: int, size: int, data: Any) -> None:
    rows = np.random.default_rng(n * 41 + size).integers(0, 256, (n, size), dtype=np.uint8)
    row, at = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, size - 1))
    changed = rows.copy()
    changed[row, at] ^= data.draw(st.integers(1, 255))
    assert np.flatnonzero(row_sums(changed) != row_sums(rows)).tolist() == [row]


def test_what_belongs_to_another_store_is_refused(tmp_path: Path) -> None:
    one, other = store_in(tmp_path), store_in(tmp_path, seed=2)
    build(one, np.arange(4))
    build(other, np.arange(4, 8))
    (stray,) = other.folder.glob("block_*.rows")
    shutil.copy(stray, one.folder)
    with pytest.raises(InputError, match=rf"{stray.name} belongs to another store"):
        store_in(tmp_path).missing(np.arange(4))
    assert "another store" in store_in(tmp_path).verify()[one.folder / stray.name]
    identity = one.folder / "identity.json"
    for content, said in (
        (json.dumps({**one.identity, "identity": {"seed": 3}}), "tells of other rows"),
        ("{}", "is not the identity of a store"),
        ("", "is not readable JSON"),
    ):
        identity.write_text(content)
        with pytest.raises(InputError, match=said):
            store_in(tmp_path)
    identity.unlink()
    with pytest.raises(InputError, match="no such file"):
        store_in(tmp_path)


def test_the_room_is_checked_before(tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(tmp_path / "not" / "there", (1024, 1024))
    keys = np.arange(100)
    needed = store.bytes_needed(keys)
    with caplog.at_level("INFO", "aigenbench"):
        store.check_room(keys)
    assert "takes 0.105 GB more" in caplog.text
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, needed - 1))
    with pytest.raises(InputError, match=r"0\.105 GB more; 0\.105 GB are free: make room"):
        store.check_room(keys)
    assert not (tmp_path / "not").exists()


def test_the_need_is_what_is_then_used(tmp_path: Path) -> None:
    store, keys = store_in(tmp_path, (1024, 1024), seed=5), np.arange(70)
    needed = store.bytes_needed(keys)
    for block in store.blocks_for(keys):
        block.write(np.zeros((len(block.keys), 1024, 1024), np.uint8))
    assert sum(path.stat().st_size for path in store.folder.glob("block_*.rows")) == needed
    assert store.bytes_needed(keys) == 0


def _hold(root: Path, keys: np.ndarray, ready: Connection, killed: bool) -> None:
    for block in store_in(root).blocks_for(keys, 4):
        with block.claim() as mine:
            assert mine
            if killed:
                (block.path.parent / f".{block.path.stem}.0123.tmp.rows").write_bytes(b"half")
            ready.send("held")
            if killed:
                time.sleep(60)
            ready.recv()
            block.write(rows_of(block.keys))


@pytest.mark.parametrize("killed", [True, False])
def test_a_held_block_is_waited_for_and_taken_over_from_the_dead(tmp_path: Path, killed: bool) -> None:
    keys = np.arange(4)
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=_hold, args=(tmp_path, keys, theirs, killed), daemon=True)
    child.start()
    theirs.close()
    assert ours.recv() == "held"
    (block,) = store_in(tmp_path).blocks_for(keys, 4)
    with block.claim() as mine:
        assert not mine
    asked = []

    def between() -> None:
        asked.append(1)
        if len(asked) == 1:
            os.kill(child.pid, signal.SIGKILL) if killed else ours.send("go on")

    block.wait(between)
    assert asked
    assert block.is_stored() is not killed
    with block.claim() as mine:
        assert mine is killed
    child.join()
    # what the dead had half written is gone
    assert not list(block.path.parent.glob("*.tmp*"))


def _build_slowly(root: Path, keys: np.ndarray, counted: Connection) -> None:
    computed = 0
    store = store_in(root)
    blocks = store.blocks_for(keys, 5)
    for block in blocks:
        with block.claim() as mine:
            if mine:
                time.sleep(0.02)
                block.write(rows_of(block.keys))
                computed += len(block.keys)
    for block in blocks:
        block.wait()
    counted.send((computed, len(store.missing(keys))))


def test_processes_that_build_at_once_do_the_work_once(tmp_path: Path) -> None:
    keys = np.arange(100)
    pipes = [FORK.Pipe() for _ in range(4)]
    children = [FORK.Process(target=_build_slowly, args=(tmp_path, keys, theirs)) for _, theirs in pipes]
    for child, (_, theirs) in zip(children, pipes, strict=True):
        child.start()
        theirs.close()
    counted = [ours.recv() for ours, _ in pipes]
    for child in children:
        child.join()
    assert sum(computed for computed, _ in counted) == 100
    assert all(missing == 0 for _, missing in counted)
    assert sum(computed > 0 for computed, _ in counted) > 1
    assert np.array_equal(store_in(tmp_path).open().take(keys), rows_of(keys))
    assert not list(tmp_path.glob("*/*.lock"))


@pytest.mark.parametrize(
    "header", [b"[" * PAGE, b"7", b"\xff" * PAGE, b'{"format": NaN}', {"rows": True}, {"rows": -1}]
)
def test_a_header_that_is_none_is_damage_and_computed_again(
    tmp_path: Path, header: bytes | dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    store, keys = store_in(tmp_path), np.arange(1)
    build(store, keys)
    (path,) = store.folder.glob("block_*")
    data = path.read_bytes()
    if isinstance(header, dict):
        header = json.dumps({**json.loads(data[:PAGE]), **header}).encode()
    path.write_bytes(header.ljust(PAGE) + data[PAGE:])
    assert list(store.verify()) == [path]
    assert build(store_in(tmp_path), keys) == 1
    assert "is damaged" in caplog.text
    assert np.array_equal(store_in(tmp_path).open().take(keys), rows_of(keys))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_told(tmp_path: Path, make: Any) -> None:
    store = store_in(tmp_path)
    build(store, np.arange(1))
    make(store.folder / "block_0123456789abcdef.rows")
    for ask in (store_in(tmp_path).open, store_in(tmp_path).verify, lambda: store_in(tmp_path).missing(np.arange(1))):
        with pytest.raises(InputError, match="move it away"):
            ask()


@pytest.mark.parametrize(
    "content",
    [
        "[" * 5000,
        "7",
        '{"identity": {}, "shape": [1], "dtype": "float8"}',
        '{"identity": {}, "shape": 3, "dtype": "uint8"}',
        '{"identity": {}, "shape": [-1], "dtype": "uint8"}',
        '{"identity": [1], "shape": [1], "dtype": "uint8"}',
        '{"identity": {"a": NaN}, "shape": [1], "dtype": "uint8"}',
        '{"identity": {}, "shape": [1], "dtype": {}}',
    ],
)
def test_an_identity_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    store = store_in(tmp_path)
    build(store, np.arange(1))
    (store.folder / "identity.json").write_text(content)
    for ask in (lambda: stores_in(tmp_path), lambda: store_in(tmp_path)):
        with pytest.raises(InputError, match="remove the folder"):
            ask()
