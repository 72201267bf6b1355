from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from aigenbench.errors import InputError
from aigenbench.inference.serve import pool as pools
from aigenbench.inference.serve.pool import Pool

WORKER = """
import os, sys, time
from pathlib import Path
from aigenbench.inference.serve import frames

def say(value):
    sys.stdout.buffer.write(frames.pack(value))
    sys.stdout.buffer.flush()

setup, _ = frames.read(sys.stdin.buffer)
if Path(setup["broken"]).exists():
    say({"error": "the detector is damaged"})
    sys.exit()
if Path(setup["dead"]).exists():
    sys.exit(1)
say({"detectors": [{"id": "one"}]})
while frame := frames.read(sys.stdin.buffer):
    wishes, picture = frame
    if picture == b"die":
        os._exit(9)
    if picture == b"hang":
        time.sleep(600)
    time.sleep(wishes.get("seconds", 0))
    say({"error": None, "picture": picture.decode(), "wishes": wishes, "worker": os.getpid()})
"""

PoolOf = Callable[..., Pool]


@pytest.fixture
def pool_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PoolOf:
    """Pools whose workers load nothing; files in the test's folder break those that start."""
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(pools, "COMMAND", ("-P", str(tmp_path / "worker.py")))
    setup = {"broken": str(tmp_path / "broken"), "dead": str(tmp_path / "dead")}
    return lambda *arguments, **more: Pool(setup, *arguments, **more)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.02)


def test_every_picture_gets_its_own_answer(pool_of: PoolOf) -> None:
    async def test() -> None:
        async with pool_of(2) as pool:
            assert pool.detectors == [{"id": "one"}]
            said = await asyncio.gather(*(pool.look({"seconds": 0.01, "i": i}, b"%d" % i) for i in range(20)))
            assert [(one["picture"], one["wishes"]["i"]) for one in said] == [(str(i), i) for i in range(20)]
            assert len({one["worker"] for one in said}) == 2

    run(test)


@pytest.mark.parametrize(
    ("picture", "said"),
    [(b"die", "this picture ended the worker that read it"), (b"hang", "this picture took more than 1.5 s")],
)
def test_one_bad_picture_costs_its_own_answer_alone(
    pool_of: PoolOf, picture: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with pool_of(1, seconds=1.5) as pool:
            bad, good = await asyncio.gather(pool.look({}, picture), pool.look({}, b"good"))
            assert bad == {"error": said}
            assert good["picture"] == "good"

    run(test)
    assert "a picture" in caplog.text


def test_a_worker_that_dies_idle_is_replaced(pool_of: PoolOf) -> None:
    async def test() -> None:
        async with pool_of(1) as pool:
            (process,) = pool._processes
            process.kill()
            await until(lambda: not pool.ready)
            with pytest.raises(HTTPException) as refused, pool.place():
                pass
            assert refused.value.status_code == 503
            await until(lambda: bool(pool.ready))
            assert (await pool.look({}, b"a"))["worker"] != process.pid

    run(test)


def workers_of(folder: Path) -> list[str]:
    """Processes that run the worker of this test."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode() for line in lines if str(folder / "worker.py").encode() in line]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.005, 0.02, 0.1])
def test_whenever_it_ends_no_worker_is_left(pool_of: PoolOf, tmp_path: Path, seconds: float) -> None:
    async def test() -> None:
        async with pool_of(2) as pool:
            assert len(workers_of(tmp_path)) == 2
            for process in tuple(pool._processes):
                process.kill()
            await asyncio.sleep(seconds)

    run(test)
    assert workers_of(tmp_path) == []


@pytest.mark.parametrize(("how", "said"), [("broken", "the detector is damaged"), ("dead", "a worker ended while")])
def test_what_does_not_start_is_told_and_leaves_nothing(pool_of: PoolOf, tmp_path: Path, how: str, said: str) -> None:
    (tmp_path / how).touch()

    async def test() -> None:
        pool = pool_of(2)
        with pytest.raises(InputError, match=said):
            async with pool:
                pass
        assert not pool._processes

    run(test)


def test_a_worker_that_cannot_be_replaced_is_tried_again(
    pool_of: PoolOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with pool_of(1) as pool:
            (tmp_path / "broken").touch()
            dies, gone, waits = (asyncio.create_task(pool.look({}, one)) for one in (b"die", b"gone", b"good"))
            await asyncio.sleep(0)
            gone.cancel()
            assert (await dies)["error"]
            assert await waits == {"error": "no worker is left to read this picture"}
            (tmp_path / "broken").unlink()
            await until(lambda: bool(pool.ready))
            assert (await pool.look({}, b"good"))["picture"] == "good"

    with caplog.at_level(logging.WARNING):
        run(test)
    assert "no worker: the detector is damaged; tried again in 1 s" in caplog.text


def test_places_are_given_back(pool_of: PoolOf) -> None:
    async def test() -> None:
        async with pool_of(1, queue=1) as pool:
            with pool.place(), pool.place(), pytest.raises(HTTPException) as refused, pool.place():
                pass
            assert refused.value.status_code == 429
            assert int((refused.value.headers or {})["Retry-After"]) >= 1
            with pytest.raises(ZeroDivisionError), pool.place():
                raise ZeroDivisionError
            assert pool.taken == 0

    run(test)


def test_a_client_that_goes_away_costs_nobody_else(pool_of: PoolOf) -> None:
    async def test() -> None:
        async with pool_of(1) as pool:
            gone = asyncio.create_task(pool.look({"seconds": 0.2}, b"gone"))
            stays = asyncio.create_task(pool.look({}, b"stays"))
            await asyncio.sleep(0.1)
            gone.cancel()
            assert (await stays)["picture"] == "stays"

    run(test)
