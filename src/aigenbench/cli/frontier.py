"""`aigenbench frontier`: quality against compute."""

from __future__ import annotations

import argparse

from aigenbench.cli.compare import add_by_row, positive
from aigenbench.cli.outputs import output_file
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "frontier",
        help="quality against compute",
        description="Next-period AUROC of experiments against what their training took: which are dominated, and where "
        "the difference is within noise. Writes a page, and its chart as PNG and table as CSV beside it.",
    )
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT_DIR", help="or the folder of a sweep")
    parser.add_argument(
        "-o", "--output", default="frontier.html", metavar="FILE", help="or a folder (default: frontier.html)"
    )
    parser.add_argument(
        "--x", default="flops", metavar="MEASURE", help="flops, samples, steps, seconds or joules (default flops)"
    )
    parser.add_argument("--stage", default="validate", metavar="validate|test", help="default: validate")
    parser.add_argument("--replicates", default="2000", metavar="N", help="bootstrap replicates (default 2000)")
    add_by_row(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page, print its gist and say where it is."""
    replicates, output = positive(args.replicates, "--replicates"), output_file(args.output, "-o", "frontier.html")
    from aigenbench.engine.frontier import frontier

    found = frontier(*args.experiments, x=args.x, stage=args.stage, replicates=replicates, by_row=args.by_row)
    say(found)
    for path in found.write(output):
        say(path)
    return 0
