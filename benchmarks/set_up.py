"""Set-up of an experiment of true size: 288,000 training and 72,000 evaluation rows, made up, with tiny images.

Opening the data set, with the validation of its files, the plan of nine windows, the protocol's fingerprint, and
for each window what stands between the loop and its first batch: the loader, the permutation of all (image, copy)
pairs, and its batches of indices. All of a data set as it is published and saved; opening, plan and first batch also of
one that `data import` wrote, and of Parquet shards where they are.

    python benchmarks/set_up.py [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aigenbench.augmentations import BaselineTraining, EvaluationCrops, StochasticTraining
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.plan import Plan
from aigenbench.data.samples.batches import TrainingBatches
from claims import Results, parser
from made_up_data import IMPORTED, TRUE_SIZE, make_data, make_shards

SIZE = (32, 32)
BATCH, ACCUMULATE = 64, 8
LIMIT = "<= 0.5"
OPEN, PLAN, BATCHES = "open the data set", "plan of nine windows and the evaluation set", "first batch of window 8"
Times = dict[str, list[float]]


class Hooks:
    """The default detector's augmentations."""

    def train_augmentation(self) -> Any:
        """The baseline recipe and the stochastic part."""
        return BaselineTraining(), StochasticTraining("resize", SIZE)

    def evaluation_augmentation(self, stage: str) -> tuple[None, None]:
        """None."""
        return None, None

    def evaluation_crops(self, stage: str) -> EvaluationCrops:
        """The whole image."""
        return EvaluationCrops("resize", SIZE)


def timed(spent: Times, name: str, function: Callable[[], Any]) -> Any:
    """Call ``function`` and add its seconds to ``spent[name]``."""
    started = time.perf_counter()
    result = function()
    spent[name].append(time.perf_counter() - started)
    return result


def set_up_once(data: Path, spent: Times) -> None:
    """Everything once, as a run does it."""
    pipeline, plan = open_once(data, spent)
    described = pipeline.describe_mandatory_evaluation()
    timed(spent, "protocol fingerprint", lambda: plan.fingerprint(described, pipeline.augmentations_base_seed))
    assert [len(plan.training.rows(k)) for k in (0, 8)] == [32_000, 288_000]
    for window in range(len(plan.windows)):
        set_up_window(pipeline, plan, window, spent)


def open_once(data: Path, spent: Times) -> tuple[AIGenBenchPipeline, Plan]:
    """From the folder to a plan, and to a batch of window 8."""
    for file in data.glob("*/*.arrow"):
        # a file of another time is validated again, as in a process that opens it first
        file.touch()
    pipeline = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(data)), train_batch_size=BATCH, num_workers=0)
    timed(spent, OPEN, lambda: pipeline.source)
    plan = timed(spent, PLAN, pipeline.plan)
    timed(spent, BATCHES, lambda: next(iter(training_loader(pipeline, plan, 8))))
    return pipeline, plan


def training_loader(pipeline: AIGenBenchPipeline, plan: Plan, window: int) -> Any:
    """A window's loader."""
    rows, copies = len(plan.training.rows(window)), pipeline.augmentation_factor
    batches = TrainingBatches(rows, copies, pipeline.arithmetic(1, ACCUMULATE), 1, window, 0)
    return pipeline.training_loader(plan, Hooks(), batches, window)


def set_up_window(pipeline: AIGenBenchPipeline, plan: Plan, window: int, spent: Times) -> None:
    """A window's loaders and its order of samples."""
    loader = timed(spent, f"{window} loader", lambda: training_loader(pipeline, plan, window))
    indices = iter(loader.batch_sampler)
    timed(spent, f"{window} order", lambda: next(indices))
    timed(spent, f"{window} indices", lambda: sum(map(len, indices)))
    timed(spent, f"{window} evaluation", lambda: pipeline.evaluation_loader(plan, Hooks(), "validate"))


def other_forms(folder: Path, saved: Path, repeats: int) -> dict[str, Times]:
    """Times of ``open_once`` for the same rows as an import writes them, and in Parquet shards."""
    forms = {"imported": folder / "imported", "Parquet shards": folder / "shards"}
    make_data(forms["imported"], TRUE_SIZE, IMPORTED)
    make_shards(forms["Parquet shards"], saved)
    spent: dict[str, Times] = {form: defaultdict(list) for form in forms}
    for form, data in forms.items():
        open_once(data, defaultdict(list))
        for _ in range(repeats):
            open_once(data, spent[form])
    return spent


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, repeats=5).parse_args()
    results = Results("set_up", "Set-up at true size")
    spent: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        made = time.perf_counter()
        make_data(data, TRUE_SIZE)
        print(f"288,000 + 72,000 rows written in {time.perf_counter() - made:.1f} s")
        set_up_once(data, defaultdict(list))  # imports what loaders need
        for _ in range(options.repeats):
            set_up_once(data, spent)
        others = other_forms(Path(folder), data, options.repeats)
    for name in (OPEN, PLAN, "protocol fingerprint"):
        results.claim(name, spent[name], "s", LIMIT)
    results.claim(BATCHES, spent[BATCHES], "s")
    for form, times in others.items():
        for name in (OPEN, PLAN, BATCHES):
            results.claim(f"{form}: {name}", times[name], "s", "" if name == BATCHES else LIMIT)
    results.claim("window 8: permutation of 1,152,000 samples and the first indices", spent["8 order"], "s", LIMIT)
    results.claim("window 8: all 18,000 batches of indices, over the epoch", spent["8 indices"], "s", LIMIT)
    parts = ("loader", "order", "evaluation")
    each = [[sum(values) for values in zip(*(spent[f"{k} {p}"] for p in parts), strict=True)] for k in range(9)]
    slowest = max(each, key=statistics.median)
    results.claim("set-up of a window, the slowest (the original framework: 6 to 147 s)", slowest, "s", LIMIT)
    results.table(
        "By window, ms (medians)",
        ["window", "training loader", "order and first indices", "evaluation loader", "indices over the epoch"],
        [
            [
                k,
                *(
                    1000 * statistics.median(spent[f"{k} {part}"])
                    for part in ("loader", "order", "evaluation", "indices")
                ),
            ]
            for k in range(9)
        ],
    )
    results.finish(options.json)


if __name__ == "__main__":
    main()
