"""``aigenbench demo-data OUT``: a synthetic data set to try the software on."""

from __future__ import annotations

import argparse
import os

from aigenbench.cli.arguments import add_timeline
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's commands."""
    parser = subparsers.add_parser(
        "demo-data",
        help="make a synthetic data set in the benchmark's schema",
        description="Make a synthetic data set in the benchmark's schema: procedural photographs, and "
        "stand-ins for the timeline's generators that leave traces on them. "
        "Its scores say nothing about real generators.",
    )
    parser.add_argument("out", metavar="OUT", help="folder to make; refused if it exists and is not empty")
    parser.add_argument("--generators", type=int, default=36, metavar="G", help="the first G by date (default: 36)")
    parser.add_argument("--train", type=int, default=16, metavar="N", help="train fakes per generator (default: 16)")
    parser.add_argument(
        "--validation", type=int, default=16, metavar="N", help="validation fakes per generator (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal bytes (default: 0)")
    add_timeline(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the data set that ``args`` ask for; returns the exit code.

    Raises:
        InputError: a number is out of range, or the folder exists and is not empty.
    """
    from rich.console import Console
    from rich.progress import Progress

    from aigenbench.data.demo import make_demo_data
    from aigenbench.protocol.timeline import load_timeline

    with Progress(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("drawing pictures")
        make_demo_data(
            args.out,
            args.generators,
            args.train,
            args.validation,
            args.seed,
            processes=min(8, os.cpu_count() or 1),
            progress=lambda made, total: bar.update(task, completed=made, total=total),
            timeline=args.timeline,
        )
    generators = args.generators + len(load_timeline(args.timeline).extensions)
    say(
        f"{args.out}: {2 * generators * args.train} train and {2 * generators * args.validation} validation images, "
        f"half of them fakes of {generators} generators"
    )
    return 0
