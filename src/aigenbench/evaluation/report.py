"""One self-contained page about one or several experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aigenbench import __version__, files
from aigenbench.errors import InputError
from aigenbench.evaluation import report_charts, report_tables
from aigenbench.evaluation.breakdown import breakdowns
from aigenbench.evaluation.chart import Cell, Chart, Table
from aigenbench.evaluation.compare import HEADLINE, check_comparable, compare
from aigenbench.evaluation.mistakes import Mistake, Thumbnail, confident_mistakes, gallery_window
from aigenbench.evaluation.pages import environment, resource
from aigenbench.evaluation.report_robustness import RobustnessView, robustness_view
from aigenbench.evaluation.run import Run
from aigenbench.evaluation.table import percent
from aigenbench.evaluation.uncertainty import interval_text

RECORDED = ("started", "device", "devices", "precision", "seconds", "energy_joules", "aigenbench", "python")
"""What a run's record is asked for, in the order of the table."""


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
    transfer: Table
    drops: Table
    carried: Table
    calibration: Table
    multiclass: Table
    breakdowns: tuple[Table, ...]
    robustness: RobustnessView
    records: Table
    gallery_window: int
    missed_reals: list[Mistake]
    missed_fakes: list[Mistake]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the run."""
        own = (self.results, self.heat, self.transfer, self.drops, self.carried, self.calibration, *self.breakdowns)
        classes = (self.multiclass,) if self.multiclass.rows else ()
        return (*own, *classes, *self.robustness.tables, *(w.metrics for w in self.windows))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart of the run."""
        return (self.curves, *(chart for w in self.windows for chart in w.charts), *self.robustness.charts)


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
        columns: likewise, columns of the evaluation split, see `breakdowns`.
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
        transfer=report_tables.transfer_table(run),
        drops=report_tables.drop_table(run),
        carried=report_tables.carried_table(run),
        calibration=report_tables.calibration_table(run),
        multiclass=report_tables.multiclass_table(run),
        breakdowns=breakdowns(run.experiment, chosen, columns or {}),
        robustness=robustness_view(run.robustness),
        records=records_table(run),
        gallery_window=chosen,
        missed_reals=missed_reals,
        missed_fakes=missed_fakes,
    )


def render(views: Sequence[View]) -> str:
    """The page as HTML: nothing is loaded from elsewhere, and it reads without scripts."""
    runs = [view.run for view in views]
    several = len(views) > 1
    comparison, comparison_note = _comparison(runs) if several else (None, "")
    return (
        environment()
        .get_template("report.html")
        .render(
            title=runs[0].name if not several else "Detectors compared: " + ", ".join(run.name for run in runs),
            views=views,
            several=several,
            headline_table=report_tables.headline_table(runs),
            next_chart=report_charts.next_curves(runs),
            comparison=comparison,
            comparison_note=comparison_note,
            choices=[_choice(view.id, w.window) for view in views for w in view.windows],
            replicates=f"{runs[0].bounds['replicates']:,}",
            style=resource("style.css"),
            script=resource("script.js"),
            version=__version__,
        )
    )


def write_report(path: Path | str, views: Sequence[View]) -> None:
    """Write the page to ``path``."""
    files.write_text(path, render(views))


def records_table(run: Run) -> Table:
    """What the windows' runs recorded of themselves."""
    names = [name for name in RECORDED if any(name in record for record in run.records.values())]
    packages = sorted({n for r in run.records.values() for n in r.get("packages", {})})
    rows = []
    for k, record in run.records.items():
        values: list[Any] = [record.get(name, "-") for name in names]
        values += [record.get("packages", {}).get(name, "-") for name in packages]
        rows.append((Cell(str(k), k), *(Cell(str(v)) for v in values)))
    header = ("Window", *(n.replace("_", " ") for n in names), *packages)
    return Table("records", "Versions, hardware and time", header, tuple(rows))


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
