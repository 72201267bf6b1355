from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from aigenbench.errors import InputError
from aigenbench.training.resume import lock
from aigenbench.training.resume.lock import Holder, is_gone, locked, this_process


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
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(folder, ready), daemon=True)
    process.start()
    assert ready.wait(10)
    return process


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    process = held_by_another(tmp_path)
    with pytest.raises(InputError, match=rf"in use by process {process.pid} on "), locked(tmp_path):
        pass
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    # its process is gone on this host
    with locked(tmp_path):
        pass
    assert not (tmp_path / "lock.json").exists()


def elsewhere(**changes: Any) -> Holder:
    return replace(this_process(None), host="elsewhere", token="other", **changes)


def test_a_holder_elsewhere_is_watched_until_its_counter_stands_still(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lock.json").write_text(json.dumps(asdict(elsewhere())))
    with caplog.at_level(logging.WARNING), locked(tmp_path):
        assert "watching it for a minute" in caplog.text
        assert json.loads((tmp_path / "lock.json").read_text())["process"] == os.getpid()


def test_a_lock_left_half_written_is_taken(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text('{"host": "x')
    with locked(tmp_path):
        pass


def test_who_is_gone() -> None:
    mine = this_process("7")
    assert is_gone(elsewhere(job="7"), mine)
    assert not is_gone(elsewhere(job="8"), mine)
    assert not is_gone(replace(mine, job=None), mine)
    assert is_gone(replace(mine, job=None, boot="another"), mine)
    assert is_gone(replace(mine, job=None, started="1"), mine)
    assert is_gone(replace(mine, job=None, process=2**22 + 1), mine)


def test_the_counter_rises_while_held(tmp_path: Path) -> None:
    with locked(tmp_path):
        deadline = time.monotonic() + 10
        while json.loads((tmp_path / "lock.json").read_text())["beat"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
