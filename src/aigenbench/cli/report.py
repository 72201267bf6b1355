"""`aigenbench report`: a page about experiments."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.compare import positive
from aigenbench.cli.score import add_imports, run_metric_imports
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.evaluation.mistakes import Thumbnail


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "report",
        help="a self-contained HTML page about experiments",
        description="Write one HTML file with scores, intervals, curves and mistakes of one or several experiments.",
    )
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT_DIR")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="default: report.html")
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
    if args.seeds and len(args.experiments) < 2:
        raise InputError("--seeds needs two experiments or more: one training says nothing of another seed")
    if len({Path(e).resolve() for e in args.experiments}) < len(args.experiments):
        raise InputError("an experiment is named twice; name each once")
    run_metric_imports(args.imports)
    from aigenbench.evaluation.draws import OTHER_REPLICATES
    from aigenbench.evaluation.report import make_view, put_together, write_report
    from aigenbench.evaluation.run import load_run
    from aigenbench.evaluation.uncertainty import Effort

    thumbnail, columns = _dataset(args.dataset, args.stage) if args.dataset else (None, {})
    effort = Effort(replicates, min(OTHER_REPLICATES, replicates))
    runs = [load_run(folder, args.stage, effort) for folder in args.experiments]
    views = [make_view(run, i, thumbnail, columns) for i, run in enumerate(runs)]
    together = put_together(views, args.seeds)
    write_report(args.output, views, together)
    print(f"report: {args.output}")
    if args.export:
        from aigenbench.evaluation.export import export

        print(f"exported {len(export(args.export, views, together))} files to {args.export}")
    return 0


def _dataset(path: str, stage: str) -> tuple[Thumbnail, Mapping[str, Any]]:
    from aigenbench.data.decode import UnreadableImageError, decode
    from aigenbench.data.sources import open_source
    from aigenbench.evaluation.mistakes import shrink

    table = open_source(path).table("validation" if stage == "validate" else stage)

    def thumbnail(image_id: int) -> bytes:
        if image_id >= len(table):
            raise InputError(f"--dataset {path} has {len(table)} images, but the predictions name image {image_id}")
        try:
            return shrink(decode(table.store.read(image_id)))
        except (UnreadableImageError, OSError) as error:
            raise InputError(f"--dataset {path}: image {image_id} cannot be shown: {error}") from error

    return thumbnail, table.columns
