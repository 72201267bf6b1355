"""A report's tables as CSV and LaTeX, its charts as PNG and PDF."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigenbench import files
from aigenbench.evaluation.drawing.chart import Cell, Chart, Forest, Table
from aigenbench.evaluation.drawing.heat_plot import draw_heat
from aigenbench.evaluation.drawing.plots import draw_chart
from aigenbench.evaluation.report.together import Together, put_together
from aigenbench.evaluation.report.view import View

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(
    folder: Path | str,
    views: Sequence[View],
    together: Together | None = None,
    formats: Sequence[str] = ("png", "pdf"),
) -> list[Path]:
    """Write every table (CSV) and chart of ``views`` and ``together``, the main tables as LaTeX too.

    Files of a run lie in a folder of its number, or in ``folder`` itself where there is only one.

    Returns:
        The files written.
    """
    folder, written = Path(folder), []

    def write(path: Path, text: str) -> None:
        files.write_text(path, text)
        written.append(path)

    together = together or put_together(views)
    for table in together.tables:
        write(folder / f"{table.name}.csv", as_csv(table))
        write(folder / f"{table.name}.tex", as_latex(table))
    for chart in together.charts:
        written += _charts(folder, chart, formats)
    for view in views:
        place = folder if len(views) == 1 else folder / view.id
        for table in view.tables:
            write(place / f"{table.name}.csv", as_csv(table))
        write(place / "results.tex", as_latex(view.results))
        for chart in view.charts:
            written += _charts(place, chart, formats)
        heat = [place / f"{view.heat.name}.{kind}" for kind in formats]
        draw_heat(view.heat, *heat)
        written += heat
    return written


def as_csv(table: Table) -> str:
    """A table as CSV in full precision.

    Shares, their differences and their intervals are fractions of one throughout, and the header says so. A column
    with intervals is followed by their ends, one with counts by the pairs of images it stands on.
    """
    columns = [_Column.of(name, [row[i] for row in table.rows]) for i, name in enumerate(table.header)]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([title for column in columns for title in column.titles])
    for row in table.rows:
        writer.writerow([entry for column, cell in zip(columns, row, strict=True) for entry in column.entries(cell)])
    return target.getvalue()


@dataclass(frozen=True)
class _Column:
    name: str
    unit: str
    value: bool
    bounds: bool
    counts: bool

    @staticmethod
    def of(name: str, cells: Sequence[Cell]) -> _Column:
        known = [cell for cell in cells if cell.value is not None or cell.interval is not None]
        shares = [cell.share for cell in known]
        unit = " (0..1)" if shares and all(shares) else " (shares in 0..1)" if any(shares) else ""
        bare = name.removesuffix(" (points)").removesuffix(" (%)") if unit else name
        bounds = any(cell.interval is not None for cell in cells)
        # a column of intervals alone has no values beside their ends
        value = not (bounds and all(cell.value is None for cell in cells))
        return _Column(bare, unit, value, bounds, any(cell.count is not None for cell in cells))

    @property
    def titles(self) -> list[str]:
        titles = [f"{self.name}{self.unit}"] if self.value else []
        titles += [f"{self.name}, {end} end of 95 %{self.unit}" for end in ("lower", "upper") if self.bounds]
        return titles + ([f"{self.name}, pairs"] if self.counts else [])

    def entries(self, cell: Cell) -> list[str | float]:
        entries: list[str | float] = [_harmless(cell.exported)] if self.value else []
        entries += list(cell.interval or ("", "")) if self.bounds else []
        return entries + ([cell.count if cell.count is not None else ""] if self.counts else [])


def as_latex(table: Table) -> str:
    """A table as a LaTeX ``tabular`` with booktabs rules; intervals stand small behind their values."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [
        f"% {table.title}; needs the package booktabs",
        f"\\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(_latex(title) for title in table.header) + r" \\",
        r"\midrule",
        *(" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _charts(folder: Path, chart: Chart | Forest, formats: Iterable[str]) -> list[Path]:
    paths = [folder / f"{chart.name}.{kind}" for kind in formats]
    draw_chart(chart, *paths)
    return paths


def _harmless(value: str | float) -> str | float:
    # a name that a spreadsheet would run as a formula
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) and len(value) > 1 else value


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text) if cell.text != "-" else "--"
    text = rf"\textbf{{{text}}}" if cell.strong else text
    return rf"{text} {{\scriptsize {_latex(cell.note)}}}" if cell.note else text
