"""Images a second out of the data loader, with its workers, in wall time: ours against the plain implementation.

Both read the same files from a folder, make batches with as many worker processes, and end with normalised float
tensors in the main process. A pass is timed from when as many batches have come as there are workers, so that starting
these, which a run of any length does once a pass, is left out. Ours and the plain one take turns, so the ratio of a
repeat shares its circumstances; run it on an idle machine.

    python benchmarks/loader.py [--images 480] [--workers 2] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
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
from aigenbench.data.batches import TrainingBatches
from aigenbench.protocol.timeline import PUBLISHED
from plain_reference import MEAN, STD, PlainEvaluation, PlainTraining
from sample_pipeline import SIDE, make_files, spread

BATCH = 16
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
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    def normalised(loader: Iterable[Any]) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        for batch in loader:
            yield batch.images.float().sub_(mean).div_(std), batch.labels

    def train() -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        def batches(rows: int, copies: int) -> TrainingBatches:
            return TrainingBatches(rows, copies, pipeline.arithmetic(), 1, 0, next(epochs))

        return normalised(pipeline.training_loader(plan, Hooks(), batches, 0))

    return {"train": train, "evaluate": lambda: normalised(pipeline.evaluation_loader(plan, Hooks(), "validate"))}


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


def images_per_second(run: Pass, workers: int) -> float:
    """Over one pass, from the batch on that completes the first round of the workers."""
    start, count = time.perf_counter(), 0
    for number, (images, labels) in enumerate(run(), start=1):
        assert images.shape[1:] == (3, SIDE, SIDE)
        assert images.dtype == torch.float32
        count += len(labels)
        if number == workers:
            start, count = time.perf_counter(), 0
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure, print, and with ``--json`` write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=480, help="files in the made-up set")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="passes of each loader")
    parser.add_argument("--json", type=Path, help="write the rates and ratios there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rates: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_folder(Path(folder), options.images)
        by_maker = {"ours": ours(Path(folder), options.workers), "plain": plain(paths, options.workers)}
        for _ in range(options.repeats):
            for stage in ("train", "evaluate"):
                for maker, passes in by_maker.items():
                    rates[f"{maker}, {stage}"].append(images_per_second(passes[stage], options.workers))
    ratios = {
        stage: [a / b for a, b in zip(rates[f"ours, {stage}"], rates[f"plain, {stage}"], strict=True)]
        for stage in ("train", "evaluate")
    }
    print(f"{options.workers} workers, {os.cpu_count()} processors, batches of {BATCH}\n")
    print(f"| loader | images/s, median of {options.repeats} (least to greatest) |\n|---|---:|")
    for name, values in rates.items():
        print(f"| {name} | {spread(values)} |")
    print("\n| ours against plain | median (least to greatest) |\n|---|---:|")
    for stage, values in ratios.items():
        print(f"| {stage} | {spread(values)} |")
    if options.json:
        options.json.write_text(json.dumps({"images_per_second": rates, "ratios": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
