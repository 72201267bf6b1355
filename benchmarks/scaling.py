"""How cost grows with rows, predictions, workers and windows; writes docs/images/scaling.png.

Rows: opening the data set, the plan and its fingerprint. Predictions: everything computed at one validation. Workers:
images a second through the training loader (baseline recipe, 64 x 64 files). Windows: seconds from one window's end to
the next one's in a whole `aigenbench fit`, its windows of equal size (`continual_learning`: a window must not cost more
because others came before it) and of growing size (`cumulative`).

    python benchmarks/scaling.py [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.samples.batches import TrainingBatches
from aigenbench.evaluation.metrics.periods import evaluate
from aigenbench.evaluation.predictions.record import load_predictions
from claims import Results, parser
from made_up_data import make_data
from set_up import Hooks
from true_size import make_experiment

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "scaling.png"
TRAIN_PER_GENERATOR = (40, 400, 4000)
EVALUATED_PER_GENERATOR = (10, 100, 1000)
WORKERS = (0, 1, 2)
BATCH, BATCHES = 32, 60
WINDOWED = {"train": 16, "validation": 4}
Points = dict[int, list[float]]


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def pipeline_of(data: Path, workers: int = 0) -> AIGenBenchPipeline:
    """A pipeline on a data set not opened yet."""
    return AIGenBenchPipeline(AIGenBenchDatasetLoader(str(data)), BATCH, num_workers=workers)


def against_rows(folder: Path, repeats: int) -> Points:
    """Seconds of set-up by number of training rows."""
    points: Points = {}
    for count in TRAIN_PER_GENERATOR:
        data = folder / f"rows_{count}"
        make_data(data, {"train": count, "validation": count // 4})

        def set_up(data: Path = data) -> None:
            pipeline = pipeline_of(data)
            pipeline.plan().fingerprint(pipeline.describe_mandatory_evaluation(), 0)

        points[72 * count] = [seconds(set_up) for _ in range(repeats)]
    return points


def against_predictions(folder: Path, repeats: int) -> Points:
    """Seconds of all metrics of a window by number of predictions."""
    points: Points = {}
    for count in EVALUATED_PER_GENERATOR:
        make_experiment(folder / str(count), count)
        predictions = load_predictions(folder / str(count) / "window_4" / "predictions_validate_all.npz")
        points[len(predictions)] = [seconds(lambda p=predictions: evaluate(p, 4)) for _ in range(repeats)]
    return points


def against_workers(data: Path, repeats: int) -> Points:
    """Training images a second by number of workers; the start of the workers is not counted."""
    points: Points = {workers: [] for workers in WORKERS}
    for workers in (w for _ in range(repeats) for w in WORKERS):
        pipeline = pipeline_of(data, workers)
        plan, window = pipeline.plan(), 8
        rows, copies = len(plan.training.rows(window)), pipeline.augmentation_factor
        batches = TrainingBatches(rows, copies, pipeline.arithmetic(), 1, window, 0)
        iterator = iter(pipeline.training_loader(plan, Hooks(), batches, window))
        for _ in islice(iterator, 4 * max(1, workers)):
            pass  # what was fetched ahead
        spent = seconds(lambda iterator=iterator: [None for _ in islice(iterator, BATCHES)])
        points[workers].append(BATCH * BATCHES / spent)
        del iterator
    return points


def against_windows(data: Path, benchmark_type: str) -> list[float]:
    """Seconds of each window but the first, whose time holds the start of the process too."""
    pipeline, section = "benchmark_pipelines/base_benchmark_sliding_windows.yaml", "experiment_info"
    arguments = {
        "--config": pipeline,
        "--dataset_path": str(data),
        "--trainer.accelerator": "cpu",
        "--data.num_workers": "0",
        "--data.augmentation_factor": "1",
        "--model.model_input_size": "32",
        f"--{section}.sliding_windows_definition.benchmark_type": benchmark_type,
    }
    typed = [word for pair in arguments.items() for word in pair]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "aigenbench",
            "fit",
            *typed,
            "--config",
            "small_cnn/small_cnn_tune_resize.yaml",
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            ends = [time.perf_counter() for line in process.stderr if re.search(r"window \d/9: AUROC", line)]
    assert len(ends) == 9, "nine windows end"
    return [after - before for before, after in pairwise(ends)]


def draw(rows: Points, predictions: Points, workers: Points, windows: dict[str, list[list[float]]]) -> None:
    """The four curves, medians and spreads, as one picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    _curve(axes[0, 0], rows, "Set-up", "training rows", "s", log=True)
    _curve(axes[0, 1], predictions, "Metrics of a validation", "predictions", "s", log=True)
    _curve(axes[1, 0], workers, "Training loader", "workers", "images/s")
    axes[1, 0].set_xticks(WORKERS)
    for name, runs in windows.items():
        points = {k + 2: list(values) for k, values in enumerate(zip(*runs, strict=True))}
        _curve(axes[1, 1], points, "A window of a run", "window", "s", label=name)
    axes[1, 1].legend(frameon=False)
    for axis in axes[1]:
        axis.set_ylim(bottom=0)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _curve(axis: Any, points: Points, title: str, x: str, y: str, log: bool = False, label: str = "") -> None:
    medians = [statistics.median(values) for values in points.values()]
    below = [m - min(values) for m, values in zip(medians, points.values(), strict=True)]
    above = [max(values) - m for m, values in zip(medians, points.values(), strict=True)]
    axis.errorbar(list(points), medians, yerr=[below, above], marker="o", markersize=4, capsize=3, label=label)
    axis.set(title=title, xlabel=x, ylabel=y)
    if log:
        axis.set(xscale="log", yscale="log")
    axis.grid(alpha=0.3)


def main() -> None:
    """Measure, draw and print."""
    options = parser(__doc__).parse_args()
    results = Results("scaling", "Scaling")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = against_rows(folder, options.repeats)
        predictions = against_predictions(folder, options.repeats)
        workers = against_workers(folder / f"rows_{TRAIN_PER_GENERATOR[1]}", options.repeats)
        make_data(folder / "windows", WINDOWED)
        windows = {
            kind: [against_windows(folder / "windows", kind) for _ in range(options.repeats)]
            for kind in ("continual_learning", "cumulative")
        }
    draw(rows, predictions, workers, windows)
    for count, values in rows.items():
        results.claim(f"set-up at {count:,} training rows", values, "s", "<= 0.5")
    for count, values in predictions.items():
        results.claim(f"metrics at {count:,} predictions", values, "s", "<= 0.5")
    speedup = [two / none for none, two in zip(workers[0], workers[2], strict=True)]
    results.claim("training loader: 2 workers against none", speedup, "x")
    equal = [run[-1] / statistics.median(run[:3]) for run in windows["continual_learning"]]
    results.claim("windows of equal size: the last against the first ones", equal, "x", "<= 1.25")
    results.table(
        "Seconds a window (medians)",
        ["window", *windows],
        [[k + 2, *(statistics.median(run[k] for run in runs) for runs in windows.values())] for k in range(8)],
    )
    results.plots["Cost against rows, predictions, workers and windows"] = PICTURE.name
    results.finish(options.json)


if __name__ == "__main__":
    main()
