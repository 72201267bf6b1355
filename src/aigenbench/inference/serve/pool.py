"""Worker processes that read and score pictures: started, asked, cut off after a time, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from aigenbench.errors import InputError
from aigenbench.inference.serve import frames

logger = logging.getLogger(__name__)

COMMAND = ("-P", "-m", "aigenbench.inference.serve.worker")
LONGEST_PAUSE_S = 30.0
"""Between two attempts to start a worker again."""
STARTING_S = 5
"""What a client is told to wait while no worker is ready."""


class LostError(Exception):
    """The worker that had a picture died, or took too long and was ended; the message says which."""


@dataclass(eq=False)
class _Job:
    frame: bytes
    answer: asyncio.Future[Any]

    def tell(self, said: Any) -> None:
        """Give the answer, or the error, to whoever still waits for it."""
        if self.answer.done():
            return
        if isinstance(said, LostError):
            self.answer.set_exception(said)
        else:
            self.answer.set_result(said)


class Pool:
    """Workers that each hold all detectors, and the requests that wait for them.

    Used as ``async with Pool(...) as pool``: workers stand when it is entered, and are gone when it is left.

    Args:
        setup: what a worker is told: see `aigenbench.inference.serve.worker`.
        workers: how many.
        queue: requests that may wait beside those that are looked at.
        seconds: of one picture, after which its worker is ended.

    Attributes:
        detectors: what a worker says of its detectors, as ``GET /api/detectors`` gives it.
        ready: workers that stand.
        taken: requests that hold a place.
    """

    def __init__(self, setup: Mapping[str, Any], workers: int = 1, queue: int = 16, seconds: float = 60.0) -> None:
        self._setup, self._workers, self._places, self._seconds = setup, workers, workers + queue, seconds
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._processes: set[Process] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._usual = 1.0
        self.detectors: list[dict[str, Any]] = []
        self.ready = self.taken = 0

    async def __aenter__(self) -> Pool:
        """Start the workers.

        Raises:
            InputError: a detector cannot be loaded, in the worker's words.
        """
        starts = [asyncio.create_task(self._start()) for _ in range(self._workers)]
        try:
            processes = await asyncio.gather(*starts)
        except BaseException:
            await _cancelled(starts)
            await self._end()
            raise
        self._tasks = [asyncio.create_task(self._keep(process)) for process in processes]
        self.ready = len(processes)
        return self

    async def __aexit__(self, *_: object) -> None:
        await _cancelled(self._tasks)
        await self._end()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue.

        Raises:
            HTTPException: 503 where no worker stands, 429 where all places are taken.
        """
        if not self.ready:
            raise HTTPException(503, "no worker is ready; one is being started", {"Retry-After": str(STARTING_S)})
        if self.taken >= self._places:
            wait = min(max(math.ceil(self.taken * self._usual / self._workers), 1), 60)
            raise HTTPException(429, f"{self.taken} requests are waiting; try again later", {"Retry-After": str(wait)})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def look(self, wishes: Mapping[str, Any], picture: bytes) -> dict[str, Any]:
        """What a worker says of one picture, which may be that it cannot be read."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(frames.pack(wishes, picture), answer))
        try:
            return await answer
        except LostError as error:
            return {"error": str(error)}

    async def _keep(self, process: Process) -> None:
        """Let one worker answer for as long as it lives, and then the next in its place."""
        while True:
            try:
                await self._answer(process)
            finally:
                self.ready -= 1
            await self._end(process)
            process = await self._replacement()
            self.ready += 1

    async def _answer(self, process: Process) -> None:
        """Give a worker the jobs until it is lost."""
        gone = asyncio.create_task(process.wait())
        while True:
            following = asyncio.create_task(self._jobs.get())
            try:
                await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                following.cancel()
            if not following.done():
                logger.warning("a worker that had nothing to do ended; it is replaced")
                return
            job = following.result()
            if job.answer.done():
                continue
            begun = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await _ask(process, job.frame)
            except TimeoutError:
                lost = f"took more than {self._seconds:g} s"
            except (asyncio.IncompleteReadError, ConnectionError):
                lost = "ended the worker that read it"
            else:
                self._usual += 0.1 * (asyncio.get_running_loop().time() - begun - self._usual)
                job.tell(answer)
                continue
            logger.warning("a picture %s; the worker is replaced", lost)
            job.tell(LostError(f"this picture {lost}"))
            return

    async def _replacement(self) -> Process:
        pause = 1.0
        while True:
            try:
                return await self._start()
            except (InputError, OSError) as error:
                logger.warning("no worker: %s; tried again in %.0f s", error, pause)
            while not self.ready and not self._jobs.empty():
                self._jobs.get_nowait().tell(LostError("no worker is left to read this picture"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *COMMAND),
            stdin=PIPE,
            stdout=PIPE,
            # Ctrl-C is for the server, which ends its workers
            start_new_session=True,
        )
        self._processes.add(process)
        try:
            said = await _ask(process, frames.pack(self._setup))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self._end(process)
            raise InputError("a worker ended while it loaded the detectors; is there memory for them?") from error
        if "error" in said:
            await self._end(process)
            raise InputError(said["error"])
        self.detectors = said["detectors"]
        return process

    async def _end(self, *processes: Process) -> None:
        """End these, or all."""
        ended = processes or tuple(self._processes)
        self._processes.difference_update(ended)
        for process in ended:
            with suppress(ProcessLookupError):
                process.kill()
        gone = asyncio.gather(*(_gone(process) for process in ended))
        try:
            await asyncio.shield(gone)
        except asyncio.CancelledError:
            # after Ctrl-C the first wait ends so
            await gone
            raise


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and see them end: one that was ending a worker, or starting one, finishes that."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def _ask(process: Process, frame: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(frame)
    await process.stdin.drain()
    return (await frames.receive(process.stdout))[0]
