"""`aigenbench report`: a page about experiments."""

from __future__ import annotations

import argparse
from pathlib import Path

from aigenbench.cli.compare import positive
from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.cli.score import add_imports, run_metric_imports
from aigenbench.engine.columns import check_belongs, evaluation_table, thumbnails
from aigenbench.errors import InputError


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
    add_imports(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page and say where."""
    replicates = positive(args.replicates, "--replicates")
    output = output_file(args.output, "--output", "report.html")
    exported = output_folder(args.export, "--export") if args.export else None
    if args.seeds and len(args.experiments) < 2:
        raise InputError("--seeds needs two experiments or more: one training says nothing of another seed")
    if len({Path(e).resolve() for e in args.experiments}) < len(args.experiments):
        raise InputError("an experiment is named twice; name each once")
    run_metric_imports(args.imports)
    from aigenbench.evaluation.draws import OTHER_REPLICATES
    from aigenbench.evaluation.experiment import load_experiment
    from aigenbench.evaluation.report import write_report
    from aigenbench.evaluation.run import load_run
    from aigenbench.evaluation.together import put_together
    from aigenbench.evaluation.uncertainty import Effort
    from aigenbench.evaluation.view import make_view

    table = evaluation_table(args.dataset, args.stage) if args.dataset else None
    thumbnail = thumbnails(args.dataset, table) if table else None
    effort = Effort(replicates, min(OTHER_REPLICATES, replicates))
    # what is wrong with any of them is told before minutes are spent on the first
    for experiment in [load_experiment(folder, args.stage) for folder in args.experiments]:
        if table:
            check_belongs(args.dataset, table, experiment)
    runs = [load_run(folder, args.stage, effort) for folder in args.experiments]
    views = [make_view(loaded, i, thumbnail, table.columns if table else {}) for i, loaded in enumerate(runs)]
    together = put_together(views, args.seeds)
    write_report(output, views, together)
    print(f"report: {output}")
    if exported:
        from aigenbench.evaluation.export import export

        print(f"exported {len(export(exported, views, together))} files to {exported}")
    return 0
