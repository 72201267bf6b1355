"""Imports that are killed go on and give what an undisturbed one gives."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aigenbench.curation import import_data, inspection, shards

SCRIPT = """
import sys, time
import numpy, cv2, pyarrow, PIL.Image
from aigenbench.curation import import_data, inspection, shards
shards.SHARD_BYTES, shards._BATCH_ROWS, inspection._CHUNK = 3000, 2, 3
if __name__ == "__main__":
    print("ready", flush=True)
    slow = lambda what, done, total: time.sleep(0.01)
    import_data(sys.argv[1], out=sys.argv[2], workers=int(sys.argv[3]), progress=slow)
"""


def run_and_kill(script: Path, source: Path, out: Path, workers: int, after: float) -> bool:
    """Start an import and kill it so many seconds after it is ready; returns whether it was killed in time."""
    command = [sys.executable, "-P", str(script), str(source), str(out), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 3000)
    monkeypatch.setattr(shards, "_BATCH_ROWS", 2)
    monkeypatch.setattr(inspection, "_CHUNK", 3)


@pytest.mark.parametrize(
    ("kills", "workers"),
    [
        pytest.param(2, 1, id="few"),
        pytest.param(10, 1, id="ten", marks=pytest.mark.slow),
        pytest.param(10, 2, id="ten of two workers", marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments_it_goes_on(
    kills: int,
    workers: int,
    forms: Any,
    content: Callable[[Path], dict[str, bytes]],
    small_pieces: None,
    tmp_path: Path,
) -> None:
    rng = random.Random(kills + workers)
    source = forms.folder(tmp_path / "source", forms.files(each=10, reals=40))
    expected = import_data(source, out=tmp_path / "undisturbed")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    length = 0.6 if workers == 1 else 2.5
    killed = sum(
        run_and_kill(script, source, tmp_path / "set", workers, rng.uniform(0.02, length / kills * 2))
        for _ in range(kills)
    )
    assert killed
    if not (tmp_path / "set").exists():
        import_data(source, out=tmp_path / "set")
    assert content(tmp_path / "set") == content(expected.path)
    assert {path.name for path in tmp_path.iterdir()} == {"source", "undisturbed", "set", "script.py"}


@pytest.mark.parametrize("stage", ["looking at images", "writing"])
def test_stopped_anywhere_nothing_is_done_twice(
    stage: str,
    forms: Any,
    content: Callable[[Path], dict[str, bytes]],
    small_pieces: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = forms.folder(tmp_path / "source", forms.files())
    expected = import_data(source, out=tmp_path / "undisturbed")
    reached = []

    def stop(what: str, done: int, total: int) -> None:
        if what == stage and done >= total // 2:
            reached.append(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_data(source, out=tmp_path / "set", progress=stop)
    assert not (tmp_path / "set").exists()
    begins: dict[str, int] = {}

    def note(what: str, done: int, total: int) -> None:
        begins.setdefault(what, done)

    import_data(source, out=tmp_path / "set", progress=note)
    assert begins[stage] == reached[0]
    assert content(tmp_path / "set") == content(expected.path)


def test_half_a_line_and_half_a_shard_are_of_no_account(
    forms: Any, content: Callable[[Path], dict[str, bytes]], small_pieces: None, tmp_path: Path
) -> None:
    source = forms.folder(tmp_path / "source", forms.files())
    expected = import_data(source, out=tmp_path / "undisturbed")

    def stop(what: str, done: int, total: int) -> None:
        if what == "writing" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_data(source, out=tmp_path / "set", progress=stop)
    work = tmp_path / ".set.importing"
    notes = (work / "seen.jsonl").read_bytes()
    (work / "seen.jsonl").write_bytes(notes[: len(notes) // 2])
    (work / "data" / "train" / ".data-00001-of-00009.abc.tmp.arrow").write_bytes(b"half")
    import_data(source, out=tmp_path / "set")
    assert content(tmp_path / "set") == content(expected.path)


def test_workers_end_with_the_process_that_began_them(forms: Any, tmp_path: Path) -> None:
    source = forms.folder(tmp_path / "source", forms.files(each=10, reals=40))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("0.01", "1"))
    command = [sys.executable, "-P", str(script), str(source), str(tmp_path / "set"), "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    while len(in_session(process.pid)) < 3:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 60
    while in_session(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_session(leader: int) -> list[int]:
    """Processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(path.name))
    return found
