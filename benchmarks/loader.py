"""Images a second out of the data loader, with its workers, in wall time: ours against the plain implementation.

Both read the same files from a folder, make batches with as many worker processes, and end with normalised float
tensors in the main process. Decoding alone, by the fastest decoder that gives Pillow's pixels, is what no loader can
be faster than: its workers read and decode, and hand on labels alone. A pass is timed from when as many batches have
come as there are workers, so that starting these, which a run of any length does once a pass, is left out. All take
turns, so the ratio of a repeat shares its circumstances; run it on an idle machine.

    python benchmarks/loader.py [--images 480] [--workers 2] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from aigenbench.augmentations import BaselineTraining, EvaluationCrops, StochasticTraining
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.samples.batches import TrainingBatches
from aigenbench.models.preprocessing import normalised
from aigenbench.protocol.timeline import PUBLISHED
from claims import Results, parser
from plain_reference import MEAN, STD, PlainEvaluation, PlainTraining
from sample_pipeline import SIDE, fastest_exact, make_files

BATCH = 16
GOALS = {"train": (3, 0.33), "evaluate": (2, 0.4)}
"""By stage: against the plain implementation, against decoding alone."""
Pass = Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]]


class Hooks:
    """The shipped augmentations, with ``resize``."""

    def train_augmentation(self) -> tuple[BaselineTraining, StochasticTraining]:
        """The baseline recipe, then turns and flips."""
        return BaselineTraining(), StochasticTraining("resize", (SIDE, SIDE))

    def evaluation_augmentation(self, stage: str) -> tuple[None, None]:
        """Nothing beside the mandatory steps."""
        return None, None

    def evaluation_crops(self, stage: str) -> EvaluationCrops:
        """The whole picture, resized."""
        return EvaluationCrops("resize", (SIDE, SIDE))


class PlainImages(Dataset):
    """Files through a function of their bytes, with their labels."""

    def __init__(self, paths: list[Path], make: Callable[[bytes], torch.Tensor]) -> None:
        self.paths, self.make = paths, make

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.make(self.paths[index].read_bytes()), index % 2


def write_folder(folder: Path, count: int) -> list[Path]:
    """``count`` made-up files, every other one real, as training and as evaluation images of an indexed folder."""
    paths = []
    with (folder / "index.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "label", "generator", "split"])
        for i, data in enumerate(make_files(count, 1)):
            paths.append(folder / f"{i}.img")
            paths[-1].write_bytes(data)
            label, generator = ("fake", PUBLISHED.names[(i // 2) % 4]) if i % 2 else ("real", "")
            for split in ("train", "validation"):
                writer.writerow([paths[-1].name, label, generator, split])
    return paths


def ours(folder: Path, workers: int) -> dict[str, Pass]:
    """Passes over the pipeline's own loaders."""
    pipeline = AIGenBenchPipeline(
        AIGenBenchDatasetLoader(str(folder)),
        train_batch_size=BATCH,
        eval_batch_size=BATCH,
        num_workers=workers,
        augmentation_factor=1,
    )
    plan, epochs = pipeline.plan(benchmark_type="none"), iter(range(10**6))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    def finished(loader: Iterable[Any]) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        for batch in loader:
            yield normalised(batch.images, mean, std), batch.labels

    def train() -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        batches = TrainingBatches(len(plan.training.rows(0)), 1, pipeline.arithmetic(), 1, 0, next(epochs))
        return finished(pipeline.training_loader(plan, Hooks(), batches, 0))

    return {"train": train, "evaluate": lambda: finished(pipeline.evaluation_loader(plan, Hooks(), "validate"))}


def plain(paths: list[Path], workers: int) -> dict[str, Pass]:
    """Passes over torch's loader as one sets it up by hand."""

    def seed_worker(_: int) -> None:
        seed = torch.initial_seed() % 2**32
        random.seed(seed)
        np.random.seed(seed)

    def loader(files: list[Path], make: Callable[[bytes], torch.Tensor], **options: bool) -> DataLoader:
        images = PlainImages(files, make)
        return DataLoader(images, batch_size=BATCH, num_workers=workers, worker_init_fn=seed_worker, **options)

    return {
        "train": lambda: loader(paths, PlainTraining(SIDE), shuffle=True, drop_last=True),
        "evaluate": lambda: loader(paths, PlainEvaluation(SIDE)),
    }


def decoding(paths: list[Path], workers: int) -> Pass:
    """Passes that decode the files and give no pixels."""
    decode = fastest_exact([path.read_bytes() for path in paths])

    def nothing_of(data: bytes) -> torch.Tensor:
        decode(data)
        return torch.empty(0)

    return lambda: DataLoader(PlainImages(paths, nothing_of), batch_size=BATCH, num_workers=workers)


def images_per_second(run: Pass, workers: int) -> float:
    """Over one pass, from the batch on that completes the first round of the workers."""
    start, count = time.perf_counter(), 0
    for number, (images, labels) in enumerate(run(), start=1):
        assert images.shape[1:] in ((3, SIDE, SIDE), (0,))
        assert images.dtype == torch.float32
        count += len(labels)
        if number == workers:
            start, count = time.perf_counter(), 0
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure, print, and with ``--json`` write what was measured."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=480, help="files in the made-up set")
    arguments.add_argument("--workers", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    rates: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_folder(Path(folder), options.images)
        decode = decoding(paths, options.workers)
        by_maker = {"ours": ours(Path(folder), options.workers), "plain": plain(paths, options.workers)}
        for _ in range(options.repeats):
            rates["decoding alone"].append(images_per_second(decode, options.workers))
            for stage in GOALS:
                for maker, passes in by_maker.items():
                    rates[f"{maker}, {stage}"].append(images_per_second(passes[stage], options.workers))
    results = Results("loader", "Samples through the loader")
    for stage, goals in GOALS.items():
        others = {"the plain implementation": f"plain, {stage}", "decoding alone": "decoding alone"}
        for (other, key), goal in zip(others.items(), goals, strict=True):
            values = [a / b for a, b in zip(rates[f"ours, {stage}"], rates[key], strict=True)]
            results.claim(f"{stage}: ours against {other}, {options.workers} workers", values, "x", f">= {goal}")
    for name, values in rates.items():
        results.claim(name, values, "images/s")
    results.finish(options.json)


if __name__ == "__main__":
    main()
