"""`aigenbench score`: the results of an experiment from its predictions files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import add_imports, add_stage, positive
from aigenbench.cli.outputs import output_file
from aigenbench.cli.terminal import say
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.engine.results import Evaluated

TRUTH = {
    "true": True,
    "false": False,
    "yes": True,
    "no": False,
    "on": True,
    "off": False,
    "1": True,
    "0": False,
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "score",
        help="Past, Next and Whole results of an experiment",
        description="Score the predictions of an experiment: nothing is trained, no image is read.",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT_DIR", help="such as experiments_data/experiment_NAME")
    parser.add_argument("--json", action="store_true", help="print every metric as one JSON object")
    parser.add_argument(
        "--pairing",
        default="true",
        metavar="true|false",
        help="count a real only where its paired fake's generator counts (true), or every real (false)",
    )
    add_stage(parser)
    parser.add_argument("--threshold", default="0.5", metavar="T", help="a score above T counts as fake (default 0.5)")
    parser.add_argument("--metric", default="auroc", help="the metric of table and plot (default auroc)")
    parser.add_argument("--plot", metavar="FILE", help="also draw the three curves to FILE (.png, .pdf or .svg)")
    parser.add_argument(
        "--dataset", metavar="SOURCE", help="the data set, to add real origins and image sizes to --json"
    )
    parser.add_argument(
        "--replicates",
        default="2000",
        metavar="N",
        help="bootstrap replicates of the intervals in --json (default 2000; 0: no intervals)",
    )
    add_metric_imports(parser)
    parser.set_defaults(run=run)


def add_metric_imports(parser: argparse.ArgumentParser) -> None:
    """Add the option that imports users' metrics."""
    meaning = "import Python that enters metrics of your own into aigenbench.evaluation.metrics.definitions.METRICS"
    add_imports(parser, meaning, "FILE.py|MODULE")


def run_metric_imports(items: Sequence[str]) -> None:
    """Import what `add_metric_imports` was given.

    Raises:
        InputError: see `import_item`.
    """
    from aigenbench.config.imports import import_item, use_current_folder

    use_current_folder(items)
    for item in items:
        import_item(item)


def run(args: argparse.Namespace) -> int:
    """Print the scores."""
    pairing, threshold = truth(args.pairing, "--pairing"), _share(args.threshold)
    replicates = positive(args.replicates, "--replicates", 0)
    run_metric_imports(args.imports)
    from aigenbench.engine.results import evaluated
    from aigenbench.evaluation.drawing.table import score_table
    from aigenbench.evaluation.report.compute import told

    plot = _plot_file(args.plot) if args.plot else None
    found = evaluated(args.experiment, args.stage, pairing, threshold, args.dataset)
    found.check_metric(args.metric)
    if plot:
        from aigenbench.evaluation.drawing.plots import plot_scores

        plot_scores(found.shown, plot, args.metric)
    if args.json:
        # first: it may add a note
        intervals = _intervals(found, replicates)
        whole = {**found.values, "logged": found.logged, "intervals": intervals}
        say(json.dumps(whole, ensure_ascii=False, allow_nan=False))
    else:
        say(score_table(found.shown, args.metric))
        if cost := found.values.get("compute", {}).get("total"):
            say(f"Learning took {told(cost)}.")
    return 0


def _plot_file(text: str) -> Path:
    from aigenbench.evaluation.drawing.plots import check_format

    path = output_file(text, "--plot", "curves.png")
    check_format(path)
    return path


def _intervals(found: Evaluated, replicates: int) -> dict[str, Any] | None:
    """Every interval, or None where none was wanted or images do not come in pairs, which a note tells."""
    if not replicates:
        return None
    try:
        return found.intervals(replicates)
    except InputError as error:
        found.values["notes"].append(f"no intervals: {error}")
        return None


def truth(text: str, option: str) -> bool:
    """What an option that is true or false was given.

    Raises:
        InputError: if it is neither.
    """
    try:
        return TRUTH[text.lower()]
    except KeyError:
        raise InputError(f"{option} must be true or false, found {text!r}") from None


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"--threshold must be a number in 0..1, found {text!r}")
    return value
