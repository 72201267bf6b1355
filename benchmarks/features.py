"""A nine-window probe with and without stored features, and what a second learning rate costs.

Demo data, a small vision transformer (vit_tiny, 224 pixels, its weights drawn at random), one orientation for each
image and copy, two loader workers and one thread of torch. Whole runs of `aigenbench fit` inside one process, imports
left out; runs with and without stored features take turns.

    python benchmarks/features.py [--train 4 3] [--validation 2] [--repeats 3] [--long 3] [--json FILE]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy loads its matrix library

import contextlib
import io
import logging
import shutil
import tempfile
import time
from pathlib import Path

import torch

import aigenbench.cli
from claims import Results, parser, three

MODEL = ("--model.model_name=timm/vit_tiny_patch16_224_probe", "--model.model_args.pretrained=false")
CACHED = "--data.features=cache"
HEADS = "--experiment_info.heads=[{lr: 0.01}]"


def run(folder: Path, name: str, *more: str) -> float:
    """Seconds of a whole run over the data in ``folder``, under an experiment id of its own."""
    argv = [
        "fit",
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        f"--dataset_path={folder / 'data'}",
        *MODEL,
        "--data.train_batch_size=64",
        "--data.eval_batch_size=64",
        "--data.num_workers=2",
        "--data.orientation=per_copy",
        f"--data.cache_folder={folder / 'cache'}",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        f"--experiment_info.experiments_data_folder={folder / 'runs'}",
        f"--experiment_info.experiment_id={name}",
        *more,
    ]
    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        code = aigenbench.cli.main(argv)
    if code:
        raise SystemExit(f"the run {name} ended with {code}")
    return time.monotonic() - started


def measure(folder: Path, epochs: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds without and with stored features, the store empty before each."""
    without, stored = [], []
    for i in range(repeats):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        # each window is evaluated once
        length = (f"--trainer.max_epochs={epochs}", f"--trainer.check_val_every_n_epoch={epochs}")
        stored.append(run(folder, f"stored_{epochs}_{i}", CACHED, *length))
        without.append(run(folder, f"without_{epochs}_{i}", *length))
        print(f"{epochs} epochs: {without[-1]:.1f} s without, {stored[-1]:.1f} s with stored features", flush=True)
    return without, stored


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--train", type=int, nargs=2, default=(4, 3), help="train fakes of each generator, at one and at four epochs"
    )
    arguments.add_argument("--long", type=int, default=3, help="measurements at four epochs, of some ten minutes each")
    arguments.add_argument("--validation", type=int, default=2, help="evaluated fakes of each generator")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    results = Results("features", "Probes from stored features")
    with tempfile.TemporaryDirectory() as name:
        seconds = {}
        for epochs, train, goal in ((4, options.train[1], ">= 12"), (1, options.train[0], ">= 4")):
            folder = Path(name) / f"epochs_{epochs}"
            sizes = ["--train", str(train), "--validation", str(options.validation)]
            aigenbench.cli.main(["demo-data", str(folder / "data"), *sizes])
            logging.getLogger("aigenbench").setLevel(logging.WARNING)
            run(folder, "warm_up", CACHED, "--experiment_info.sliding_windows_definition.current_window=0")
            without, stored = seconds[epochs] = measure(
                folder, epochs, options.long if epochs == 4 else options.repeats
            )
            ratios = [a / b for a, b in zip(without, stored, strict=True)]
            results.claim(
                f"whole run without against with stored features, {epochs} epochs a window", ratios, "x", goal
            )
        # all is stored by now: runs that differ in their heads alone, in turns
        alone, two = [], []
        for i in range(options.repeats):
            alone.append(run(folder, f"alone_{i}", CACHED))
            two.append(run(folder, f"two_{i}", CACHED, HEADS))
        first = seconds[1][1]
        shares = [100 * (b - a) / c for a, b, c in zip(alone, two, first, strict=True)]
        results.claim("a second learning rate, of the first run's time", shares, "%", "<= 2")
        rows = [(f"without, {e} epochs", *three(seconds[e][0])) for e in (1, 4)]
        rows += [(f"with stored features, {e} epochs", *three(seconds[e][1])) for e in (1, 4)]
        rows += [("all stored before, one head", *three(alone)), ("all stored before, two heads", *three(two))]
        results.table("Seconds of whole runs", ["run", "median", "least", "greatest"], rows)
    results.finish(options.json)


if __name__ == "__main__":
    main()
