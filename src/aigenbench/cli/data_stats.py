"""``aigenbench data stats``: what a data set is made of."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import add_follow_links, add_timeline, add_workers
from aigenbench.cli.terminal import progress_bar, say
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.curation.stats import Group, Spread, Stats

_HEAD = (
    *("split", "generator", "images", "MB", "width", "height", "aspect"),
    *("format", "quality", "subsampling", "mode", "EXIF", "origin", ""),
)
_NUMBERS = {"images", "MB"}


def register(commands: Any) -> None:
    """Add ``data stats``."""
    parser = commands.add_parser(
        "stats",
        help="images, sizes, formats and bytes by split, generator and origin",
        description="Read the header of every image and say what a data set is made of: the middle of each number, "
        "with the least and the greatest; shares of formats. Pixels are not decoded.",
    )
    parser.add_argument("source", help="a saved data set, Parquet shards, or a folder with index.csv")
    parser.add_argument("--split", action="append", default=[], metavar="NAME", help="only this; may be repeated")
    parser.add_argument(
        "--generator", action="append", default=[], metavar="NAME", help="only this, 'real' for reals; may be repeated"
    )
    add_timeline(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_follow_links(parser)
    add_workers(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what a data set is made of."""
    if arguments.workers < 1:
        raise InputError(f"--workers must be at least 1, found {arguments.workers}")
    from aigenbench.curation.stats import stats

    with progress_bar() as progress:
        found = stats(
            arguments.source,
            arguments.split,
            arguments.generator,
            arguments.timeline,
            arguments.workers,
            progress,
            arguments.follow_links,
        )
    say(json.dumps(found.to_dict(), ensure_ascii=False) if arguments.json else table(found))
    return 0


def table(found: Stats) -> str:
    """As lines for a reader; columns that say nothing are left out."""
    rows = [_HEAD, *(_row(group) for group in found.groups)]
    kept = [i for i in range(len(_HEAD)) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in kept}
    lines = [
        "  ".join(row[i].rjust(widths[i]) if _HEAD[i] in _NUMBERS else row[i].ljust(widths[i]) for i in kept).rstrip()
        for row in rows
    ]
    images, size = (sum(getattr(group, name) for group in found.groups) for name in ("images", "bytes"))
    marks = f"; {', '.join(found.marks)}" if found.marks else ""
    return "\n".join([*lines, f"{images} images, {size / 1e6:.1f} MB{marks}"])


def _row(group: Group) -> tuple[str, ...]:
    read = group.images - group.unreadable
    notes = [f"{group.unreadable} unreadable"] if group.unreadable else []
    if group.generator and group.released is None:
        notes.append("not on the timeline")
    return (
        group.split,
        group.generator or "real",
        str(group.images),
        f"{group.bytes / 1e6:.1f}",
        _span(group.width),
        _span(group.height),
        _span(group.aspect, digits=2),
        _shares(group.formats),
        _span(group.jpeg_quality),
        _shares(group.subsampling),
        _shares(group.modes),
        f"{group.exif / read:.0%}" if group.exif else "",
        group.origin,
        ", ".join(notes),
    )


def _span(spread: Spread | None, digits: int = 0) -> str:
    if spread is None:
        return ""
    low, middle, high = (f"{value:.{digits}f}" for value in spread)
    return middle if low == high else f"{middle} ({low}-{high})"


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return ", ".join(name if n == total else f"{name} {n / total:.0%}" for name, n in counts.items())
