"""``aigenbench data generators``: image generators, the day they were released, and on what that rests."""

from __future__ import annotations

import argparse
import csv
import io
import json
from datetime import date
from typing import Any

from aigenbench.cli.terminal import say


def register(commands: Any) -> None:
    """Add ``data generators``."""
    parser = commands.add_parser(
        "generators",
        help="image generators by the day they were released, with sources: what a timeline can be made of",
        description="List known image generators by date. With --csv it is a file for --timeline: "
        "aigenbench data generators NAME NAME --csv > timeline.csv",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--since", type=_day, metavar="DATE", help="only those released on that day or later")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON array")
    form.add_argument("--csv", action="store_true", help="print CSV, a timeline")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the generators asked for; 1 where there is none.

    Raises:
        InputError: a name is not on the list.
    """
    from aigenbench.protocol.generators import find_listed, listed_generators

    chosen = find_listed(arguments.names) if arguments.names else listed_generators()
    rows = [one.to_dict() for one in chosen if arguments.since is None or one.released >= arguments.since]
    if arguments.json:
        say(json.dumps(rows, ensure_ascii=False))
    elif arguments.csv:
        target = io.StringIO()
        writer = csv.DictWriter(target, list(chosen[0].to_dict()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        say(target.getvalue(), end="")
    else:
        for row in rows:
            day = row["date"] if row["precision"] == "day" else row["date"][:7]
            mark = "*" if row["basis"] == "benchmark" else " "
            say(f"{day:<10} {mark} {row['generator']:<30} {row['source']}")
        say(f"{len(rows)} generators; * are the benchmark's")
    return 0 if rows else 1


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a day such as 2024-08-31, found {text!r}") from error
