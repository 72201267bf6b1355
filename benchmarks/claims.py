"""What a benchmark script measures, in the one form that the report reads; see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import operator
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from machine import describe_machine

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Claim:
    """One measured figure.

    Attributes:
        name: what was measured.
        value: the median of the repeats.
        spread: least and greatest of the repeats.
        goal: ``">= 3"`` or ``"<= 0.5"``, in the claim's unit; ``""`` where there is none.
        unit: such as ``s``, ``x`` (a ratio) or ``MB``.
    """

    name: str
    value: float
    spread: tuple[float, float]
    goal: str
    unit: str

    @property
    def met(self) -> bool | None:
        """Whether the figure reaches its goal; None where there is none."""
        if not self.goal:
            return None
        sign, bound = self.goal.split()
        return _COMPARISONS[sign](self.value, float(bound))

    def row(self) -> list[str]:
        """The claim as a row under ``HEADER``."""
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        low, high = map(figure, self.spread)
        return [self.name, f"{figure(self.value)} {self.unit}".strip(), f"{low} to {high}", self.goal, verdict]


HEADER = ("measured", "median", "spread", "goal", "reached")


@dataclass
class Results:
    """What one run of a script gives: filled by the script, printed, and written with ``--json``.

    Attributes:
        script: the script's name without its ending.
        title: the heading of its section.
        claims: the figures.
        tables: further tables or text, Markdown by heading.
        plots: file names, by title, of pictures in ``docs/images``.
        machine: what it was measured on.
        date: UTC day of the run.
    """

    script: str
    title: str
    claims: list[Claim] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=describe_machine)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))

    def claim(self, name: str, values: Sequence[float] | float, unit: str, goal: str = "") -> Claim:
        """Add a figure from its repeats (or the only one); returns it."""
        repeats = [float(v) for v in (values if isinstance(values, Sequence) else [values])]
        made = Claim(name, statistics.median(repeats), (min(repeats), max(repeats)), goal, unit)
        self.claims.append(made)
        return made

    def table(self, heading: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add a table; numbers are written with three significant digits."""
        self.tables[heading] = markdown_table(header, rows)

    def finish(self, json_path: Path | None) -> None:
        """Print everything; write it as JSON too where a path is given."""
        print(f"\n{markdown_table(HEADER, [claim.row() for claim in self.claims])}")
        for heading, text in self.tables.items():
            print(f"\n{heading}\n\n{text}")
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            json_path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Results:
        """What ``finish`` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        claims = [Claim(**{**claim, "spread": tuple(claim["spread"])}) for claim in values.pop("claims")]
        return Results(claims=claims, **values)


def parser(doc: str | None, repeats: int = 3) -> argparse.ArgumentParser:
    """An argument parser with what every script takes: ``--json FILE`` and ``--repeats``."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the figures there, for benchmarks/report.py")
    made.add_argument("--repeats", type=int, default=repeats, help="measurements of each figure")
    return made


def three(values: Iterable[float]) -> tuple[float, float, float]:
    """The middle, the least and the greatest of some values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[0], ordered[-1]


def figure(value: Any) -> str:
    """A number with three significant digits; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table whose first column is text and the others stand right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *([figure(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
