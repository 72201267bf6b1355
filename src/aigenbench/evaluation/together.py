"""What a page shows of several experiments together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError
from aigenbench.evaluation import report_charts, report_tables
from aigenbench.evaluation.chart import Cell, Chart, Table
from aigenbench.evaluation.compare import HEADLINE, check_comparable, compare
from aigenbench.evaluation.intervals import bounds
from aigenbench.evaluation.run import Run
from aigenbench.evaluation.seeds import SeedGroup, seed_groups, seeds_table
from aigenbench.evaluation.table import percent
from aigenbench.evaluation.uncertainty import interval_text
from aigenbench.evaluation.view import View


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
