"""Experiments by what they reach and what they took, as a Python call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from aigenbench.config.folder import predictions_file
from aigenbench.engine.calling import folder_of
from aigenbench.engine.pages import models_among
from aigenbench.engine.sweep.file import label
from aigenbench.errors import InputError, MissingFileError, nearest
from aigenbench.evaluation.predictions.changes import config_changes
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment
from aigenbench.evaluation.predictions.standing import standing_of, standings
from aigenbench.evaluation.report.compute import MEASURES, cost_of
from aigenbench.evaluation.report.frontier import NEXT, Frontier, Point, judged
from aigenbench.evaluation.report.results import read_run
from aigenbench.evaluation.statistics.compare import Model, compare
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.files import read_json

if TYPE_CHECKING:
    from aigenbench.engine.experiment import Experiment


def frontier(
    *experiments: Path | str | Experiment,
    x: str = "flops",
    stage: str = "validate",
    replicates: int = REPLICATES,
    by_row: bool = False,
) -> Frontier:
    """Compare experiments by quality and compute: which are dominated, and where the difference is within noise.

    Args:
        experiments: two or more, or their folders; the folder of a sweep stands for all its experiments. Those whose
            configurations differ in the seed alone are one model.
        x: what compute is measured in: ``flops``, ``samples``, ``steps``, ``seconds`` or ``joules``.
        stage: ``validate`` or ``test``.
        replicates: bootstrap draws.
        by_row: results without ``image_key`` are of one copy of the data, whose images are known by their rows.

    Returns:
        The models; it prints as the command's, ``write(page)`` writes page, PNG and CSV, ``to_dict()`` plain values.

    Raises:
        InputError: fewer than two that are complete, evaluation sets that cannot be compared, or none of them has
            counted ``x``.
    """
    if x not in MEASURES:
        raise InputError(f"frontier: x: expected one of {', '.join(MEASURES)}, found {x!r}{nearest(x, MEASURES)}")
    named = {folder: name for one in experiments for folder, name in _experiments(folder_of(one), stage).items()}
    notes: list[str] = []
    found = _complete({folder: _loaded(folder, name, stage) for folder, name in named.items()}, notes)
    if len(found) < 2:
        raise InputError(f"frontier needs at least two experiments that are finished{_listed(notes)}")
    runs = list(found.values())
    models = models_among(list(found), runs)
    result = compare(runs, replicates, models=models, by_row=by_row)
    records = {folder: {k: read_run(folder, k, stage) for k in run.windows} for folder, run in found.items()}
    costs = [cost_of(of_windows.values()) for of_windows in records.values()]
    points = judged([_point(m, costs, result) for m in models], result["model_differences"], x)
    if not any(x in p.cost for p in points):
        known = sorted({name for p in points for name in p.cost})
        instead = f"take another x: {', '.join(known)}" if known else "they were trained before costs were counted"
        raise InputError(f"frontier: none of the experiments has counted {x}; {instead}")
    notes += [*result["notes"], *(f"{run.name}: {c}" for folder, run in found.items() for c in config_changes(folder))]
    of_runs = [(run.name, standing_of(run, records[folder])) for folder, run in found.items()]
    return Frontier(x, points, tuple(notes), standings(of_runs), replicates)


def _point(model: Model, costs: Sequence[dict[str, float]], result: Mapping[str, Any]) -> Point:
    of_next = result["models"][model.name]["periods"][NEXT]
    of_runs = [costs[i] for i in model.runs]
    cost = {name: mean([c[name] for c in of_runs]) for name in MEASURES if all(name in c for c in of_runs)}
    return Point(model.name, len(model.runs), of_next["mean"], of_next["interval"], cost)


def _loaded(folder: Path, name: str, stage: str) -> ExperimentPredictions:
    experiment = load_experiment(folder, stage)
    named = replace(experiment, name=name or experiment.name)
    return replace(named, name=named.title)


def _complete(found: dict[Path, ExperimentPredictions], notes: list[str]) -> dict[Path, ExperimentPredictions]:
    """Those of all windows that any has: what fewer windows took is not what the others took."""
    most = {k for run in found.values() for k in run.windows}
    kept = {folder: run for folder, run in found.items() if set(run.windows) == most}
    notes += [
        f"{run.name} is left out: {len(run.windows)} of {len(most)} windows are evaluated"
        for folder, run in found.items()
        if folder not in kept
    ]
    return kept


def _listed(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def _experiments(folder: Path, stage: str) -> dict[Path, str]:
    """An experiment's folder, or those in a sweep's, with what their cells say."""
    if not (folder / "cells").is_dir():
        return {folder: ""}
    evaluated = {path.parent.parent for path in folder.glob(f"*/*/{predictions_file(stage)}")}
    if not evaluated:
        raise InputError(f"{folder} is the folder of a sweep without a {stage} result; run the sweep first")
    names = _cell_names(folder / "table.json")
    return {path: names.get(path.name.rpartition("_")[2], "") for path in sorted(evaluated)}


def _cell_names(path: Path) -> dict[str, str]:
    """What the cells of a sweep are called, by the ends of their folders' names; empty before it has a table."""
    try:
        rows = read_json(path)["rows"]
        return {
            cell: label(row["values"]) + (f", seed {seed}" if len(row["cells"]) > 1 else "")
            for row in rows
            for cell, seed in zip(row["cells"], row["seeds"], strict=True)
        }
    except MissingFileError:
        return {}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged; `aigenbench sweep SWEEP.yaml --table` writes it again") from error
