"""Templates of pages: everything a user named is escaped, undefined names are errors."""

from __future__ import annotations

from functools import cache
from importlib.resources import files as package_files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from aigenbench.evaluation.drawing.chart import Chart, Forest, Table
from aigenbench.evaluation.drawing.svg import svg
from aigenbench.evaluation.statistics.intervals import interval_text

PAGES = ("parts.html", "report.html", "leaderboard.html", "frontier.html")


def resource(name: str) -> Markup:
    """The text of one of our own files, marked as safe."""
    return Markup(_text(name))


@cache
def environment() -> Environment:
    """The Jinja environment of all pages."""
    made = Environment(
        loader=DictLoader({name: _text(name) for name in PAGES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters["svg"] = _drawn
    made.filters["bracket"] = interval_text
    made.filters["is_text"] = is_text_column
    made.filters["numbers"] = number_columns
    return made


def is_text_column(table: Table, column: int) -> bool:
    """Whether a column after the first holds words, and is set to the left."""
    return column > 0 and all(row[column].value is None and row[column].text != "-" for row in table.rows)


def number_columns(table: Table) -> int:
    """How many columns after the first hold numbers; on a narrow page the others go below them."""
    return sum(not is_text_column(table, column) for column in range(1, len(table.header)))


def _drawn(chart: Chart | Forest) -> Markup:
    # the drawing escapes what it quotes
    return Markup(svg(chart))


def _text(name: str) -> str:
    return (package_files("aigenbench.evaluation") / "templates" / name).read_text(encoding="utf-8")
