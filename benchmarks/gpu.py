"""Images a second of a ViT-L/14 in bf16 on a GPU, tuned and probed, and the share of the time it waits for data.

Demo data; the first window of `aigenbench fit`, with samples computed as they are read (cold) and from stored views
(warm). The GPU is waited for after every batch, so what passes between one batch's end and the next one's start is
waiting for data. Without a GPU the section says so; `--accelerator cpu --model timm/test_vit` tries the script itself.

    python benchmarks/gpu.py [--batches 60] [--json FILE]
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

import aigenbench.cli
from claims import Results, parser

WARM_UP = 5
"""Batches that are not counted."""


class Waits(pl.Callback):
    """Times the batches of a training and what passes between them; that of the last training is ``last``."""

    last: Waits

    def __init__(self) -> None:
        self.busy, self.waiting, self.images, self.count = 0.0, 0.0, 0, 0
        self._at = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Callbacks are made for evaluations too: this one trains."""
        type(self).last = self

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """What passed since the last batch's end was waiting."""
        now = time.monotonic()
        if self.count > WARM_UP:
            self.waiting += now - self._at
        self._at = now

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The batch is over when the GPU is done with it."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.monotonic()
        self.count += 1
        if self.count > WARM_UP:
            self.busy += now - self._at
            self.images += len(batch.labels)
        self._at = now


def fit(folder: Path, name: str, *more: str) -> Waits:
    """Train the first window and return its times."""
    argv = [
        "fit",
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        f"--dataset_path={folder / 'data'}",
        "--model.model_args.pretrained=false",
        f"--data.cache_folder={folder / 'cache'}",
        "--trainer.logger=false",
        f"--trainer.callbacks+={Waits.__module__}.Waits",
        f"--experiment_info.experiments_data_folder={folder / 'runs'}",
        f"--experiment_info.experiment_id={name}",
        "--experiment_info.sliding_windows_definition.current_window=0",
        *more,
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        code = aigenbench.cli.main(argv)
    if code:
        raise SystemExit(f"the run {name} ended with {code}")
    return Waits.last


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--accelerator", default="cuda")
    arguments.add_argument("--model", default="clipL14commonpool")
    arguments.add_argument("--batches", type=int, default=60, help="batches of each run")
    arguments.add_argument("--batch-size", type=int, nargs=2, default=(16, 64), help="when tuned, when probed")
    options = arguments.parse_args()
    results = Results("gpu", "On a GPU")
    if options.accelerator == "cuda" and not torch.cuda.is_available():
        results.tables["Not measured"] = "There is no GPU on the machine that this page was made on."
        results.finish(options.json)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = -(-options.batches * max(options.batch_size) // 32)
        aigenbench.cli.main(["demo-data", str(folder / "data"), "--generators", "4", "--train", str(train)])
        for form, size in zip(("tune", "probe"), options.batch_size, strict=True):
            common = (
                f"--model.model_name={options.model}_{form}",
                f"--data.train_batch_size={size}",
                f"--trainer.limit_train_batches={options.batches}",
                f"--trainer.accelerator={options.accelerator}",
                "--trainer.precision=bf16-mixed",
            )
            for cache in ("none", "all"):
                runs = [
                    fit(folder, f"{form}_{cache}_{i}", *common, f"--data.cache={cache}") for i in range(options.repeats)
                ]
                what = f"{options.model} {form}, {'warm' if cache == 'all' else 'cold'}"
                rates = [run.images / (run.busy + run.waiting) for run in runs]
                shares = [100 * run.waiting / (run.busy + run.waiting) for run in runs]
                results.claim(f"{what}: training", rates, "images/s")
                results.claim(f"{what}: waiting for data", shares, "%")
    results.finish(options.json)


if __name__ == "__main__":
    import gpu

    # the class that the run finds by its name
    gpu.main()
