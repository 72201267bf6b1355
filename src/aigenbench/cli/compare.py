"""`aigenbench compare`: paired differences between experiments."""

from __future__ import annotations

import argparse
import json

from aigenbench.errors import InputError


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
    parser.add_argument("--stage", default="validate", metavar="validate|test", help="default: validate")
    parser.add_argument("--replicates", default="2000", metavar="N", help="bootstrap replicates (default 2000)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    replicates = positive(args.replicates, "--replicates")
    from aigenbench.engine.results import compared
    from aigenbench.evaluation.statistics.compare import comparison_table

    result = compared(args.experiments, args.stage, replicates, args.by_row)
    print(json.dumps(result, ensure_ascii=False, allow_nan=False) if args.json else comparison_table(result))
    return 0


def add_by_row(parser: argparse.ArgumentParser) -> None:
    """Add the option that says that rows name images."""
    parser.add_argument(
        "--by-row",
        action="store_true",
        help="older results, which do not name their images, are of one copy of the data: pair images by row number",
    )


def positive(text: str, option: str, least: int = 1) -> int:
    """A whole number of at least ``least`` that an option was given.

    Raises:
        InputError: if it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise InputError(f"{option} must be a whole number of at least {least}, found {text!r}")
    return value
