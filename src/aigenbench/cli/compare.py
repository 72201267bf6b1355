"""`aigenbench compare`: paired differences between experiments."""

from __future__ import annotations

import argparse
import json

from aigenbench.cli.arguments import add_by_row, add_replicates, add_stage, positive
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "compare",
        help="paired differences between experiments",
        description="Compare experiments evaluated on the same images: differences of AUROC with intervals and "
        "p-values from one paired bootstrap, Holm-corrected for how many are compared. Experiments whose "
        "configurations differ in the seed alone are one model: models are compared by the mean over their trainings.",
    )
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT_DIR")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    add_by_row(parser)
    add_stage(parser)
    add_replicates(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    replicates = positive(args.replicates, "--replicates")
    from aigenbench.engine.pages import compared
    from aigenbench.evaluation.statistics.compare import comparison_table

    result = compared(args.experiments, args.stage, replicates, args.by_row)
    say(json.dumps(result, ensure_ascii=False, allow_nan=False) if args.json else comparison_table(result))
    return 0
