"""`aigenbench report`: a page about experiments."""

from __future__ import annotations

import argparse

from aigenbench.cli.compare import add_by_row, positive
from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.cli.score import add_imports, run_metric_imports


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
    parser.add_argument("--stage", default="validate", metavar="validate|test", help="default: validate")
    parser.add_argument(
        "--dataset", metavar="SOURCE", help="the data set, to show mistakes, and errors by origin and image size"
    )
    parser.add_argument(
        "--export", metavar="DIR", help="also write every table as CSV, every chart as PNG and PDF, and LaTeX"
    )
    parser.add_argument("--replicates", default="2000", metavar="N", help="bootstrap replicates (default 2000)")
    parser.add_argument(
        "--seeds",
        action="store_true",
        help="the experiments differ in their training seed only: add the interval over seeds (found by itself where "
        "their configurations say so)",
    )
    add_by_row(parser)
    add_imports(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page and say where."""
    replicates = positive(args.replicates, "--replicates")
    output = output_file(args.output, "--output", "report.html")
    exported = output_folder(args.export, "--export") if args.export else None
    run_metric_imports(args.imports)
    from aigenbench.engine.results import reported

    n = reported(args.experiments, output, args.stage, args.dataset, exported, replicates, args.seeds, args.by_row)
    print(f"report: {output}")
    if exported:
        print(f"exported {n} files to {exported}")
    return 0
