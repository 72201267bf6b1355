"""Everything logged at one validation: 72,000 predictions, 36 generators, four periods.

Ours is what a run calls, from the gathered arrays to the values in the CSV. The comparison is a loop of torchmetrics
written for the purpose: one collection of binary metrics for each period and each generator, updated batch by batch
with the rows that count for it, computed at the end. Both see the same predictions, and their AUROC must agree.

    python benchmarks/metrics.py [--repeats 5] [--loop-repeats 3] [--batch 64] [--json FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.metrics import f1_score, precision_recall_curve
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryAveragePrecision,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    BinarySpecificity,
)

from aigenbench.evaluation.metrics.definitions import METRICS, best_f1, best_f1_threshold
from aigenbench.evaluation.metrics.periods import GENERATORS, WindowGroups, evaluate
from aigenbench.evaluation.predictions.record import Predictions, load_predictions
from aigenbench.protocol.periods import PERIODS, period_generators
from aigenbench.training.lightning.loggers import LongCSVLogger
from aigenbench.training.window.evaluating import log_evaluation
from claims import Results, parser
from true_size import make_experiment

WINDOW = 4
SAME_AUROC = 1e-5


def clocks() -> np.ndarray:
    """Wall time and this process's processor time, s."""
    return np.array([time.perf_counter(), time.process_time()])


def log_once(predictions: Predictions, folder: Path) -> np.ndarray:
    """Seconds (wall, processor) of one whole `log_evaluation`, CSV included."""
    detector = SimpleNamespace(
        classification_threshold=0.5, default_metrics=True, extra_metrics={}, registered_metrics=()
    )
    setup = SimpleNamespace(detector=detector)
    loggers = [LongCSVLogger(folder)]
    started = clocks()
    log_evaluation(setup, loggers, predictions, WINDOW, 0, "window 5/9")  # type: ignore[arg-type]
    return clocks() - started


class TorchmetricsLoop:
    """Binary metrics by period and by generator, as a training loop would hold them."""

    def __init__(self, predictions: Predictions) -> None:
        names = predictions.generator_id_to_name
        ids = {name: i for i, name in enumerate(names)}
        periods = {p: period_generators(p, predictions.windows_timeline, WINDOW) for p in PERIODS}
        groups = periods | {name: (name,) for name in names if name}
        self.members = {
            group: torch.tensor(np.isin(np.arange(len(names)), [ids[name] for name in of_group]))
            for group, of_group in groups.items()
        }
        self.metrics = {group: collection() for group in groups}

    def run(self, predictions: Predictions, batch_size: int) -> dict[str, dict[str, float]]:
        """Update with every batch, then compute: metrics by group."""
        counted = np.where(
            predictions.fused_labels == 1, predictions.fused_generator_ids, predictions.paired_generators()
        )
        columns = [torch.from_numpy(c) for c in (predictions.fused_scores, predictions.fused_labels, counted)]
        for scores, labels, generators in zip(*(column.split(batch_size) for column in columns), strict=True):
            for group, metric in self.metrics.items():
                rows = self.members[group][generators]
                if rows.any():
                    metric.update(scores[rows], labels[rows])
        return {group: {k: float(v) for k, v in m.compute().items()} for group, m in self.metrics.items()}


def collection() -> MetricCollection:
    """The binary metrics of a group."""
    return MetricCollection(
        {
            "auroc": BinaryAUROC(),
            "average_precision": BinaryAveragePrecision(),
            "accuracy": BinaryAccuracy(),
            "precision": BinaryPrecision(),
            "recall": BinaryRecall(),
            "specificity": BinarySpecificity(),
            "f1": BinaryF1Score(),
        }
    )


def check_same(ours: dict[str, dict[str, float | None]], theirs: dict[str, dict[str, float]]) -> float:
    """The largest difference of any AUROC; all groups that both computed.

    Raises:
        AssertionError: they disagree by more than float32 explains.
    """
    known = {**{p: ours[p]["auroc"] for p in PERIODS}, **ours[GENERATORS]}
    differences = [abs(theirs[group]["auroc"] - value) for group, value in known.items() if value is not None]
    assert len(differences) == len(PERIODS) + 36, "every group has its AUROC"
    assert max(differences) < SAME_AUROC, f"AUROCs differ by {max(differences)}"
    return max(differences)


def check_best_threshold(predictions: Predictions) -> None:
    """Compare the best F1, and the F1 at its threshold, with scikit-learn's over every distinct threshold.

    Raises:
        AssertionError: they differ.
    """
    group = WindowGroups(predictions).period("growing_whole", WINDOW)
    precision, recall, _ = precision_recall_curve(group.fakes, group.scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    called_fake = group.scores > best_f1_threshold(group)
    at_threshold = f1_score(group.fakes, called_fake)
    assert abs(best_f1(group) - best) < 1e-12, "the best F1 is the highest of all thresholds'"
    assert abs(at_threshold - best) < 1e-12, "the threshold reaches it"


def profile(predictions: Predictions) -> list[tuple[str, float]]:
    """Milliseconds of the parts: the sort, then each metric over the four periods and all images."""
    started = time.perf_counter()
    groups = WindowGroups(predictions)
    rows = [("sort, pairing", 1000 * (time.perf_counter() - started))]
    periods = [groups.period(period, WINDOW) for period in (*PERIODS, "all")]
    rows.append(("taking the periods", 1000 * (time.perf_counter() - started) - rows[0][1]))
    for name, metric in METRICS.items():
        started = time.perf_counter()
        for group in periods:
            metric(group)
        rows.append((name, 1000 * (time.perf_counter() - started)))
    started = time.perf_counter()
    for name in (n for names in predictions.windows_timeline for n in names):
        METRICS["auroc"](groups.generators(name))
    rows.append(("AUROC of each generator", 1000 * (time.perf_counter() - started)))
    return sorted(rows, key=lambda row: -row[1])


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--loop-repeats", type=int, default=3, help="measurements of the torchmetrics loop")
    arguments.add_argument("--batch", type=int, default=64, help="batch size of the loop's updates")
    options = arguments.parse_args()
    warnings.filterwarnings("ignore", module="torchmetrics")
    results = Results("metrics", "Metrics of a validation")
    with tempfile.TemporaryDirectory() as folder:
        make_experiment(Path(folder), 1000)
        predictions = load_predictions(Path(folder) / f"window_{WINDOW}" / "predictions_validate_all.npz")
        log_once(predictions, Path(folder))
        ours, theirs, ratios = [], [], []
        for _ in range(options.loop_repeats):
            some = [log_once(predictions, Path(folder)) for _ in range(options.repeats)]
            loop = TorchmetricsLoop(predictions)
            started = clocks()
            values = loop.run(predictions, options.batch)
            theirs.append(clocks() - started)
            # of processor time: what else the machine does counts little
            ratios.append(theirs[-1][1] / statistics.median(processor for _, processor in some))
            ours += some
    difference = check_same(evaluate(predictions, WINDOW), values)
    check_best_threshold(predictions)
    results.claim(f"everything logged at {len(predictions):,} predictions", [wall for wall, _ in ours], "s", "<= 0.5")
    results.claim(f"torchmetrics loop, batches of {options.batch}", [wall for wall, _ in theirs], "s")
    results.claim("torchmetrics loop against ours, processor time", ratios, "x", ">= 100")
    results.claim("largest difference of an AUROC between the two", difference, "", f"<= {SAME_AUROC}")
    results.table("By part, ms over the four periods and all images", ["part", "ms"], profile(predictions))
    results.finish(options.json)


if __name__ == "__main__":
    main()
