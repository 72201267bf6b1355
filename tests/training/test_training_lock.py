"""One run holds a folder; one that lost it writes nothing more there."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from aigenbench.errors import InputError
from aigenbench.fences import LostFolderError, check_fence, generation_of, is_lost, remove
from aigenbench.files import write_text
from aigenbench.training.resume import lock
from aigenbench.training.resume.lock import Holder, is_gone, locked, this_process

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute passes in half a second."""
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.5)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)


def hold(folder: Path, ready: Any) -> None:
    with locked(folder):
        ready.set()
        time.sleep(60)


def held_by_another(folder: Path) -> multiprocessing.process.BaseProcess:
    ready = FORK.Event()
    process = FORK.Process(target=hold, args=(folder, ready), daemon=True)
    process.start()
    assert ready.wait(10)
    return process


def kill(process: multiprocessing.process.BaseProcess) -> None:
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()


def record_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "lock.json").read_text())


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    process = held_by_another(tmp_path)
    with pytest.raises(InputError, match=rf"in use by process {process.pid} on "), locked(tmp_path):
        pass
    kill(process)
    # its process is gone on this host
    with locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]
    assert record_in(tmp_path)["released"]


def test_generations_rise(tmp_path: Path) -> None:
    for expected in (1, 2):
        with locked(tmp_path) as fence:
            assert fence.generation == expected == record_in(tmp_path)["generation"]
            assert generation_of(tmp_path / "window_0" / "a") == expected
    assert generation_of(tmp_path) == 0
    # of the newest record: the lock may have been left out of a copy
    (tmp_path / "lock.json").unlink()
    with locked(tmp_path, generation=7) as fence:
        assert fence.generation == 8
    # removed by hand while it is held: nobody gets a number twice
    with locked(tmp_path) as fence:
        (tmp_path / "lock.json").unlink()
        with pytest.raises(InputError, match="in use"), locked(tmp_path):
            pass
        check_fence(tmp_path)


def elsewhere(**changes: Any) -> Holder:
    return replace(this_process(None), host="elsewhere", token="other", **changes)


def test_a_holder_elsewhere_is_watched_until_its_counter_stands_still(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lock.json").write_text(json.dumps(asdict(elsewhere(generation=4))))
    with caplog.at_level(logging.WARNING), locked(tmp_path) as fence:
        assert "watching it for a minute" in caplog.text
        assert record_in(tmp_path)["process"] == os.getpid()
        assert fence.generation == 5


@pytest.mark.parametrize(
    "text",
    [
        '{"host": "x',
        "",
        "[]",
        "null",
        "NaN",
        "[" * 100_000,
        "x" * 100_000,
        *(
            json.dumps({**asdict(elsewhere()), **wrong})
            for wrong in (
                {"beat": float("nan")},
                {"process": 10**300},
                {"process": "1"},
                {"generation": -1},
                {"generation": 1.0},
                {"host": None},
                {"started": ["1"]},
                {"job": 7},
                {"more": 1},
                {"released": 1},
            )
        ),
    ],
)
def test_a_lock_that_is_none_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.json").write_text(text)
    began = time.monotonic()
    with locked(tmp_path) as fence:
        assert fence.generation == 1
    assert time.monotonic() - began < 5


def test_a_generation_without_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text(json.dumps(asdict(elsewhere(generation=2**63, released=True))))
    (tmp_path / ".lock_99999999999999999999").mkdir()
    with pytest.raises(InputError, match=r"lock\.json is damaged"), locked(tmp_path):
        pass


def test_a_lock_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    record = asdict(replace(this_process(None), process=2**22 + 1))
    for name in ("space", "generation", "released"):
        del record[name]
    (tmp_path / "lock.json").write_text(json.dumps(record))
    with locked(tmp_path) as fence:
        assert fence.generation == 1


def test_who_is_gone() -> None:
    mine = this_process("7")
    assert is_gone(elsewhere(job="7"), mine)
    assert not is_gone(elsewhere(job="8"), mine)
    assert not is_gone(elsewhere(), this_process(None)), "no job is not one job"
    assert not is_gone(mine, mine), "two runs of one job"
    assert not is_gone(replace(mine, job=None), mine)
    assert is_gone(replace(mine, job=None, boot="another"), mine)
    assert is_gone(replace(mine, job=None, started="1"), mine)
    assert is_gone(replace(mine, job=None, process=2**22 + 1), mine)
    # a container next door numbers its processes otherwise
    assert not is_gone(replace(mine, job=None, process=2**22 + 1, space="pid:[1]"), mine)


def test_the_counter_rises_while_held(tmp_path: Path) -> None:
    with locked(tmp_path):
        deadline = time.monotonic() + 10
        while record_in(tmp_path)["beat"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_lost_a_folder_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 60.0)
    monkeypatch.chdir(tmp_path)
    file = Path("window_0/state.json")
    with locked(Path()), locked(tmp_path / "head"):
        write_text(file, "first")
        write_text("head/file", "first")
        # by another that finds the counter standing still
        process = held_by_another(tmp_path)
        assert is_lost(file)
        for act in (
            lambda: write_text(file, "late"),
            lambda: write_text("window_1/new.json", "late"),
            lambda: remove(file),
            lambda: check_fence(file),
        ):
            with pytest.raises(LostFolderError, match="was taken over by another run while this one stood still"):
                act()
        # each folder has a fence of its own, and what lies elsewhere has none
        write_text("head/file", "second")
        write_text(tmp_path.parent / "elsewhere", "late")
    assert file.read_text() == "first"
    assert not Path("window_1").exists()
    assert record_in(tmp_path)["process"] == process.pid
    assert not record_in(tmp_path)["released"]
    kill(process)


def test_a_late_rename_fails_however_long_ago_the_writer_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Being stopped between a check and the rename is what no check can prevent."""
    monkeypatch.setattr(lock, "BEAT_SECONDS", 60.0)
    others, real = [], os.fsync

    def taken_over_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        others.append(held_by_another(tmp_path))

    with locked(tmp_path):
        monkeypatch.setattr(os, "fsync", taken_over_meanwhile)
        with pytest.raises(LostFolderError):
            write_text(tmp_path / "a", "late")
    assert not (tmp_path / "a").exists()
    kill(others[0])


def test_a_part_on_another_disk_is_written_too(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"aigenbench-test-{os.getpid()}"
    if not other.parent.is_dir() or other.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    other.mkdir()
    try:
        (tmp_path / "window_0").symlink_to(other)
        with locked(tmp_path):
            write_text(tmp_path / "window_0" / "a", "text")
            remove(tmp_path / "window_0" / "a")
        assert list(other.iterdir()) == []
    finally:
        other.rmdir()


def test_a_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    with locked(tmp_path / "a"):
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(LostFolderError, match="was removed while a run was at work there"):
            write_text(tmp_path / "a" / "b", "late")
    assert not (tmp_path / "a").exists()


class At:
    """Does something at the n-th file operation below a folder."""

    def __init__(self, folder: Path, number: int, act: Callable[[], None]) -> None:
        self.folder, self.number, self.act, self.count = str(folder), number, act, 0

    def __call__(self, operation: str, arguments: tuple[Any, ...]) -> None:
        if operation in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and self.folder in str(arguments[0]):
            self.count += 1
            if self.count == self.number:
                self.act()


def take_and_write(folder: Path, number: int, what: int, result: Any) -> None:
    """Hold a folder and write in it; get a signal at a file operation."""
    at = At(folder, number, lambda: os.kill(os.getpid(), what))
    sys.addaudithook(at)
    try:
        with locked(folder):
            write_text(folder / "of_the_first", "text")
        result.send(("done", at.count))
    except InputError as error:
        result.send((str(error), at.count))


def at_every_operation(folder: Path, what: int, stride: int = 1) -> int:
    """Disturb a run at each file operation, let another take the folder over, and look at what is left."""
    for number in range(1, 500, stride):
        place = folder / str(number)
        place.mkdir()
        receive, send = FORK.Pipe(duplex=False)
        process = FORK.Process(target=take_and_write, args=(place, number, what, send))
        process.start()
        send.close()
        if what == signal.SIGSTOP:
            # until it stands still or is done
            os.waitid(os.P_PID, process.pid or 0, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        else:
            process.join()
        with locked(place) as fence:
            left = (place / "of_the_first").exists()
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGCONT)
                process.join()
            told, count = ("killed", number) if process.exitcode else receive.recv()
            check_fence(place)
            assert record_in(place)["generation"] == fence.generation
            assert (place / "of_the_first").exists() == left, "written after the folder was taken over"
        assert sorted(path.name for path in place.iterdir() if path.name != "of_the_first") == ["lock.json"]
        if told == "done" and count < number:
            return number
    raise AssertionError("the run has no end")


@pytest.mark.slow
def test_a_kill_at_any_file_operation_leaves_a_folder_that_can_be_taken(tmp_path: Path) -> None:
    assert at_every_operation(tmp_path, signal.SIGKILL) > 20


@pytest.mark.slow
def test_a_run_suspended_at_any_file_operation_writes_nothing_after_it_lost_the_folder(tmp_path: Path) -> None:
    assert at_every_operation(tmp_path, signal.SIGSTOP) > 20


def contend(folder: Path, pairs: int, barrier: Any, results: Any) -> None:
    logging.disable(logging.CRITICAL)
    for i in range(pairs):
        barrier.wait()
        held = False
        try:
            with locked(folder / str(i)):
                held = not (folder / str(i) / "held").exists()
                (folder / str(i) / "held").touch()
                barrier.wait()
                (folder / str(i) / "held").unlink()
        except InputError:
            barrier.wait()
        results.put((i, held))


def pairs_through_a_barrier(folder: Path, pairs: int) -> Counter[tuple[bool, ...]]:
    for i in range(pairs):
        (folder / str(i)).mkdir()
    barrier, results = FORK.Barrier(2), FORK.Queue()
    both = [FORK.Process(target=contend, args=(folder, pairs, barrier, results), daemon=True) for _ in range(2)]
    for process in both:
        process.start()
    held: dict[int, list[bool]] = {}
    for _ in range(2 * pairs):
        i, one = results.get(timeout=60)
        held.setdefault(i, []).append(one)
    for process in both:
        process.join()
    return Counter(tuple(sorted(of_pair)) for of_pair in held.values())


@pytest.mark.slow
def test_of_two_that_start_together_one_holds_the_folder(tmp_path: Path) -> None:
    assert pairs_through_a_barrier(tmp_path, 100) == {(False, True): 100}


@pytest.mark.campaign
def test_of_a_thousand_pairs_one_each_holds_the_folder(tmp_path: Path) -> None:
    assert pairs_through_a_barrier(tmp_path, 1000) == {(False, True): 1000}
