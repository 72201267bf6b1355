"""Processor time of forward passes in the main process, with and without keeping the memory that they free.

What embedding and evaluation do on a processor: batches of pixels are normalised and run through a network without
gradients (random weights, one thread). "Embedding" is a vision transformer (vit_tiny, 64 images of 224 pixels),
"multicrop evaluation" OpenAI's CLIP ResNet-50 on 16 crops; tuning, whose backward pass holds what it needs, is measured
beside them. Every measurement is a process of its own, with and without in turns, since the C library's settings last.

    python benchmarks/forward_memory.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any

from claims import Results, parser

CASES = {
    "embedding": ("timm/vit_tiny_patch16_224_probe", 64, 4),
    "multicrop evaluation": ("openai/RN50_probe", 16, 4),
    "tuning": ("timm/vit_tiny_patch16_224_tune", 16, 4),
}


def measure(case: str, kept: bool) -> dict[str, float]:
    """Processor seconds, page faults and greatest memory of some batches of a case, the first left out."""
    import torch

    from aigenbench.augmentations import freed_memory_kept
    from aigenbench.models import build_model
    from aigenbench.models.preprocessing import normalised

    torch.set_num_threads(1)
    name, n, batches = CASES[case]
    model: Any = build_model(name, 1, pretrained=False)
    images = torch.randint(0, 256, (n, 3, 224, 224), dtype=torch.uint8)
    mean, std = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.25)

    def step() -> None:
        if case == "tuning":
            model.train()(normalised(images, mean, std)).sum().backward()
            return
        with torch.no_grad():
            model.eval()(normalised(images, mean, std))

    with freed_memory_kept() if kept else nullcontext():
        step()
        faults, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        for _ in range(batches):
            step()
        seconds = time.process_time() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "faults": used.ru_minflt - faults, "megabytes": used.ru_maxrss / 1024}


def in_a_process(case: str, kept: bool) -> dict[str, float]:
    """``measure`` in a process of its own."""
    command = [sys.executable, __file__, "--case", case, *(["--kept"] if kept else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure, print, and with ``--json`` write what was measured."""
    arguments = parser(__doc__)
    arguments.add_argument("--case", choices=CASES, help="measure this alone, in this process")
    arguments.add_argument("--kept", action="store_true")
    options = arguments.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.kept)))
        return
    results = Results("forward_memory", "Memory kept between batches")
    rows = []
    for case in CASES:
        pairs = [(in_a_process(case, False), in_a_process(case, True)) for _ in range(options.repeats)]
        saved = [100 * (1 - kept["seconds"] / freed["seconds"]) for freed, kept in pairs]
        results.claim(f"processor time saved, {case}", saved, "%", "" if case == "tuning" else ">= 10")
        for how, index in (("returned", 0), ("kept", 1)):
            middle = {key: statistics.median(pair[index][key] for pair in pairs) for key in pairs[0][0]}
            rows.append([f"{case}, freed memory {how}", middle["seconds"], middle["faults"], middle["megabytes"]])
    results.table("By case", ["what", "processor s", "page faults", "greatest MB"], rows)
    results.finish(options.json)


if __name__ == "__main__":
    main()
