"""`aigenbench evaluate`: any detector over all windows of the protocol."""

from __future__ import annotations

import argparse

from aigenbench.cli.arguments import positive
from aigenbench.cli.outputs import output_folder
from aigenbench.cli.terminal import say

_DESCRIPTION = """\
Score the evaluation images once with any detector, and write predictions for every window.

  aigenbench evaluate DETECTOR --dataset_path DATA                      a folder that `aigenbench export` wrote
  aigenbench evaluate CHECKPOINT --dataset_path DATA                    an image classifier of transformers or timm
  aigenbench evaluate timm/NAME --weights FILE --dataset_path DATA      likewise
  aigenbench evaluate my_file.py:predict --dataset_path DATA            a function: list of PIL images -> scores

A checkpoint brings its own preprocessing; a function does its own. The file of a function is run: name only what you
trust. Results are marked as not trained by the protocol, and each generator as seen or not by what is said here of the
detector's training; where nothing is said, as unknown. Stopped or killed, the same command goes on."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="any detector over all windows of the protocol",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("detector", metavar="DETECTOR", help="an exported or checkpoint's folder, timm/NAME, or FILE.py:NAME")
    add("--dataset_path", "--dataset-path", required=True, metavar="DATA", help="the data set")
    add("-o", "--output", metavar="EXPERIMENT_DIR", help="default: experiments_data/experiment_DETECTOR")
    knows = parser.add_mutually_exclusive_group()
    knows.add_argument("--knows-until", metavar="DATE", help="it may have seen what was released up to then: 2023-05")
    knows.add_argument("--trained-on", metavar="A,B", help="it has seen these generators, and no others")
    add("--as-is", action="store_true", help="without the benchmark's degradations; compares with no other result")
    add("--scores", metavar="probability|logit", help="what a function returns (default: probability of being fake)")
    add(
        "--fake-label",
        dest="fake_labels",
        action="append",
        default=[],
        metavar="LABEL",
        help="a checkpoint's label that stands for fake, where names do not tell; repeats",
    )
    add("--weights", metavar="FILE", help="of timm/NAME: all its weights, the classifier's too")
    add("--device", default="auto", metavar="auto|cpu|cuda|cuda:N|mps", help="several with commas (default: auto)")
    add("--batch-size", default="32", metavar="N", help="images at a time (default 32)")
    add("--workers", metavar="N", help="loader processes (default: one a processor, at most 8)")
    add("--timeline", metavar="FILE", help="generators of your own, with their dates")
    add("--n-generators-per-window", default="4", metavar="N", help="default 4, the benchmark's")
    add("--follow-links", action="store_true", help="let the data set lead outside its folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score what is left, and print the table."""
    batch_size = positive(args.batch_size, "--batch-size")
    workers = None if args.workers is None else positive(args.workers, "--workers", 0)
    per_window = positive(args.n_generators_per_window, "--n-generators-per-window")
    from aigenbench.engine.evaluating import evaluate
    from aigenbench.engine.results import evaluated
    from aigenbench.evaluation.drawing.table import score_table

    trained_on = None if args.trained_on is None else [n.strip() for n in args.trained_on.split(",") if n.strip()]
    experiment = evaluate(
        args.detector,
        args.dataset_path,
        None if args.output is None else output_folder(args.output, "--output"),
        args.knows_until,
        trained_on,
        args.scores,
        args.fake_labels,
        args.weights,
        args.as_is,
        args.device,
        batch_size,
        workers,
        args.timeline,
        per_window,
        args.follow_links,
    )
    say(score_table(evaluated(experiment.folder).shown))
    say(f"experiment: {experiment.folder}")
    return 0
