"""Several trainings of one recipe with other seeds: what repeating the training would give."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from aigenbench.config.resolved import FREE_TO_CHANGE
from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, mean, percent
from aigenbench.evaluation.predictions.experiment import check_same_periods
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.report.tables import shown
from aigenbench.evaluation.statistics.compare import Model
from aigenbench.evaluation.statistics.intervals import LEVEL, UNDEFINED, Interval, bounds
from aigenbench.protocol.off_protocol import OFF_PROTOCOL, marked
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.published import averaged_windows
from aigenbench.yaml_text import read_yaml

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

    runs: tuple[ExperimentResults, ...]
    seeds: tuple[int | None, ...]

    @property
    def headline(self) -> tuple[float | None, Interval]:
        """Mean over the runs of their headlines, and its interval; over the windows that all of them have."""
        return over_seeds(self.means("immediate_future"))

    def means(self, period: str) -> list[float | None]:
        """Every run's mean AUROC over the windows with a Next period that all of them have."""
        columns = [run.scores["periods"][period]["auroc"] for run in self.runs]
        n = len(columns[0])
        shared = [k for k in range(n)[averaged_windows(n)] if all(values[k] is not None for values in columns)]
        return [mean([values[k] for k in shared]) for values in columns]

    @property
    def name(self) -> str:
        """The runs' names."""
        return ", ".join(run.name for run in self.runs)


def models_of(names: Sequence[str], groups: Sequence[Sequence[int]]) -> tuple[Model, ...]:
    """Sort runs into models, in the order of their first runs.

    Args:
        names: of the runs.
        groups: places of the runs of every model that has several.
    """
    members = {places[0]: tuple(places) for places in groups}
    gathered = {i for places in groups for i in places}
    chosen = [members.get(i, (i,)) for i in range(len(names)) if i in members or i not in gathered]
    models: list[Model] = []
    for runs in chosen:
        name = common_name([names[i] for i in runs])
        taken = {m.name for m in models} | {names[i] for i in range(len(names)) if i not in runs}
        models.append(Model(name if name not in taken else ", ".join(names[i] for i in runs), runs))
    return tuple(models)


def common_name(names: Sequence[str]) -> str:
    """What the names of a model's trainings have in common: ``clip_seed1`` and ``clip_seed2`` are ``clip``."""
    if len(names) == 1:
        return names[0]
    bare = [name.removesuffix(marked("", [OFF_PROTOCOL])) for name in names]
    if bare != list(names):
        return marked(common_name(bare), [OFF_PROTOCOL])
    same = [len(set(letters)) == 1 for letters in zip(*names, strict=False)]
    shared = re.sub(r"(?i)[\W_]*(seed|run|s)?[\W_]*$", "", names[0][: [*same, False].index(False)])
    if len(shared) > 1:
        return shared
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"


def seeds_of(configs: Sequence[str], fingerprints: Sequence[str | None]) -> list[list[int]]:
    """Places of runs that differ in their seed only, as their configurations say, two or more together.

    Args:
        configs: resolved configurations.
        fingerprints: of the evaluation sets' pairing; a run without one belongs to no other.
    """
    by_recipe: dict[str, dict[int | None, int]] = {}
    for i, (config, fingerprint) in enumerate(zip(configs, fingerprints, strict=True)):
        recipe = recipe_of(config)
        if recipe is not None and fingerprint:
            # a seed that comes twice is the same training again
            by_recipe.setdefault(f"{recipe} {fingerprint}", {}).setdefault(seed_of(config), i)
    return [list(of_seed.values()) for of_seed in by_recipe.values() if len(of_seed) > 1]


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


def seed_groups(runs: Sequence[ExperimentResults], declared: bool = False) -> tuple[SeedGroup, ...]:
    """Find the runs that differ in their seed only.

    Args:
        runs: of one report.
        declared: whether the user says that all of them are; otherwise their configurations must say so.

    Raises:
        InputError: declared, but there is one run only, two have one seed, or they are of different evaluation sets.
    """
    if declared:
        return (_declared(runs),)
    found = seeds_of(
        [run.config for run in runs],
        [run.scores["data_fingerprint"] or run.scores["pairing_fingerprint"] for run in runs],
    )
    return tuple(
        SeedGroup(tuple(runs[i] for i in places), tuple(seed_of(runs[i].config) for i in places)) for places in found
    )


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
    return json.dumps(_with_text_keys(recipe), sort_keys=True, default=str)


def _with_text_keys(value: Any) -> Any:
    """The same with keys that can be sorted: YAML's may be numbers beside text."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def seed_of(config: str) -> int | None:
    """The seed that a resolved configuration names, or None."""
    seed = _content(config).get(SEED)
    return seed if isinstance(seed, int) else None


def seeds_table(group: SeedGroup, number: int = 0, name: str = "") -> Table:
    """Mean AUROC over seeds of every window and of the means, with Student's intervals, and the runs' spread."""
    periods = [[run.scores["periods"][p]["auroc"] for run in group.runs] for p in SHOWN_PERIODS]
    n_windows = max(run.experiment.n_windows for run in group.runs)
    rows = [_row(Cell(str(k), k), [[values[k] for values in of_runs] for of_runs in periods]) for k in range(n_windows)]
    rows.append(_row(Cell("mean", n_windows, strong=True), [group.means(p) for p in SHOWN_PERIODS]))
    header = ("Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Next, s.d. over seeds (points)")
    title = f"Other seeds: mean AUROC (%) of {name}{' over ' if name else ''}{group.name}"
    return Table(f"seeds_{number}", title, header, tuple(rows))


def _row(name: Cell, values: Sequence[Sequence[float | None]]) -> tuple[Cell, ...]:
    cells = []
    for of_runs in values:
        centre, interval = over_seeds(of_runs)
        cells.append(shown(centre, bounds(interval), strong=name.strong))
    coming = [value for value in values[SHOWN_PERIODS.index("immediate_future")] if value is not None]
    spread = float(np.std(coming, ddof=1)) if len(coming) == len(values[1]) else None
    return (name, *cells, Cell(percent(spread), spread, share=True))


def _declared(runs: Sequence[ExperimentResults]) -> SeedGroup:
    if len(runs) < 2:
        raise InputError("--seeds needs two experiments or more: one training says nothing of another seed")
    seeds = tuple(seed_of(run.config) for run in runs)
    for i, seed in enumerate(seeds):
        if seed is not None and seed in seeds[:i]:
            first = runs[seeds.index(seed)].name
            raise InputError(f"--seeds: {first} and {runs[i].name} both have seed {seed}: one training, not two")
    for run in runs[1:]:
        shared = ("windows_timeline", "identifier", "pairing")
        if name := runs[0].experiment.first.first_difference(run.experiment.first, shared):
            raise InputError(f"--seeds: {runs[0].name} and {run.name} differ in {name}, not in their seed alone")
        check_same_periods(runs[0].experiment, run.experiment)
    return SeedGroup(tuple(runs), seeds)


def _content(config: str) -> dict[str, Any]:
    try:
        content = read_yaml(config, "config")
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}
