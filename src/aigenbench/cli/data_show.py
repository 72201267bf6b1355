"""``aigenbench data show``: contact sheets of a data set."""

from __future__ import annotations

import argparse
from typing import Any

from aigenbench.cli.arguments import add_follow_links, add_timeline
from aigenbench.cli.terminal import say
from aigenbench.errors import InputError


def register(commands: Any) -> None:
    """Add ``data show``."""
    parser = commands.add_parser(
        "show",
        help="contact sheets: images as stored, after the mandatory steps, and as a model gets them",
        usage="aigenbench data show DATASET [options] [ARGUMENTS OF fit]",
        description="Write a sheet of images: as stored, after the benchmark's mandatory steps, and, with --augmented "
        "or the configuration of a run, as its model gets them. They are the samples that a run reads.",
    )
    parser.forwards = True
    parser.add_argument("dataset", help="a saved data set, Parquet shards, or a folder with index.csv")
    parser.add_argument("-o", "--output", default="contact_sheet.png", metavar="FILE", help=".png or .html")
    parser.add_argument("--split", default="train", help="train (default), validation or test")
    parser.add_argument(
        "--generator", action="append", default=[], metavar="G", help="of this one alone, 'real' for reals; repeatable"
    )
    parser.add_argument("--index", type=_rows, default=[], metavar="I,J", help="these rows")
    parser.add_argument("--count", type=int, metavar="N", help="how many images are drawn (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draw")
    parser.add_argument("--augmented", action="store_true", help="as a model gets them, by the benchmark's defaults")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="as the model of this run gets them; repeatable"
    )
    add_timeline(parser)
    add_follow_links(parser)
    parser.set_defaults(run=run)


def _rows(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected row numbers such as 3,17, found {text!r}") from None


def run(arguments: argparse.Namespace) -> int:
    """Write the sheet."""
    if arguments.seed < 0:
        raise InputError(f"--seed must be 0 or more, found {arguments.seed}")
    from aigenbench.cli.outputs import output_file
    from aigenbench.engine.showing import Wanted, write_contact_sheet

    output = output_file(arguments.output, "--output", "contact_sheet.png")
    asked = None
    if arguments.config or arguments.forwarded:
        from aigenbench.cli.parser import asked_for

        asked = asked_for([*(f"--config={file}" for file in arguments.config), *arguments.forwarded], "fit")
    wanted = Wanted(
        arguments.dataset,
        arguments.split,
        arguments.generator,
        arguments.index,
        arguments.count,
        arguments.seed,
        arguments.timeline,
        arguments.follow_links,
    )
    say(f"contact sheet: {write_contact_sheet(wanted, output, asked, arguments.augmented)}")
    return 0
