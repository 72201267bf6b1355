from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from inference_serve_made_up import begun, files, two_detectors

from fuzz.pictures import Case, cases

SEED = 15
MOST_MEMORY = 2 * 2**30


def peak_memory(process: int) -> int:
    """The most that a process held, in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize(
    "count", [pytest.param(500, marks=pytest.mark.slow), pytest.param(5000, marks=pytest.mark.campaign)]
)
def test_mutated_files_are_answered(tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    detector = two_detectors(tmp_path)[1]
    options = ("--detector", str(detector), "--timeout", "10")
    said: Counter[str] = Counter()
    with begun(tmp_path / "here", *options) as server:
        workers = server.workers()

        def one(case: Case) -> tuple[str, float]:
            begin = time.monotonic()
            reply = server.post(files=files(("a", case.data)), data={"stability": "off"})
            assert reply.status_code == 200
            (result,) = reply.json()["results"]
            answered = "error" if result["error"] else result["detectors"][0]["verdict"]["word"]
            assert "this picture" not in (result["error"] or ""), f"{case.kind} {case.done}: {result['error']}"
            return answered, time.monotonic() - begin

        made = cases(np.random.default_rng(SEED))
        longest = 0.0
        with ThreadPoolExecutor(2) as pool:
            for answered, seconds in pool.map(one, (next(made) for _ in range(count))):
                said[answered] += 1
                longest = max(longest, seconds)
        memory = max(map(peak_memory, [*server.workers(), server.process.pid]))
        assert server.workers() == workers, "none died"
    assert said.total() == count
    assert min(said["error"], said.total() - said["error"]) > count / 10
    assert memory < MOST_MEMORY
    with capsys.disabled():
        print(f"\n{count} files: {dict(said)}; the longest {longest:.1f} s; {memory / 2**20:.0f} MB")  # noqa: T201
