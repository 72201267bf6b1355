"""`aigenbench leaderboard`: a static page of verified submissions."""

from __future__ import annotations

import argparse

from aigenbench.cli.arguments import add_replicates, positive
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    from aigenbench.cli.submission import add_check_options

    parser = subparsers.add_parser(
        "leaderboard",
        help="a static page of verified submissions",
        description="Verify every zip file of a folder and write a page that ranks them.",
    )
    parts = parser.add_subparsers(required=True, metavar="build")
    build = parts.add_parser("build", help="write the page")
    build.add_argument("folder", metavar="DIR", help="holds the submissions")
    build.add_argument("-o", "--output", default="site", metavar="DIR", help="default: site")
    add_replicates(build)
    add_check_options(build)
    build.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page and say what is on it."""
    from aigenbench.cli.outputs import output_folder
    from aigenbench.cli.submission import check_options

    replicates = positive(args.replicates, "--replicates")
    site = output_folder(args.output, "--output")
    options = check_options(args)
    from aigenbench.evaluation.leaderboard.page import build_leaderboard

    entries, rejected = build_leaderboard(args.folder, site, replicates=replicates, **options)
    n = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    say(f"{site / 'index.html'}: {n}, {len(rejected)} rejected")
    return 0
