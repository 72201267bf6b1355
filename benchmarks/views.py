"""Images a second from stored views (warm) against computing them (cold), through the loaders that a run uses.

Wall time, two workers; the files of ``sample_pipeline.py``, each under many rows; views lie in the system's page cache.
The warm rate leaves out the start of the workers, which a run pays once an epoch. Every repeat measures cold, the
build, and warm one after the other, so a repeat's ratios share its circumstances.

    python benchmarks/views.py [--images 120] [--rows 960] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy loads its matrix library

import csv
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aigenbench.augmentations import BaselineTraining, EvaluationCrops, StochasticTraining
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.data.samples.batches import TrainingBatches
from aigenbench.data.samples.collation import collate
from aigenbench.data.samples.loading import make_loader
from claims import Results, parser
from sample_pipeline import make_files

SIDE = 224
COPIES = 4
GENERATORS = ("CycleGAN", "ProGAN")
WARM_SECONDS = 4.0
"""About how long a warm measurement takes: the views are read over and over."""
GOAL = ">= 20"


class Hooks:
    """The shipped detectors' augmentations."""

    def train_augmentation(self) -> Any:
        """The baseline recipe, then rotation, flip and resize."""
        return BaselineTraining(), StochasticTraining("resize", (SIDE, SIDE))

    def evaluation_augmentation(self, stage: str) -> Any:
        """None."""
        return None, None

    def evaluation_crops(self, stage: str) -> Any:
        """The resized image."""
        return EvaluationCrops("resize", (SIDE, SIDE))


class Repeated:
    """A batch sampler gone through several times, so that one start of the workers serves them all."""

    def __init__(self, batches: Any, times: int) -> None:
        self.batches, self.times = batches, times

    def __len__(self) -> int:
        return len(self.batches) * self.times

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.times):
            yield from self.batches


def write_dataset(folder: Path, images: int, rows: int) -> None:
    """``rows`` rows a split over ``images`` files, half of them real."""
    files = make_files(images, 1)
    for i, data in enumerate(files):
        (folder / f"{i}.image").write_bytes(data)
    with (folder / "index.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("path", "label", "generator", "split"))
        for split, n in (("train", rows // COPIES), ("validation", rows)):
            for row in range(n):
                generator = GENERATORS[row // 2 % 2] if row % 2 else ""
                writer.writerow((f"{row % images}.image", "fake" if generator else "real", generator, split))


def rate(loader: Any, times: int) -> float:
    """Images a second of wall time.

    Read several ``times``, it counts from where the batches that had been waiting for the first one are used up.
    """
    repeated = make_loader(loader.dataset, Repeated(loader.batch_sampler, times), collate, loader.num_workers)
    start, arrived = time.perf_counter(), iter(repeated)
    if times > 1:
        for _ in range(1 + loader.num_workers * repeated.prefetch_factor):
            next(arrived)
        start = time.perf_counter()
    count = sum(len(batch.labels) for batch in arrived)
    return count / (time.perf_counter() - start)


def loaders(pipeline: AIGenBenchPipeline, plan: Plan) -> dict[str, Callable[[], Any]]:
    """Makers of the loaders of both splits; making one builds what its views lack."""
    rows = len(plan.training.rows(0))

    def training() -> Any:
        batches = TrainingBatches(rows, COPIES, pipeline.arithmetic(), 1, 0, 0)
        return pipeline.training_loader(plan, Hooks(), batches, 0)

    return {"evaluation": lambda: pipeline.evaluation_loader(plan, Hooks(), "validate"), "training": training}


def measure(data: Path, cache: Path, workers: int) -> dict[str, float]:
    """One repeat: rates of computing, building and reading, and the ratios, of both splits."""
    loader = AIGenBenchDatasetLoader(str(data))
    options: dict[str, Any] = {"num_workers": workers, "cache_folder": str(cache)}
    plain, stored = AIGenBenchPipeline(loader, **options), AIGenBenchPipeline(loader, cache="all", **options)
    plan = plain.plan(2)
    found = {}
    for split, make in loaders(stored, plan).items():
        cold = rate(loaders(plain, plan)[split](), 1)
        start = time.perf_counter()
        warm_loader = make()
        seconds = time.perf_counter() - start
        n = len(plan.evaluation.ids) if split == "evaluation" else len(plan.training.rows(0)) * COPIES
        warm = rate(warm_loader, max(2, round(WARM_SECONDS * 20 * cold / n)))
        found |= {
            f"{split}: cold, images/s": cold,
            f"{split}: build, images/s": n / seconds,
            f"{split}: warm, images/s": warm,
            f"{split}: warm / cold": warm / cold,
            f"{split}: build / cold": n / seconds / cold,
        }
    return found


def main() -> None:
    """Measure, print, and with ``--json`` write what was measured."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=120, help="files in the made-up set")
    arguments.add_argument("--rows", type=int, default=960, help="samples of either split")
    arguments.add_argument("--workers", type=int, default=2)
    options = arguments.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        write_dataset(data, options.images, options.rows)
        for repeat in range(options.repeats):
            cache = Path(folder, f"cache{repeat}")
            for name, value in measure(data, cache, options.workers).items():
                found[name].append(value)
            shutil.rmtree(cache)
    results = Results("views", "Stored views")
    for name, values in found.items():
        unit = "images/s" if name.endswith("images/s") else "x"
        results.claim(name.removesuffix(", images/s"), values, unit, GOAL if name.endswith("warm / cold") else "")
    results.finish(options.json)


if __name__ == "__main__":
    main()
