"""Score and report an experiment of true size: nine windows of 72,000 made-up predictions, 2,000 replicates.

Prints seconds and peak memory of the bootstrap and of each command; the report once more with results of the whole
grid of perturbations beside it (2 GB of disk for a while).

    python benchmarks/true_size.py [--per-generator 1000] [--no-robustness] [--json FILE]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.perturbations import GRID
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions
from aigenbench.evaluation.robustness.perturbed import predictions_path, save_perturbed
from aigenbench.evaluation.statistics.bootstrap import bootstrap_auroc
from aigenbench.files import file_sha256
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.pairing import EvaluationSet, evaluation_set
from aigenbench.protocol.periods import PERIODS
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.windows import generator_windows
from claims import Results, parser

WINDOWS = generator_windows(PUBLISHED, 4)


def make_experiment(folder: Path, per_generator: int) -> None:
    """Write nine windows of predictions in which generators not yet trained on are harder to tell."""
    n = per_generator * len(PUBLISHED.names)
    columns = np.random.default_rng(0).permutation(
        np.concatenate([np.zeros(n, dtype=np.int64), np.repeat(np.arange(1, 37), per_generator)])
    )
    chosen = evaluation_set(columns)
    for k in range(len(WINDOWS)):
        rng = np.random.default_rng(k)
        trained = [PUBLISHED.ids[name] for names in WINDOWS[: k + 1] for name in names]
        gain = np.where(np.isin(chosen.generator_ids, trained), 3.0, 1.2) * (chosen.generator_ids > 0)
        logits = gain - 1 + rng.standard_normal(len(gain))
        save_predictions(folder / f"window_{k}" / "predictions_validate_all.npz", predictions_of(logits, chosen, k))


def add_robustness(folder: Path) -> None:
    """Write results of the whole grid: the clean logits with noise that no two perturbations share."""
    for k in range(len(WINDOWS)):
        path = folder / f"window_{k}" / "predictions_validate_all.npz"
        clean, clean_digest = load_predictions(path), file_sha256(path)
        assert clean.fused_logits is not None
        for i, perturbation in enumerate(GRID):
            noise = np.random.default_rng([k, i]).standard_normal(len(clean))
            perturbed = predictions_of(clean.fused_logits + noise, clean, k)
            save_perturbed(predictions_path(folder, perturbation, k), perturbed, perturbation, clean_digest)


def predictions_of(logits: NDArray[np.floating], images: EvaluationSet | Predictions, window: int) -> Predictions:
    """Predictions of a window with these logits (n,)."""
    ids, pairing = (images.ids if isinstance(images, EvaluationSet) else images.identifier), images.pairing
    generators = images.generator_ids if isinstance(images, EvaluationSet) else images.fused_generator_ids
    logits, labels = logits.astype(np.float32), (generators > 0).astype(np.int64)
    rows = {
        "scores": sigmoid(logits).astype(np.float32),
        "logits": logits,
        "labels": labels,
        "generator_ids": generators,
        "identifiers": ids,
        "losses": (np.logaddexp(0, -logits) + logits * (labels == 0)).astype(np.float32),
    }
    return Predictions(
        **{f"{kind}_{name}": column for kind in ("fused", "crop") for name, column in rows.items()},
        crop_to_image_index=np.arange(len(labels)),
        identifier=ids,
        pairing=pairing,
        generator_id_to_name=PUBLISHED.id_to_name,
        windows_timeline=WINDOWS,
        window=window,
        benchmark_type="cumulative",
        pairing_fingerprint=pairing_fingerprint(ids, pairing),
    )


def time_bootstrap(results: Results, folder: Path) -> None:
    """2,000 replicates of AUROC for all windows and the protocol's periods, and their headline."""
    experiment = load_experiment(folder)
    started, worked = time.monotonic(), time.process_time()
    headline = bootstrap_auroc(experiment, 2000, periods=PERIODS).headline
    wall, cpu = time.monotonic() - started, time.process_time() - worked
    name = f"bootstrap of {len(headline):,} replicates, nine windows and all periods"
    results.claim(name, wall, "s", "<= 30")
    results.claim(f"{name}: the processor's seconds", cpu, "s")


def time_command(results: Results, name: str, *argv: str) -> None:
    """Run one command; its seconds, the processor's, and the peak memory of the commands so far."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "aigenbench", *argv], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results.claim(name, time.monotonic() - started, "s", "<= 60")
    # on a busy machine these say more than the clock's
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results.claim(f"{name}: the processor's seconds", cpu, "s")
    results.claim(f"{name}: peak memory up to then", after.ru_maxrss / 1024, "MiB", "<= 2000")


def main() -> None:
    """Make the experiment in a temporary folder and time the commands over it."""
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--per-generator", type=int, default=1000, help="evaluated fakes of each generator")
    arguments.add_argument("--no-robustness", action="store_true", help="leave out the report with perturbations")
    options = arguments.parse_args()
    results = Results("true_size", "Scores and reports at true size")
    with tempfile.TemporaryDirectory() as folder:
        experiment, page = Path(folder) / "experiment_true_size", str(Path(folder) / "report.html")
        make_experiment(experiment, options.per_generator)
        time_bootstrap(results, experiment)
        time_command(results, "aigenbench score", "score", str(experiment), "--json")
        time_command(results, "aigenbench report", "report", str(experiment), "-o", page)
        if not options.no_robustness:
            add_robustness(experiment)
            name = f"aigenbench report, with results of {len(GRID)} perturbations"
            time_command(results, name, "report", str(experiment), "-o", page)
    results.finish(options.json)


if __name__ == "__main__":
    main()
