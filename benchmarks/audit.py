"""Audit of a made-up data set of tiny images, no two alike: time by stage, memory, and hashing beside bare decoding.

Tiny images show what the audit itself costs; decoding large ones comes on top, and the last figure says how much more
than decoding a look at an image of ordinary size takes.

    python benchmarks/audit.py [--images 20000] [--workers 2] [--repeats 1] [--json FILE]
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from aigenbench.data.pictures.decode import decode
from aigenbench.data.pictures.hashing import near_pairs
from aigenbench.protocol.timeline import PUBLISHED
from claims import Results
from curation import add_repeat, peak_memory, typed

SIDE, ORDINARY_SIDE = 48, 512
DECODED = 60


def picture(rng: np.random.Generator, side: int) -> bytes:
    """A JPEG file of soft shapes and some noise."""
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    shapes = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 16, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cv2.add(shapes, noise)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_set(folder: Path, count: int) -> None:
    """A data set of half reals, half fakes of all generators, a fifth of each for validation."""
    from aigenbench.data.sources.saved_layout import data_file, features_of, write_split_info
    from aigenbench.files import write_json

    rng, features, file = np.random.default_rng(0), features_of(), "data-00000-of-00001.arrow"
    for split, share in (("train", 4), ("validation", 1)):
        (folder / split).mkdir(parents=True)
        with data_file(folder / split / file, features) as write:
            for start in range(0, count * share // 5, 1000):
                write([_row(split, n, rng) for n in range(start, min(start + 1000, count * share // 5))])
        write_split_info(folder / split, split, [file], split, "", features)
    write_json(folder / "dataset_dict.json", {"splits": ["train", "validation"]})


def _row(split: str, number: int, rng: np.random.Generator) -> dict[str, object]:
    generator = PUBLISHED.names[number // 2 % len(PUBLISHED.names)] if number % 2 else ""
    return {
        "image": {"bytes": picture(rng, SIDE), "path": ""},
        "height": SIDE,
        "width": SIDE,
        "label": number % 2,
        "generator": generator,
        "file_id": f"{split}/{number}",
    }


def audit_once(source: str, workers: int) -> dict[str, float]:
    """Seconds of each stage, and peak memory in MB; alone in its process."""
    from aigenbench.curation.audit.auditing import audit

    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    worker = 0.0

    def progress(doing: str, done: int, total: int) -> None:
        nonlocal worker
        stage = doing.partition(" ")[0]
        worker = max(worker, *(peak_memory(child.pid) for child in multiprocessing.active_children()), 0.0)
        begun.setdefault(stage, time.perf_counter())
        ended[stage] = time.perf_counter()

    started = time.perf_counter()
    audit(source, workers=workers, progress=progress)
    whole = time.perf_counter() - started
    spent = {stage: ended[stage] - begun[stage] for stage in begun}
    return {**spent, "whole": whole, "process": peak_memory(os.getpid()), "worker": worker}


def beside_decoding() -> float:
    """How many times the processor time of decoding an image of ordinary size a look at it takes, taken in turns."""
    from aigenbench.curation.audit.looking import look

    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    files = [picture(rng, ORDINARY_SIDE) for _ in range(DECODED)]
    seconds = {decode: 0.0, look: 0.0}
    for data in files:
        for function in seconds:
            started = time.process_time()
            function(data)
            seconds[function] += time.process_time() - started
    return seconds[look] / seconds[decode]


def compare_hashes(count: int) -> float:
    """Seconds of processor time to find all near ones among so many random hashes."""
    hashes = np.random.default_rng(2).integers(0, 2**64, count, dtype=np.uint64)
    started = time.process_time()
    for _ in near_pairs(hashes):
        pass
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    options = typed(__doc__)
    measured = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        make_set(Path(name) / "set", options.images)
        for _ in range(options.repeats):
            add_repeat(measured, __file__, f"{name}/set", options.workers)
            measured["hashes"].append(compare_hashes(options.images))
            measured["ratio"].append(beside_decoding())
    results = Results("audit", f"Audit of {options.images:,} tiny images with {options.workers} workers")
    results.claim("the whole audit", measured["whole"], "s")
    results.claim("of it, a look at every image", measured["looking"], "s")
    results.claim("of it, pictures that stand twice", measured["comparing"], "s")
    results.claim(f"near ones among {options.images:,} hashes, processor time", measured["hashes"], "s")
    results.claim("peak memory of the process", measured["process"], "MB")
    results.claim("peak memory of a worker", measured["worker"], "MB")
    results.claim(f"a look at a JPEG of {ORDINARY_SIDE} x {ORDINARY_SIDE} beside decoding it", measured["ratio"], "x")
    results.finish(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(audit_once(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
