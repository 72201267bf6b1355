"""``aigenbench predict``: pictures of one's own, scored by an experiment or a checkpoint.

Two forms: with weights and paths alone, or with the configuration of a run, as `fit` takes it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aigenbench.cli.arguments import Parser, add_imports, add_trust, positive
from aigenbench.cli.command_line import OPTIONS
from aigenbench.cli.terminal import say
from aigenbench.config.layer import SECTIONS, SHORT_KEYS, argument_layer
from aigenbench.errors import InputError
from aigenbench.training.processes.collectives import SharedError, is_first_process

if TYPE_CHECKING:
    from aigenbench.training.loop.predicting import Predicted

logger = logging.getLogger(__name__)

SOME_FAILED = 1
"""Exit code where the table was written, but some pictures could not be read."""

_DESCRIPTION = """\
Score pictures, as they are: no labels, no data set of the benchmark's and no configuration are needed.

  aigenbench predict experiments_data/experiment_NAME holiday/ scan.png
  aigenbench predict final.ckpt pictures/ --output scores.csv

The table has a row a picture: image, logit, score (the probability of being fake) and, where it could not be read, why;
beside them which data, which weights and when. It goes to predictions_predict.csv in the current folder, or to the next
free name: an earlier table is never written over. Exit code 1 says that some pictures could not be read."""

_OLDER_FORM = """\
The options of fit work too, with the configuration a detector was trained under:

  aigenbench predict --config ... --experiment_info.experiment_id NAME --data.predict_path FOLDER"""


def run(argv: list[str], subcommand: str) -> int:
    """Run the command in the form that was typed; returns the exit code."""
    try:
        predicted = _with_configuration(argv) if _names_a_key(argv) else _with_weights(_parser().parse_args(argv))
    except SharedError:
        if is_first_process():
            raise
        return 0
    if is_first_process():
        say(predicted.path)
    if predicted.failed:
        logger.warning(
            "%d of %d pictures could not be read; the column 'error' of %s says why",
            predicted.failed,
            predicted.images,
            predicted.path,
        )
    return SOME_FAILED if predicted.failed else 0


def _names_a_key(argv: Sequence[str]) -> bool:
    """Whether an argument is one of a configuration, such as ``--config`` or ``--data.predict_path``."""
    keys = {*SECTIONS, *SHORT_KEYS, *OPTIONS} - {"import", "help"}
    given = [token.removeprefix("--").partition("=")[0] for token in argv if token.startswith("--")]
    return "-c" in argv or any(key.partition(".")[0].removesuffix("+") in keys for key in given)


def _with_configuration(argv: list[str]) -> Predicted:
    from aigenbench.cli.parser import asked_for

    run = asked_for(argv, "predict").run_with_weights("predict")
    # torch and Lightning take seconds to import: only once the arguments are right
    from aigenbench.training.loop.predicting import predict

    return predict(run)


def _parser() -> Parser:
    parser = Parser(
        prog="aigenbench predict",
        description=_DESCRIPTION,
        epilog=_OLDER_FORM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights",
        metavar="EXPERIMENT_OR_CHECKPOINT",
        help="an experiment's or a window's folder, or a .ckpt file that fit left",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="pictures, folders of pictures, data sets")
    parser.add_argument("--window", metavar="K", help="of an experiment, the window whose weights (default: the last)")
    parser.add_argument("--output", metavar="FILE.csv", help="where the table goes (default: predictions_predict.csv)")
    add_imports(parser, "Python to run first: the models and classes the detector was made of; repeats")
    parser.add_argument("--follow-links", action="store_true", help="let data sets lead outside their folders")
    add_trust(parser)
    parser.add_argument("--batch-size", metavar="N", help="pictures at a time (default: as the detector was evaluated)")
    parser.add_argument("--num-workers", metavar="N", help="loader processes (default: one a processor, at most 8)")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|cuda:N", help="default: a GPU where one is")
    return parser


def _with_weights(args: argparse.Namespace) -> Predicted:
    from aigenbench.engine.assembly.weights import device_arguments, request_of_weights

    window = None if args.window is None else positive(args.window, "--window", 0)
    output = None if args.output is None else Path(args.output).expanduser()
    if output is not None and output.exists():
        raise InputError(f"--output: {output} is there already and is not written over; give another name")
    trainer = device_arguments(args.device)
    layers = [
        argument_layer(key, str(positive(value, option, least)))
        for key, option, value, least in (
            ("data.eval_batch_size", "--batch-size", args.batch_size, 1),
            ("data.num_workers", "--num-workers", args.num_workers, 0),
        )
        if value is not None
    ]
    for path in args.paths:
        if not Path(path).expanduser().exists():
            raise InputError(f"nothing at {path}: expected a picture, a folder of pictures or a data set")
    from aigenbench.training.loop.predicting import find_weights, predict_pictures

    weights = find_weights(Path(args.weights), window)
    asked = request_of_weights(weights, trainer, args.imports, args.trust_imports)
    run = asked.over(*layers).run("predict")
    return predict_pictures(run, weights, [Path(path) for path in args.paths], output, args.follow_links)
