"""`aigenbench submission`: make, verify and import files for the leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aigenbench.cli.arguments import add_stage, add_timeline, positive
from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.cli.terminal import say

PARTS = ("make", "verify", "import")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser and those of its parts."""
    parser = subparsers.add_parser(
        "submission",
        help="make or verify a leaderboard entry, or import predictions",
        description="One zip file with predictions, configuration, versions and model card.",
    )
    parts = parser.add_subparsers(required=True, metavar="|".join(PARTS))
    make = parts.add_parser("make", help="bundle an experiment into one zip file")
    make.add_argument("experiment", metavar="EXPERIMENT_DIR")
    make.add_argument("-o", "--output", metavar="FILE", help="or a folder (default: NAME.zip)")
    make.add_argument("--card", metavar="FILE", help="the model card, YAML or JSON")
    add_stage(make)
    make.set_defaults(run=run_make)
    verify = parts.add_parser("verify", help="check the rules and recompute every score")
    verify.add_argument("file", metavar="FILE")
    add_check_options(verify)
    add_timeline(verify)
    verify.set_defaults(run=run_verify)
    bring = parts.add_parser("import", help="make an experiment of a CSV file: image_id, window, score[, logit]")
    bring.add_argument("file", metavar="CSV")
    bring.add_argument("--columns", required=True, metavar="SOURCE", help="the data set or its columns file")
    bring.add_argument("-o", "--output", required=True, metavar="EXPERIMENT_DIR")
    add_timeline(bring)
    bring.set_defaults(run=run_import)


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Options that decide what a submission is checked against."""
    parser.add_argument("--columns", metavar="SOURCE", help="the data set or its columns file, to check labels")
    parser.add_argument(
        "--per-generator",
        default="1000",
        metavar="N",
        help="fakes of each generator in the evaluation set (default 1000, the benchmark's; 0: any number)",
    )


def run_make(args: argparse.Namespace) -> int:
    """Write the bundle and say where."""
    from aigenbench.evaluation.leaderboard.submission import code_revision, make_submission, read_card

    name = f"{Path(args.experiment).resolve().name.removeprefix('experiment_')}.zip"
    output = output_file(args.output or name, "--output", name)
    make_submission(args.experiment, output, read_card(args.card) if args.card else {}, args.stage, code_revision())
    say(f"submission: {output}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Print every check; 1 where one failed."""
    options = check_options(args)
    from aigenbench.evaluation.drawing.table import headline_lines
    from aigenbench.evaluation.leaderboard.verify import verify_submission
    from aigenbench.protocol.timeline import load_timeline

    timeline = load_timeline(args.timeline)
    found = verify_submission(args.file, **options, timeline=timeline)
    width = max(len(check.name) for check in found.checks)
    for check in found.checks:
        say(f"{check.status:<8}  {check.name:<{width}}  {check.found}")
    if found.scores:
        say("\n".join(headline_lines(found.scores)))
    apart = f" on timeline {timeline.title}, which is outside the published leaderboard" if timeline.title else ""
    say(f"accepted{apart}" if found.accepted else "rejected")
    return 0 if found.accepted else 1


def run_import(args: argparse.Namespace) -> int:
    """Write the experiment and say which windows it has."""
    from aigenbench.evaluation.predictions.external import import_csv
    from aigenbench.protocol.timeline import load_timeline

    folder = output_folder(args.output, "--output")
    evaluation, present, keys = _generators(args.columns)
    windows = import_csv(args.file, evaluation, folder, present, timeline=load_timeline(args.timeline), keys=keys)
    say(f"{folder}: windows {', '.join(map(str, windows))}")
    return 0


def check_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_check_options` added, as arguments of `verify_submission`."""
    per_generator = positive(args.per_generator, "--per-generator", 0) or None
    if not args.columns:
        return {"per_generator": per_generator}
    return {"per_generator": per_generator, "columns": _generators(args.columns)[0]}


def _generators(path: str) -> tuple[list[str], list[str], Any]:
    """Generator names of the evaluation split's rows, those of all splits, and the rows' keys where they have names."""
    import numpy as np

    from aigenbench.data.identity import FILE_ID, keys_of
    from aigenbench.data.sources.opening import open_source

    source = open_source(path)
    table = source.table("validation")
    keys = keys_of(table, np.arange(len(table))) if FILE_ID in table.columns else None
    return [table.generator_names[code] for code in table.generator_codes], sorted(source.generator_names), keys
