"""`aigenbench serve` under load: 1,000 requests of 64 clients over loopback, with room in the queue and without.

Each request brings one JPEG file of 1,024 x 768 pixels. A client that is told to wait (429, 503) asks again; a request
is lost where it gets no answer, or another one. The detector is a small network whose weights are drawn, so that what
is measured is the server and the decoding.

    python benchmarks/serve.py [--requests 1000] [--clients 64] [--repeats 1] [--json FILE]
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from claims import Results, parser
from detect import SMALL, write_detector, write_pictures
from start_up import environment

WAIT_S = 0.25
"""Until a client asks again; sooner than it is told to, which is the harder case."""


@dataclass
class Load:
    """What came of all requests: statuses, seconds of each until its answer, seconds of all, bytes held at most."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    total: float = 0.0
    memory: float = 0.0

    def lost(self, requests: int) -> int:
        """Requests that were not answered, and answers that are neither 200, 429 nor 503."""
        return (
            requests
            - self.statuses[200]
            + sum(self.statuses[key] for key in self.statuses if key not in (200, 429, 503))
        )


@contextmanager
def served(detector: Path, queue: int) -> Iterator[tuple[str, int]]:
    """A server's address and process."""
    command = [sys.executable, "-m", "aigenbench", "serve", "--detector", str(detector), "--port", "0"]
    with subprocess.Popen(
        [*command, "--queue", str(queue), "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0], process.pid
        process.terminate()


def family(process: int) -> list[int]:
    """A process and its children."""
    parents = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/stat")}
    return [process, *(one for one, path in parents.items() if _parent(path) == process)]


def _parent(status: Path) -> int:
    try:
        return int(status.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def peak_memory(processes: list[int]) -> float:
    """The most that these processes held together at most, in MB."""
    texts = [Path(f"/proc/{one}/status").read_text(encoding="utf-8") for one in processes]
    return sum(int(text.partition("VmHWM:")[2].split()[0]) for text in texts) / 1024


async def put_load(url: str, picture: bytes, requests: int, clients: int) -> Load:
    """Send so many requests from so many clients."""
    load, left = Load(), iter(range(requests))
    begun = time.perf_counter()

    async def client_of(client: httpx.AsyncClient) -> None:
        for _ in left:
            sent = time.perf_counter()
            while await _status(client, picture, load) in (429, 503):
                await asyncio.sleep(WAIT_S)
            load.seconds.append(time.perf_counter() - sent)

    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=clients)) as client:
        await asyncio.gather(*(client_of(client) for _ in range(clients)))
    load.total = time.perf_counter() - begun
    return load


async def _status(client: httpx.AsyncClient, picture: bytes, load: Load) -> int | str:
    try:
        reply = await client.post("/api/detect", files={"image": ("a.jpg", picture)})
        status: int | str = reply.status_code
        if status == 200 and reply.json()["results"][0]["error"]:
            status = "an error"
        elif status in (429, 503) and int(reply.headers["retry-after"]) < 1:
            status = "no time to wait"
    except httpx.HTTPError as error:
        status = type(error).__name__
    load.statuses[status] += 1
    return status


def measured(detector: Path, picture: bytes, queue: int, requests: int, clients: int) -> Load:
    """One server's life under load."""
    with served(detector, queue) as (url, process):
        load = asyncio.run(put_load(url, picture, requests, clients))
        load.memory = peak_memory(family(process))
    return load


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--requests", type=int, default=1000)
    arguments.add_argument("--clients", type=int, default=64)
    options = arguments.parse_args()
    results = Results("serve", "Requests to `aigenbench serve`")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        detector = write_detector(Path(name) / "small", SMALL)
        picture = write_pictures(Path(name) / "pictures", 1)[0].read_bytes()
        for title, queue in (("room for all", options.clients), ("a queue of 8", 8)):
            loads = [
                measured(detector, picture, queue, options.requests, options.clients) for _ in range(options.repeats)
            ]
            results.claim(f"{title}: requests lost", [load.lost(options.requests) for load in loads], "", "<= 0")
            results.claim(f"{title}: answers", [options.requests / load.total for load in loads], "/s")
            results.claim(f"{title}: memory of server and worker", [load.memory for load in loads], "MB", "<= 2000")
            for load in loads:
                quantiles = statistics.quantiles(load.seconds, n=20)
                rows.append([title, *(load.statuses[key] for key in (200, 429, 503)), quantiles[9], quantiles[18]])
    heading = (
        f"{options.requests:,} requests of {options.clients} clients, told to wait included; seconds to the answer"
    )
    results.table(heading, ["queue", "200", "429", "503", "median", "95 %"], rows)
    results.finish(options.json)


if __name__ == "__main__":
    main()
