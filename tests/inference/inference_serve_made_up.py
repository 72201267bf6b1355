"""For the tests of the page: three greys that get the three verdicts, and workers that are none."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from made_detector import write_detector
from PIL import Image
from starlette.applications import Starlette

from aigenbench.inference.serve.looks import Looker
from aigenbench.inference.serve.pool import Pool

REAL, UNSURE, GENERATED = 120, 185, 250
"""Grey values of pictures that get this verdict."""
BAND = (5.0, 5.55)


def two_detectors(folder: Path) -> list[Path]:
    """Two exported detectors of one name, the second of several crops."""
    return [write_detector(folder / strategy, strategy, BAND) for strategy in ("resize", "multicrop")]


def picture(grey: int, size: tuple[int, int] = (48, 64), kind: str = "PNG") -> bytes:
    """A plain picture's file; size is (height, width)."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


class PoolHere(Pool):
    """The same, with this process as its worker."""

    def __init__(self, folders: list[Path], queue: int = 16) -> None:
        super().__init__({}, 1, queue)
        self._looker = Looker([str(folder) for folder in folders], "cpu", 16, 1)
        self.detectors, self.ready = self._looker.described, 1

    async def look(self, wishes: Mapping[str, Any], picture: bytes) -> dict[str, Any]:
        return self._looker.look(picture, **wishes)


def ask(app: Starlette, method: str, path: str, base: str = "http://127.0.0.1:8000", **more: Any) -> httpx.Response:
    """One request, without a server."""

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
            return await client.request(method, path, **more)

    return asyncio.run(asked())


def files(*pictures: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Pictures as fields of a form."""
    return [("image", one) for one in pictures]


ONE = files(("secret-name.png", picture(REAL)))


@dataclass
class Server:
    """`aigenbench serve` in a process of its own, in an empty folder that is also where temporary files go."""

    process: subprocess.Popen[str]
    folder: Path
    client: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, **more: object) -> httpx.Response:
        return self.client.post("/api/detect", **({"files": ONE} | more))  # type: ignore[arg-type]

    def workers(self) -> list[int]:
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(status.parent.name))
        return found

    def until(self, **state: object) -> None:
        """Wait until it says so of itself."""
        end = time.monotonic() + 60
        while not state.items() <= self.get("/healthz").json().items():
            assert time.monotonic() < end
            time.sleep(0.1)


@contextmanager
def begun(folder: Path, *arguments: str) -> Iterator[Server]:
    folder.mkdir()
    with folder.with_suffix(".log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "aigenbench", "serve", "--port", "0", "--device", "cpu", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
        )
    assert process.stdout is not None
    with process, httpx.Client(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        client.base_url = process.stdout.readline().split()[0]
        yield Server(process, folder, client)
        process.kill()
