"""What a page shows of several experiments together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError
from aigenbench.evaluation.drawing.chart import Cell, Chart, Forest, Span, Table
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, fewest_pairs, mean, percent, standard_images
from aigenbench.evaluation.report import charts as report_charts
from aigenbench.evaluation.report import tables as report_tables
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.report.seeds import SeedGroup, models_of, over_seeds, seed_groups, seeds_table
from aigenbench.evaluation.report.tables import (
    baseline_rows,
    bracket,
    known_columns,
    points,
    shown,
    standard_rows,
)
from aigenbench.evaluation.report.view import View
from aigenbench.evaluation.statistics.compare import HEADLINE, Model, compare, p_text
from aigenbench.evaluation.statistics.intervals import BOOTSTRAP, Bounds, bounds, interval_text
from aigenbench.protocol.periods import PERIOD_TITLES

NEXT = "immediate_future"


@dataclass(frozen=True)
class ModelView:
    """One model: a training, or all that differ in their seed alone.

    Attributes:
        name: how it is called.
        runs: its trainings.
        headline: mean Next-period AUROC over its trainings, in 0..1.
        images: by period, the interval over other images of the mean over the windows.
        generators: over other generators; of a single training only.
        seeds: over other seeds; None for a single training.
    """

    name: str
    runs: tuple[ExperimentResults, ...]
    headline: float | None
    images: dict[str, Bounds]
    generators: Bounds
    seeds: Bounds

    @property
    def number(self) -> str:
        """The headline in per cent."""
        return percent(self.headline)

    @property
    def sentence(self) -> str:
        """What the headline means."""
        if self.headline is None:
            return "No headline: no window has a Next period with reals and fakes."
        within = interval_text(self.images[NEXT], 0)
        fake = "a fake of the next window" if self.runs[0].experiment.foreign else "an unseen fake"
        return (
            f"Ranks {fake} above a real in {100 * self.headline:.0f} of 100 pairs"
            f"{f' {within}' if within else ''}; chance is 50."
        )

    @property
    def timeline(self) -> tuple[str, ...]:
        """Lines about a timeline of one's own, and the headline over the published windows that it extends."""
        scores = self.runs[0].scores
        lines = [f"Timeline {scores['timeline']}"] if "timeline" in scores else []
        if "standard" in scores and len(self.runs) == 1:
            standard, bounds = scores["standard"]["headline"], self.runs[0].bounds["standard"]["headline"]
            lines[:1] = [f"Extended headline, {lines[0][0].lower() + lines[0][1:] if lines else 'all windows'}"]
            within = interval_text(bounds["images"])
            lines.append(
                f"Standard headline, the published windows{standard_images(scores)}, mean over {standard['windows']}: "
                f"{percent(standard['mean'])} %{f' {within}' if within else ''}"
            )
        return tuple(lines)


@dataclass(frozen=True)
class Together:
    """What several runs have in common.

    Attributes:
        models: the runs sorted into models.
        headline: a row a model; on the benchmark itself with the published baselines.
        coming: their Next-period curves; None for a single run.
        forest: the differences between models; None where there are none.
        comparison: the same as a table.
        runs: paired differences of all trainings, where some are of one model.
        comparison_note: why there is no comparison, how images were paired where not simply by key, or "".
        seeds: a table for every model with several trainings.
    """

    models: tuple[ModelView, ...]
    headline: Table
    coming: Chart | None
    forest: Forest | None
    comparison: Table | None
    runs: Table | None
    comparison_note: str
    seeds: tuple[Table, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table."""
        return (self.headline, *(table for table in (self.comparison, self.runs) if table), *self.seeds)

    @property
    def charts(self) -> tuple[Chart | Forest, ...]:
        """Every chart."""
        return tuple(chart for chart in (self.coming, self.forest) if chart)


def put_together(views: Sequence[View], seeds: bool = False, by_row: bool = False) -> Together:
    """Compute what several runs have in common.

    Args:
        views: of the runs.
        seeds: whether the user says that the runs differ in their seed only, see `seed_groups`.
        by_row: whether the user says that images are known by their rows, see `shared_images`.

    Raises:
        InputError: see `seed_groups`.
    """
    runs = [view.run for view in views]
    groups = seed_groups(runs, seeds)
    sorted_runs = models_of([run.name for run in runs], [[runs.index(run) for run in g.runs] for g in groups])
    result, note = _compared(runs, sorted_runs, by_row)
    models = tuple(_model(model, runs, result) for model in sorted_runs)
    several = len(runs) > 1
    gathered = len(sorted_runs) < len(runs)
    differences = result["model_differences"] if result else []
    return Together(
        models=models,
        headline=models_table(models) if several else report_tables.headline_table(runs[0]),
        coming=report_charts.next_curves({model.name: model.runs for model in models}) if several else None,
        forest=_forest(differences),
        comparison=comparison_rows(differences) if differences else None,
        runs=runs_table(result["differences"]) if result and gathered else None,
        comparison_note=note,
        seeds=tuple(seeds_table(group, i, model.name) for i, (group, model) in enumerate(_with_models(groups, models))),
    )


def models_table(models: Sequence[ModelView]) -> Table:
    """A row a model: its means over its trainings, and how far other images and other seeds would move them."""
    rows = []
    for model in sorted(models, key=lambda model: model.runs[0].experiment.foreign):
        cells = []
        for period in SHOWN_PERIODS:
            values = SeedGroup(model.runs, ()).means(period)
            count = min((n for run in model.runs if (n := fewest_pairs(run.scores, period))), default=None)
            cells.append(shown(mean(values), model.images[period], count, mean=True))
        n = len(model.runs)
        name = Cell(model.name, note=f"{n} trainings" if n > 1 else "", strong=True)
        rows.append((name, *cells, bracket(model.seeds), bracket(model.generators), Cell(model.runs[0].source)))
        rows += [row for run in model.runs for row in standard_rows(run, 1)]
    # published results stand beside what the protocol trained, whatever other detectors the page shows too
    ours = [run for model in models for run in model.runs if not run.experiment.foreign]
    rows += baseline_rows(bool(ours) and all(run.standing.is_benchmark for run in ours), 2)
    titles = (PERIOD_TITLES[p] for p in SHOWN_PERIODS)
    header = ("Model", *titles, "Next, other seeds", "Next, other generators", "Source")
    return known_columns(Table("headline", "Mean AUROC (%) over the windows", header, tuple(rows)))


def comparison_rows(differences: Sequence[dict[str, Any]]) -> Table:
    """Model against model: paired differences of the headline."""
    rows = []
    for d in differences:
        both = d["both"]
        p, source = (both["p"], BOOTSTRAP) if both else (d["p"], d["p_from"])
        rows.append(
            (
                Cell(f"{d['a']} - {d['b']}"),
                points(d["difference"], d["interval"]),
                bracket_of_points(both["interval"] if both else None),
                _p_cell(p, source),
                _p_cell(d["p_holm"]),
                Cell(_verdict(d)),
            )
        )
    header = ("Models", "Next AUROC (points)", "Other images and seeds", "p", "p, Holm", "At 5 %")
    return Table("comparison", "Model against model: paired differences of the headline", header, tuple(rows))


def runs_table(differences: Sequence[dict[str, Any]]) -> Table:
    """Paired differences of all trainings."""
    rows = []
    for entry in differences:
        d = entry[HEADLINE]
        name = Cell(f"{entry['a']} - {entry['b']}")
        cells = (_p_cell(d["p"], d["p_from"]), _p_cell(d["p_holm"]))
        rows.append((name, points(d["difference"], d["interval"]), *cells))
    header = ("Trainings", "Next AUROC (points)", "p", "p, Holm")
    return Table("comparison_runs", "Training against training", header, tuple(rows))


def bracket_of_points(interval: Sequence[float] | None) -> Cell:
    """An interval of a difference, alone."""
    return Cell(interval_text(interval, sign="+") or "-", interval=interval, share=True)


def _p_cell(p: float | None, source: str = BOOTSTRAP) -> Cell:
    return Cell("-") if p is None else Cell(p_text(p), p, "" if source == BOOTSTRAP else source)


def _verdict(d: dict[str, Any]) -> str:
    if d["p_holm"] is None or d["difference"] is None:
        return "not comparable"
    if d["p_holm"] > 0.05:
        return "no difference shown"
    better = d["a"] if d["difference"] > 0 else d["b"]
    return f"{better} is better" + ("" if d["both"] else ", for these trainings")


def _forest(differences: Sequence[dict[str, Any]]) -> Forest | None:
    rows = tuple(
        Span(
            f"{d['a']} - {d['b']}",
            d["difference"],
            tuple(d["interval"]) if d["interval"] else None,
            tuple(d["both"]["interval"]) if d["both"] else None,
            f"{100 * d['difference']:+.2f} "
            f"{interval_text(d['both']['interval'] if d['both'] else d['interval'], sign='+')}",
        )
        for d in differences
        if d["difference"] is not None
    )
    title = "Differences of Next-period AUROC between models"
    return Forest("differences", title, "points; right of zero the first is better", rows) if rows else None


def _model(model: Model, runs: Sequence[ExperimentResults], result: dict[str, Any] | None) -> ModelView:
    own = tuple(runs[i] for i in model.runs)
    alone, first = len(own) == 1, own[0]
    generators = first.bounds["headline"]["generators"] if alone else None
    if alone:
        headline = first.scores["headline"]["mean"]
        # a timeline of one window has means, but no headline
        images = first.bounds["means"] | {NEXT: first.bounds["headline"]["images"]}
        return ModelView(model.name, own, headline, images, generators, None)
    values = SeedGroup(own, ()).means(NEXT)
    of_model = result["models"][model.name]["periods"] if result else {}
    intervals = {period: of_model[period]["interval"] if of_model else None for period in SHOWN_PERIODS}
    return ModelView(model.name, own, mean(values), intervals, None, bounds(over_seeds(values)[1]))


def _with_models(groups: Sequence[SeedGroup], models: Sequence[ModelView]) -> list[tuple[SeedGroup, ModelView]]:
    return [(group, model) for group in groups for model in models if model.runs == group.runs]


def _compared(
    runs: Sequence[ExperimentResults], models: Sequence[Model], by_row: bool
) -> tuple[dict[str, Any] | None, str]:
    if len(runs) < 2:
        return None, ""
    experiments = [run.experiment for run in runs]
    try:
        result = compare(experiments, runs[0].bounds["replicates"], models=models, by_row=by_row)
    except InputError as error:
        return None, f"No paired differences: {error}."
    return result, "; ".join(result["shared"])
