"""Import of a made-up collection of tiny images: time by stage, and the memory of the process and of a worker.

Tiny images show what the import itself costs; decoding large ones comes on top. `datasets` and our own reader then open
what was written.

    python benchmarks/curation.py [--images 20000] [--workers 2] [--repeats 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from aigenbench.data.sources.opening import open_source
from aigenbench.protocol.timeline import PUBLISHED
from claims import Results, parser
from made_up_data import DISTINCT, tiny_images

STAGES = ("list the files", "look at every image", "write")


def make_folder(root: Path, count: int) -> None:
    """Half real, half fakes of all generators, a file each."""
    files = tiny_images(np.random.default_rng(0))
    for number in range(count):
        maker = PUBLISHED.names[number // 2 % len(PUBLISHED.names)]
        folder = root / (f"fake/{maker}/{number // 1000:04d}" if number % 2 else f"real/{number // 1000:04d}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:07d}.jpg").write_bytes(files[number % DISTINCT])


def peak_memory(pid: int | None) -> float:
    """The most that a process has held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def import_once(source: str, out: str, workers: int) -> dict[str, float]:
    """Seconds of each stage, and peak memory in MB; alone in its process."""
    from aigenbench.curation import import_data

    begun = [time.perf_counter()]
    worker = 0.0
    stages: list[str] = []

    def progress(doing: str, done: int, total: int) -> None:
        nonlocal worker
        worker = max(worker, *(peak_memory(child.pid) for child in multiprocessing.active_children()), 0.0)
        if doing not in stages:
            stages.append(doing)
            begun.append(time.perf_counter())

    import_data(source, out=out, workers=workers, progress=progress)
    spent = np.diff([*begun, time.perf_counter()]).tolist()
    return {**dict(zip(STAGES, spent, strict=True)), "process": peak_memory(os.getpid()), "worker": worker}


def typed(doc: str | None) -> argparse.Namespace:
    """The options of a measurement of many tiny images."""
    arguments = parser(doc, repeats=1)
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--workers", type=int, default=2)
    return arguments.parse_args()


def add_repeat(measured: dict[str, list[float]], script: str, *arguments: object) -> None:
    """Add the figures that a script gives with ``--one``, alone in its process."""
    command = [sys.executable, script, "--one", *map(str, arguments)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    for key, value in json.loads(found.stdout).items():
        measured[key].append(value)


def main() -> None:
    """Measure and print."""
    options = typed(__doc__)
    measured = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder / "source", options.images)
        for repeat in range(options.repeats):
            add_repeat(measured, __file__, folder / "source", folder / f"{repeat}", options.workers)
            started = time.perf_counter()
            open_source(folder / f"{repeat}")
            measured["open"].append(time.perf_counter() - started)
    results = Results("curation", f"Import of {options.images:,} tiny images with {options.workers} workers")
    for stage in STAGES:
        results.claim(stage, measured[stage], "s")
    results.claim("open what was written", measured["open"], "s")
    results.claim("peak memory of the process", measured["process"], "MB")
    results.claim("peak memory of a worker", measured["worker"], "MB")
    results.finish(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(import_once(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
