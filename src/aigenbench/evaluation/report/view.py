"""What a page shows of one experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aigenbench.evaluation.drawing.chart import Chart, Table
from aigenbench.evaluation.metrics.mistakes import Mistake, Thumbnail, confident_mistakes, gallery_window
from aigenbench.evaluation.report import charts as report_charts
from aigenbench.evaluation.report import derived_tables
from aigenbench.evaluation.report import tables as report_tables
from aigenbench.evaluation.report.records import times_table, versions_table
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.report.robustness import RobustnessView, robustness_view
from aigenbench.evaluation.statistics.breakdown import class_groups


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
    run: ExperimentResults
    curves: Chart
    results: Table
    seen: Table
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
        classes = tuple(table for table in (self.seen, self.multiclass) if table.rows)
        recorded = tuple(table for table in (self.times, self.versions) if table.rows)
        return (*own, *classes, *self.robustness.tables, *recorded, *(w.metrics for w in self.windows))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart of the run."""
        of_windows = (chart for w in self.windows for chart in w.charts)
        return (self.curves, *of_windows, *self.robustness.charts, *self.robustness.shift_charts)


def make_view(
    run: ExperimentResults,
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
    chosen = gallery_window(run.experiment)
    missed_reals, missed_fakes = confident_mistakes(run.experiment, chosen, thumbnail)
    return View(
        id=f"run{index}",
        run=run,
        curves=report_charts.period_curves(run),
        results=report_tables.results_table(run),
        seen=report_tables.seen_table(run),
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
        breakdowns=derived_tables.breakdowns(class_groups(run.experiment, columns or {}), chosen),
        robustness=robustness_view(run.robustness),
        times=times_table(run.records),
        versions=versions_table(run.records),
        gallery_window=chosen,
        missed_reals=missed_reals,
        missed_fakes=missed_fakes,
    )
