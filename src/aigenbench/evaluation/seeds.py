"""Several trainings of one recipe with other seeds: what repeating the training would give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from scipy.special import stdtrit

from aigenbench.config.resolved import FREE_TO_CHANGE
from aigenbench.errors import InputError
from aigenbench.evaluation.chart import Cell, Table
from aigenbench.evaluation.experiment import check_same_periods
from aigenbench.evaluation.intervals import LEVEL, UNDEFINED, Interval, bounds
from aigenbench.evaluation.run import Run
from aigenbench.evaluation.table import SHOWN_PERIODS, mean, percent
from aigenbench.evaluation.uncertainty import interval_text
from aigenbench.protocol.periods import PERIOD_TITLES

SEED = "seed_everything"
NOT_OF_THE_RECIPE = (
    SEED,
    *FREE_TO_CHANGE,
    "checkpoint_callback",
    "data.init_args.dataset_loader",
    "experiment_info.experiment_name_prefix",
    "experiment_info.heads",
    "experiment_info.logging_initial_step",
    "experiment_info.window_name_prefix",
    "trainer.default_root_dir",
)
"""Entries of the configuration that do not change what is trained, and the seed."""


@dataclass(frozen=True)
class SeedGroup:
    """Runs that differ in their seed only.

    Attributes:
        runs: two or more.
        seeds: of each, None where its folder does not tell.
    """

    runs: tuple[Run, ...]
    seeds: tuple[int | None, ...]

    @property
    def headline(self) -> tuple[float | None, Interval]:
        """Mean over the runs of their headlines, and its interval; over the windows that all of them have."""
        return over_seeds(self.means("immediate_future"))

    def means(self, period: str) -> list[float | None]:
        """Every run's mean AUROC over the windows with a Next period that all of them have."""
        columns = [run.scores["periods"][period]["auroc"] for run in self.runs]
        n = max(len(columns[0]) - 1, 1)
        shared = [k for k in range(n) if all(values[k] is not None for values in columns)]
        return [mean([values[k] for k in shared]) for values in columns]

    @property
    def name(self) -> str:
        """The runs' names."""
        return ", ".join(run.name for run in self.runs)


def over_seeds(values: Sequence[float | None], level: float = LEVEL) -> tuple[float | None, Interval]:
    """Mean over seeds and Student's interval of it, cut to 0..1: where the mean of ever more seeds would lie.

    Args:
        values: in 0..1, one a run; None where a run has none, which leaves the mean undefined.
        level: of the interval.
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or len(known) < 2:
        return mean(values) if len(known) == len(values) else None, UNDEFINED
    spread = float(np.std(known, ddof=1)) / len(known) ** 0.5 * float(stdtrit(len(known) - 1, (1 + level) / 2))
    centre = float(np.mean(known))
    return centre, (max(centre - spread, 0.0), min(centre + spread, 1.0))


def seed_groups(runs: Sequence[Run], declared: bool = False) -> tuple[SeedGroup, ...]:
    """Find the runs that differ in their seed only.

    Args:
        runs: of one report.
        declared: whether the user says that all of them are; otherwise their configurations must say so.

    Raises:
        InputError: declared, but there is one run only, two have one seed, or they are of different evaluation sets.
    """
    if declared:
        return (_declared(runs),)
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        recipe = recipe_of(run.config)
        if recipe is not None and run.scores["pairing_fingerprint"]:
            by_recipe.setdefault(f"{recipe} {run.scores['pairing_fingerprint']}", []).append(run)
    groups = []
    for members in by_recipe.values():
        # a seed that comes twice is the same training again
        of_seed = {seed_of(run.config): run for run in reversed(members)}
        if len(of_seed) > 1:
            chosen = [run for run in members if run in of_seed.values()]
            groups.append(SeedGroup(tuple(chosen), tuple(seed_of(run.config) for run in chosen)))
    return tuple(groups)


def recipe_of(config: str) -> str | None:
    """What a resolved configuration trains, its seed aside, as canonical JSON; None where it is none."""
    content = _content(config)
    if not content or SEED not in content:
        return None
    recipe = deepcopy(content)
    for dotted in NOT_OF_THE_RECIPE:
        *path, last = dotted.split(".")
        node = recipe
        for key in path:
            node = (node.get(key) if isinstance(node, dict) else None) or {}
        if isinstance(node, dict):
            node.pop(last, None)
    return json.dumps(recipe, sort_keys=True, default=str)


def seed_of(config: str) -> int | None:
    """The seed that a resolved configuration names, or None."""
    seed = _content(config).get(SEED)
    return seed if isinstance(seed, int) else None


def seeds_table(group: SeedGroup, number: int = 0) -> Table:
    """Mean AUROC over seeds of every window and of the means, with Student's intervals, and the runs' spread."""
    periods = [[run.scores["periods"][p]["auroc"] for run in group.runs] for p in SHOWN_PERIODS]
    n_windows = max(run.experiment.n_windows for run in group.runs)
    rows = [_row(Cell(str(k), k), [[values[k] for values in of_runs] for of_runs in periods]) for k in range(n_windows)]
    rows.append(_row(Cell("mean", n_windows, strong=True), [group.means(p) for p in SHOWN_PERIODS]))
    header = ("Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Next, s.d. over seeds (points)")
    return Table(f"seeds_{number}", f"Other seeds: mean AUROC (%) of {group.name}", header, tuple(rows))


def _row(name: Cell, values: Sequence[Sequence[float | None]]) -> tuple[Cell, ...]:
    cells = []
    for of_runs in values:
        centre, interval = over_seeds(of_runs)
        cells.append(Cell(percent(centre), centre, interval_text(bounds(interval), 1), strong=name.strong))
    coming = [value for value in values[SHOWN_PERIODS.index("immediate_future")] if value is not None]
    spread = float(np.std(coming, ddof=1)) if len(coming) == len(values[1]) else None
    return (name, *cells, Cell(percent(spread), spread))


def _declared(runs: Sequence[Run]) -> SeedGroup:
    if len(runs) < 2:
        raise InputError("--seeds needs two experiments or more: one training says nothing of another seed")
    seeds = tuple(seed_of(run.config) for run in runs)
    for i, seed in enumerate(seeds):
        if seed is not None and seed in seeds[:i]:
            first = runs[seeds.index(seed)].name
            raise InputError(f"--seeds: {first} and {runs[i].name} both have seed {seed}: one training, not two")
    for run in runs[1:]:
        for name in ("windows_timeline", "identifier", "pairing"):
            a, b = getattr(runs[0].experiment.first, name), getattr(run.experiment.first, name)
            if not (a == b if isinstance(a, tuple) else np.array_equal(a, b)):
                raise InputError(f"--seeds: {runs[0].name} and {run.name} differ in {name}, not in their seed alone")
        check_same_periods(runs[0].experiment, run.experiment)
    return SeedGroup(tuple(runs), seeds)


def _content(config: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
