"""`aigenbench report`: a page about experiments."""

from __future__ import annotations

import argparse

from aigenbench.cli.arguments import add_by_row, add_replicates, add_stage, positive
from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.cli.score import add_metric_imports, run_metric_imports
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "report",
        help="a self-contained HTML page about experiments",
        description="Write one HTML file with scores, intervals, curves and mistakes of one or several experiments.",
    )
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT_DIR")
    parser.add_argument(
        "-o", "--output", default="report.html", metavar="FILE", help="or a folder (default: report.html)"
    )
    add_stage(parser)
    parser.add_argument(
        "--dataset", metavar="SOURCE", help="the data set, to show mistakes, and errors by origin and image size"
    )
    parser.add_argument(
        "--export", metavar="DIR", help="also write every table as CSV, every chart as PNG and PDF, and LaTeX"
    )
    add_replicates(parser)
    parser.add_argument(
        "--seeds",
        action="store_true",
        help="the experiments differ in their training seed only: add the interval over seeds (found by itself where "
        "their configurations say so)",
    )
    add_by_row(parser)
    add_metric_imports(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page and say where."""
    replicates = positive(args.replicates, "--replicates")
    output = output_file(args.output, "--output", "report.html")
    exported = output_folder(args.export, "--export") if args.export else None
    run_metric_imports(args.imports)
    from aigenbench.engine.pages import reported

    n = reported(args.experiments, output, args.stage, args.dataset, exported, replicates, args.seeds, args.by_row)
    say(f"report: {output}")
    if exported:
        say(f"exported {n} files to {exported}")
    return 0
