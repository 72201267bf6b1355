"""Memory: what a loader worker holds for itself, by the size of the data set, and what an evaluation leaves behind.

A worker's unique memory is the private part of /proc/PID/smaps_rollup: clean (pages of mapped files that it alone has
touched) and dirty. Measured with 2 workers after some batches of the last window's training loader and of
the evaluation loader, each size of data set in a process of its own, with Lightning and a detector loaded.
The main process is measured over repeated evaluations, by tracemalloc: what one leaves behind the next would add to.

    python benchmarks/memory.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from claims import Results, parser
from made_up_data import TRUE_SIZE, make_data

SMALL = {"train": 40, "validation": 10}
MIDDLE = {"train": 2, "validation": 25}
WORKERS, BATCH, BATCHES = 2, 32, 20
SIDE = 64
ROWS = {"2,880 rows": SMALL, "288,000 rows": TRUE_SIZE}
LOADERS = ("training", "evaluation")
MEGABYTE = 1e6
Sizes = dict[str, float]


def private_memory(pid: int) -> Sizes:
    """Private memory of a process in MB: clean, dirty, and both (``unique``)."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Private_Clean", "Private_Dirty"):
            sizes[name.removeprefix("Private_").lower()] = int(rest.split()[0]) * 1024 / MEGABYTE
    return {**sizes, "unique": sum(sizes.values())}


def make_objects(data: Path, workers: int) -> tuple[Any, Any, Any]:
    """Pipeline, plan and detector as a run has them."""
    from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

    detector = BaseDeepfakeDetectionModel(
        "small_cnn_tune", model_input_size=SIDE, model_args={"pretrained": False}, preprocessing=None
    )
    pipeline = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(data)), BATCH, BATCH, workers)
    return pipeline, pipeline.plan(), detector


def measure_workers(data: Path) -> dict[str, list[Sizes]]:
    """Private memory of each worker of the training and the evaluation loader, after `BATCHES` batches."""
    from aigenbench.data.samples.batches import TrainingBatches

    pipeline, plan, detector = make_objects(data, WORKERS)
    window = len(plan.windows) - 1

    rows, copies = len(plan.training.rows(window)), pipeline.augmentation_factor
    batches = TrainingBatches(rows, copies, pipeline.arithmetic(), 1, window, 0)
    loaders = {
        "training": lambda: pipeline.training_loader(plan, detector, batches, window),
        "evaluation": lambda: pipeline.evaluation_loader(plan, detector, "validate"),
    }
    found = {}
    for name, loader in loaders.items():
        iterator = iter(loader())
        seen = sum(1 for _ in islice(iterator, BATCHES))
        assert seen == BATCHES, "the data set holds enough batches"
        found[name] = [private_memory(worker.pid) for worker in iterator._workers]
        del iterator
    return found


def measure_main(data: Path) -> Sizes:
    """Of the main process, as Python and NumPy allocate, MB: growth over an evaluation, and the size of its result."""
    import lightning.pytorch as pl

    from aigenbench.training.window.evaluating import evaluate_detector, log_evaluation
    from aigenbench.training.window.inputs import Setup

    pipeline, plan, detector = make_objects(data, WORKERS)
    nothing: Any = None  # neither is used in an evaluation
    setup = Setup(nothing, nothing, pipeline, detector, plan, "0" * 16, 0)
    quiet = {f"enable_{part}": False for part in ("checkpointing", "progress_bar", "model_summary")}

    def evaluate() -> float:
        trainer = pl.Trainer(accelerator="cpu", logger=False, **quiet)
        predictions = evaluate_detector(setup, trainer, 0, "validate")
        log_evaluation(setup, [], predictions, 0, 0, "window 1/9")
        arrays = (value for value in vars(predictions).values() if isinstance(value, np.ndarray))
        return sum(array.nbytes for array in arrays) / MEGABYTE

    def held() -> float:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / MEGABYTE

    evaluate()  # what the first imports and caches is not counted
    tracemalloc.start()
    evaluate()
    before = held()
    size = evaluate()
    return {"growth": held() - before, "result": size}


def in_process(task: str, data: Path) -> Any:
    """What a task prints as JSON, run in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_task(task: str, data: Path) -> None:
    """The other side of `in_process`."""
    print(json.dumps(measure_workers(data) if task == "workers" else measure_main(data)))


def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    results = Results("memory", "Memory")
    found: dict[tuple[str, str], list[Sizes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, per_generator in ROWS.items():
            make_data(Path(folder) / name, per_generator)
        for _ in range(options.repeats):
            for name in ROWS:
                for loader, workers in in_process("workers", Path(folder) / name).items():
                    found.setdefault((name, loader), []).extend(workers)
        make_data(Path(folder) / "middle", MIDDLE)
        main_process = [in_process("main", Path(folder) / "middle") for _ in range(options.repeats)]
    small, large = ROWS
    for loader in LOADERS:
        few, many = ([sizes["unique"] for sizes in found[rows, loader]] for rows in (small, large))
        results.claim(f"{loader}: unique memory of a worker at {small}", few, "MB")
        results.claim(f"{loader}: unique memory of a worker at {large} (the original framework: 130)", many, "MB")
        results.claim(f"{loader}: growth, largest worker against smallest", max(many) - min(few), "MB", "<= 20")
    of_result, growth = ([sizes[key] for sizes in main_process] for key in ("result", "growth"))
    results.claim("main process: predictions of one evaluation of 1,800 images", of_result, "MB")
    shares = [grown / size for grown, size in zip(growth, of_result, strict=True)]
    results.claim("main process: growth over a further evaluation, share of that", shares, "", "<= 0.25")
    results.table(
        f"A worker's private memory after {BATCHES} batches of {BATCH}, MB (medians)",
        ["loader", "data set", "clean", "dirty", "unique"],
        [
            [loader, rows, *(statistics.median(s[k] for s in sizes) for k in ("clean", "dirty", "unique"))]
            for (rows, loader), sizes in found.items()
        ],
    )
    results.finish(options.json)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--task", choices=("workers", "main"), help=argparse.SUPPRESS)
    arguments.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.task:
        run_task(chosen.task, chosen.data)
    else:
        main(chosen)
