"""Score and report an experiment of true size: nine windows of 72,000 made-up predictions, 2,000 replicates.

Prints seconds and peak memory of each command. Run by hand: ``python benchmarks/true_size.py``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aigenbench.evaluation.fuse import sigmoid
from aigenbench.evaluation.predictions import Predictions, save_predictions
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.pairing import evaluation_set
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.windows import generator_windows


def make_experiment(folder: Path, per_generator: int) -> None:
    """Write nine windows of predictions in which generators not yet trained on are harder to tell."""
    windows = generator_windows(PUBLISHED, 4)
    n = per_generator * len(PUBLISHED.names)
    columns = np.random.default_rng(0).permutation(
        np.concatenate([np.zeros(n, dtype=np.int64), np.repeat(np.arange(1, 37), per_generator)])
    )
    chosen = evaluation_set(columns)
    for k in range(len(windows)):
        rng = np.random.default_rng(k)
        trained = [PUBLISHED.ids[name] for names in windows[: k + 1] for name in names]
        gain = np.where(np.isin(chosen.generator_ids, trained), 3.0, 1.2) * (chosen.generator_ids > 0)
        logits = (gain - 1 + rng.standard_normal(len(gain))).astype(np.float32)
        scores = sigmoid(logits).astype(np.float32)
        labels = (chosen.generator_ids > 0).astype(np.int64)
        losses = (np.logaddexp(0, -logits) + logits * (labels == 0)).astype(np.float32)
        rows = {
            "scores": scores,
            "logits": logits,
            "labels": labels,
            "generator_ids": chosen.generator_ids,
            "identifiers": chosen.ids,
            "losses": losses,
        }
        predictions = Predictions(
            **{f"{kind}_{name}": column for kind in ("fused", "crop") for name, column in rows.items()},
            crop_to_image_index=np.arange(len(labels)),
            identifier=chosen.ids,
            pairing=chosen.pairing,
            generator_id_to_name=PUBLISHED.id_to_name,
            windows_timeline=windows,
            window=k,
            benchmark_type="cumulative",
            pairing_fingerprint=pairing_fingerprint(chosen.ids, chosen.pairing),
        )
        save_predictions(folder / f"window_{k}" / "predictions_validate_all.npz", predictions)


def timed(*argv: str) -> None:
    """Run one command and print what it took."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "aigenbench", *argv], check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{argv[0]:<8} {time.monotonic() - started:6.1f} s   peak so far {peak:6.0f} MiB", flush=True)


def main() -> None:
    """Make the experiment in a temporary folder and time the commands over it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-generator", type=int, default=1000, help="evaluated fakes of each generator")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "experiment_true_size"
        make_experiment(experiment, arguments.per_generator)
        timed("score", str(experiment), "--json")
        timed("report", str(experiment), "-o", str(Path(folder) / "report.html"))


if __name__ == "__main__":
    main()
