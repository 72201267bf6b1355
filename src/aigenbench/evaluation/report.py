"""One self-contained page about one or several experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aigenbench import __version__, files
from aigenbench.errors import InputError
from aigenbench.evaluation import derived_tables, report_charts, report_tables
from aigenbench.evaluation.breakdown import breakdowns, class_groups
from aigenbench.evaluation.chart import Cell, Chart, Table
from aigenbench.evaluation.compare import HEADLINE, check_comparable, compare
from aigenbench.evaluation.intervals import bounds
from aigenbench.evaluation.mistakes import Mistake, Thumbnail, confident_mistakes, gallery_window
from aigenbench.evaluation.pages import environment, resource
from aigenbench.evaluation.records import times_table, versions_table
from aigenbench.evaluation.report_robustness import RobustnessView, robustness_view
from aigenbench.evaluation.run import Run
from aigenbench.evaluation.seeds import SeedGroup, seed_groups, seeds_table
from aigenbench.evaluation.table import percent
from aigenbench.evaluation.uncertainty import interval_text


@dataclass(frozen=True)
class WindowView:
    """One window's charts and metrics."""

    window: int
    charts: tuple[Chart, ...]
    metrics: Table


@dataclass(frozen=True)
class View:
    """What the page shows of one run."""

    id: str
    run: Run
    headline: str
    images: str
    generators: str
    curves: Chart
    results: Table
    heat: Table
    windows: tuple[WindowView, ...]
    chosen: int
    over_time: Table
    transfer: Table
    drops: Table
    carried: Table
    calibration: Table
    multiclass: Table
    breakdowns: tuple[Table, ...]
    robustness: RobustnessView
    times: Table
    versions: Table
    gallery_window: int
    missed_reals: list[Mistake]
    missed_fakes: list[Mistake]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the run."""
        own = (
            self.results,
            self.heat,
            self.over_time,
            self.drops,
            self.transfer,
            self.carried,
            self.calibration,
            *self.breakdowns,
        )
        classes = (self.multiclass,) if self.multiclass.rows else ()
        recorded = tuple(table for table in (self.times, self.versions) if table.rows)
        return (*own, *classes, *self.robustness.tables, *recorded, *(w.metrics for w in self.windows))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart of the run."""
        return (self.curves, *(chart for w in self.windows for chart in w.charts), *self.robustness.charts)


@dataclass(frozen=True)
class Together:
    """What several runs have in common.

    Attributes:
        headline: their means beside the published baselines.
        coming: their Next-period curves; None for a single run.
        comparison: their paired differences, None where they cannot be compared.
        comparison_note: why not, or "".
        seeds: a table for every group of runs that differ in their seed only.
        seeds_text: by id of a view in such a group, its mean headline over seeds with interval.
    """

    headline: Table
    coming: Chart | None
    comparison: Table | None
    comparison_note: str
    seeds: tuple[Table, ...]
    seeds_text: dict[str, str]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table."""
        return (self.headline, *((self.comparison,) if self.comparison else ()), *self.seeds)


def make_view(
    run: Run,
    index: int = 0,
    thumbnail: Thumbnail | None = None,
    columns: Mapping[str, NDArray[Any]] | None = None,
) -> View:
    """Arrange a run for the page.

    Args:
        run: what is known.
        index: position of the run among those of the page.
        thumbnail: where the data set is at hand, gives small copies of images.
        columns: likewise, columns of the evaluation split, see `class_groups`.
    """
    headline, chosen = run.bounds["headline"], gallery_window(run.experiment)
    missed_reals, missed_fakes = confident_mistakes(run.experiment, chosen, thumbnail)
    return View(
        id=f"run{index}",
        run=run,
        headline=percent(run.scores["headline"]["mean"]),
        images=interval_text(headline["images"]),
        generators=interval_text(headline["generators"]),
        curves=report_charts.period_curves(run),
        results=report_tables.results_table(run),
        heat=report_tables.heat_map(run),
        windows=tuple(
            WindowView(k, report_charts.window_charts(run, k), report_tables.metrics_table(run, k))
            for k in run.experiment.windows
        ),
        chosen=chosen,
        over_time=derived_tables.over_time_table(run),
        transfer=derived_tables.transfer_table(run),
        drops=derived_tables.drop_table(run),
        carried=derived_tables.carried_table(run),
        calibration=derived_tables.calibration_table(run),
        multiclass=derived_tables.multiclass_table(run),
        breakdowns=breakdowns(class_groups(run.experiment, columns or {}), chosen),
        robustness=robustness_view(run.robustness),
        times=times_table(run.records),
        versions=versions_table(run.records),
        gallery_window=chosen,
        missed_reals=missed_reals,
        missed_fakes=missed_fakes,
    )


def put_together(views: Sequence[View], seeds: bool = False) -> Together:
    """Compute what several runs have in common.

    Args:
        views: of the runs.
        seeds: whether the user says that the runs differ in their seed only, see `seed_groups`.

    Raises:
        InputError: see `seed_groups`.
    """
    runs = [view.run for view in views]
    groups = seed_groups(runs, seeds)
    comparison, note = _comparison(runs) if len(runs) > 1 else (None, "")
    other_seeds = {view.id: group for group in groups for view in views if view.run in group.runs}
    return Together(
        headline=report_tables.headline_table(runs),
        coming=report_charts.next_curves(runs) if len(runs) > 1 else None,
        comparison=comparison,
        comparison_note=note,
        seeds=tuple(seeds_table(group, i) for i, group in enumerate(groups)),
        seeds_text={name: _seeds_text(group) for name, group in other_seeds.items()},
    )


def render(views: Sequence[View], together: Together | None = None) -> str:
    """The page as HTML: nothing is loaded from elsewhere, and it reads without scripts."""
    runs = [view.run for view in views]
    several = len(views) > 1
    return (
        environment()
        .get_template("report.html")
        .render(
            title=runs[0].name if not several else "Detectors compared: " + ", ".join(run.name for run in runs),
            views=views,
            several=several,
            together=together or put_together(views),
            choices=[_choice(view.id, w.window) for view in views for w in view.windows],
            replicates=f"{runs[0].bounds['replicates']:,}",
            other_replicates=runs[0].bounds["other_replicates"],
            style=resource("style.css"),
            script=resource("script.js"),
            version=__version__,
        )
    )


def write_report(path: Path | str, views: Sequence[View], together: Together | None = None) -> None:
    """Write the page to ``path``."""
    files.write_text(path, render(views, together))


def comparison_rows(result: dict[str, Any]) -> Table:
    """Paired differences as a table."""
    rows = []
    for entry in result["differences"]:
        d = entry[HEADLINE]
        difference = "-" if d["difference"] is None else f"{100 * d['difference']:+.2f}"
        p_values = [Cell("-") if d[p] is None else Cell(f"{d[p]:.4f}", d[p]) for p in ("p", "p_holm")]
        name = Cell(f"{entry['a']} - {entry['b']}")
        rows.append((name, Cell(difference, d["difference"], interval_text(d["interval"])), *p_values))
    header = ("Difference", "Next AUROC (points)", "p", "p, Holm")
    return Table("comparison", "Paired differences of the headline", header, tuple(rows))


def _seeds_text(group: SeedGroup) -> str:
    centre, interval = group.headline
    return f"{percent(centre)} {interval_text(bounds(interval))}, mean of {len(group.runs)}"


def _comparison(runs: Sequence[Run]) -> tuple[Table | None, str]:
    experiments = [run.experiment for run in runs]
    try:
        check_comparable(experiments)
    except InputError as error:
        return None, f"No paired differences: {error}."
    return comparison_rows(compare(experiments, runs[0].bounds["replicates"])), ""


def _choice(view: str, window: int) -> str:
    # a style sheet shows the chosen window's panel, so choosing works without scripts
    chosen = f"#{view}-w{window}:checked ~"
    return (
        f"{chosen} .panel.w{window} {{ display: block; }} {chosen} .pills label.w{window} "
        "{ background: var(--accent); border-color: var(--accent); color: var(--paper); }"
    )
