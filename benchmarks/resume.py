"""Seconds that resuming costs above loading the checkpoint, at several depths of an epoch of true size.

A made-up data set of 288,000 training and 72,000 evaluation rows (tiny pictures), nine windows, interrupted in the
ninth: 288,000 images x 20 copies are 5,760,000 samples an epoch. Each depth is a process of its own; its clock runs
from the end of imports to the start of the first training batch.

    python benchmarks/resume.py [--copies 20] [--batch 512] [--limit SECONDS] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from aigenbench.protocol.timeline import PUBLISHED
from claims import Results, parser

DEPTHS = (0.0001, 0.01, 0.25, 0.5, 0.75, 0.999)
LAST = 8
"""Index of the ninth window."""


def write_split(folder: Path, per_generator: int, seed: int) -> None:
    """Write a split of so many fakes a generator and as many reals, in the layout of ``save_to_disk``."""
    folder.mkdir(parents=True)
    n = per_generator * len(PUBLISHED.names)
    rng = np.random.default_rng(seed)
    names = rng.permutation([*np.repeat(list(PUBLISHED.names), per_generator), *[""] * n])
    pictures = []
    for _ in range(64):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, "JPEG")
        pictures.append({"bytes": buffer.getvalue(), "path": "x.jpg"})
    columns = {
        "image": pa.array([pictures[i % 64] for i in range(len(names))]),
        "height": pa.array([16] * len(names), pa.uint32()),
        "width": pa.array([16] * len(names), pa.uint32()),
        "label": pa.array((names != "").astype(int)),
        "generator": pa.array(names.tolist()),
    }
    table = pa.table(columns)
    with pa.ipc.new_stream(str(folder / "data.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=1000)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": folder.name}))


def command(dataset: Path, copies: int, batch: int) -> list[str]:
    """The command line of the run."""
    return [
        "fit",
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        "--config=small_cnn/small_cnn_tune_resize.yaml",
        f"--dataset_path={dataset}",
        f"--data.train_batch_size={batch}",
        f"--data.augmentation_factor={copies}",
        "--data.num_workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--trainer.accumulate_grad_batches=1",
        "--experiment_info.experiment_id=resumed",
    ]


def interrupt_in_the_ninth_window(experiment: Path, step: int) -> None:
    """Turn a run that stopped in its first window into one that stopped after ``step`` steps of its ninth."""
    import torch

    from aigenbench.training.resume.checkpoints import WindowCheckpoints, save
    from aigenbench.training.resume.state import read_state, write_state

    first = experiment / "window_0"
    state = read_state(first)
    assert state is not None
    record = torch.load(next(first.glob("epoch_*.ckpt")), weights_only=True)
    final = state.final or save(first / "final.ckpt", record)
    for k in range(LAST):
        folder = experiment / f"window_{k}"
        folder.mkdir(exist_ok=True)
        if k:
            shutil.copy(first / "final.ckpt", folder)
            shutil.copy(first / "run.json", folder)
        write_state(folder, replace(state, epochs=1, steps=0, evaluated=1, final=final))
    last = experiment / f"window_{LAST}"
    shutil.rmtree(last, ignore_errors=True)
    last.mkdir()
    shutil.copy(first / "run.json", last)
    # the schedule of the ninth window is longer: its position is all that must fit
    for scheduler in record["schedulers"]:
        scheduler.update(total_steps=10**9, last_epoch=step)
    WindowCheckpoints(last, None).save_position(0, step, record)


def measure(arguments: list[str]) -> None:
    """Resume, print the seconds to the first batch and those of loading the checkpoint, and end."""
    import aigenbench.cli
    from aigenbench.cli import fit  # noqa: F401
    from aigenbench.engine.assembly import resolution  # noqa: F401
    from aigenbench.training.resume.checkpoints import WindowCheckpoints
    from aigenbench.training.window import keeper

    started, loading = time.monotonic(), 0.0
    verified = WindowCheckpoints._verified

    def timed(*of: object) -> object:
        nonlocal loading
        begun = time.monotonic()
        record = verified(*of)  # type: ignore[arg-type]
        loading += time.monotonic() - begun
        return record

    def first_batch(*_: object, **__: object) -> None:
        print(json.dumps({"seconds": time.monotonic() - started, "loading": loading}), flush=True)
        os._exit(0)

    WindowCheckpoints._verified = timed  # type: ignore[method-assign,assignment]
    keeper.WindowKeeper.on_train_batch_start = first_batch  # type: ignore[method-assign]
    sys.exit(aigenbench.cli.main(arguments))


def begin(arguments: list[str]) -> None:
    """Run until a checkpoint after the first step."""
    import aigenbench.cli
    from aigenbench.training.window.keeper import WindowKeeper

    original = WindowKeeper.on_train_batch_end

    def stopping(*of: object, **more: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        original(*of, **more)  # type: ignore[arg-type]

    WindowKeeper.on_train_batch_end = stopping  # type: ignore[method-assign]
    sys.exit(aigenbench.cli.main(arguments))


def main() -> None:
    """Print a line a depth."""
    arguments = parser(__doc__)
    arguments.add_argument("--copies", type=int, default=20)
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--limit", type=float, default=5.0, help="seconds above loading that are allowed")
    args = arguments.parse_args()
    results = Results("resume", "Resuming")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_split(folder / "data" / "train", 4000, 1)
        write_split(folder / "data" / "validation", 1000, 2)
        (folder / "data" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
        line = command(folder / "data", args.copies, args.batch)

        def child(mode: str) -> subprocess.CompletedProcess[str]:
            program = [sys.executable, __file__, mode, *line]
            return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)

        begun = child("begin")
        assert begun.returncode == 128 + signal.SIGTERM, begun.stderr
        steps = 288_000 * args.copies // args.batch
        rows = []
        for depth in DEPTHS:
            step = max(1, int(depth * steps))
            took = []
            for _ in range(args.repeats):
                interrupt_in_the_ninth_window(folder / "experiments_data" / "experiment_resumed", step)
                done = child("measure")
                assert done.returncode == 0, done.stderr
                took.append(json.loads(done.stdout.splitlines()[-1]))
            name = f"first batch after step {step:,} of {steps:,}, above loading the checkpoint"
            results.claim(name, [t["seconds"] - t["loading"] for t in took], "s", f"<= {args.limit}")
            rows.append([step, *(statistics.median(t[key] for t in took) for key in ("seconds", "loading"))])
    results.table("Seconds by depth (medians)", ["step", "to the first batch", "of it loading"], rows)
    results.finish(args.json)


if __name__ == "__main__":
    if sys.argv[1:2] in (["begin"], ["measure"]):
        {"begin": begin, "measure": measure}[sys.argv[1]](sys.argv[2:])
    else:
        main()
