"""``aigenbench predict``: pictures of one's own, scored by an experiment or a checkpoint.

Two forms: with weights and paths alone, or with the configuration of a run, as `fit` takes it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import Parser
from aigenbench.cli.command_line import OPTIONS
from aigenbench.config.layer import SECTIONS
from aigenbench.errors import InputError
from aigenbench.training.processes import SharedError, is_first_process

if TYPE_CHECKING:
    from aigenbench.cli.fit import Inputs
    from aigenbench.training import BaseDeepfakeDetectionModel
    from aigenbench.training.predicting import Predicted
    from aigenbench.training.weights import Weights

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
    if not is_first_process():
        # the first says it all; what goes wrong in another is told by it
        logging.getLogger("aigenbench").setLevel(logging.ERROR)
    try:
        predicted = _with_configuration(argv) if _names_a_key(argv) else _with_weights(_parser().parse_args(argv))
    except SharedError:
        if is_first_process():
            raise
        return 0
    if is_first_process():
        print(predicted.path)
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
    keys = {*SECTIONS, *OPTIONS} - {"import", "help"}
    given = [token.removeprefix("--").partition("=")[0] for token in argv if token.startswith("--")]
    return "-c" in argv or any(key.partition(".")[0].removesuffix("+") in keys for key in given)


def _with_configuration(argv: list[str]) -> Predicted:
    from aigenbench.cli.fit import inputs_of

    inputs = inputs_of(argv, "predict")
    # torch and Lightning take seconds to import: only once the arguments are right
    from aigenbench.training.predicting import predict

    return predict(inputs)


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
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python to run first: the models and classes the detector was made of; repeats",
    )
    parser.add_argument("--batch-size", metavar="N", help="pictures at a time (default: as the detector was evaluated)")
    parser.add_argument("--num-workers", metavar="N", help="loader processes (default: one a processor, at most 8)")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|cuda:N", help="default: a GPU where one is")
    return parser


def _with_weights(args: argparse.Namespace) -> Predicted:
    from aigenbench.cli.compare import positive

    window = None if args.window is None else positive(args.window, "--window", 0)
    output = None if args.output is None else Path(args.output).expanduser()
    if output is not None and output.exists():
        raise InputError(f"--output: {output} is there already and is not written over; give another name")
    trainer = _device(args.device)
    layers = [
        (key, positive(value, option, least))
        for key, option, value, least in (
            ("data.eval_batch_size", "--batch-size", args.batch_size, 1),
            ("data.num_workers", "--num-workers", args.num_workers, 0),
        )
        if value is not None
    ]
    for path in args.paths:
        if not Path(path).expanduser().exists():
            raise InputError(f"nothing at {path}: expected a picture, a folder of pictures or a data set")
    from aigenbench.training.predicting import description_of_weights, find_weights, predict_pictures

    weights = find_weights(Path(args.weights), window)
    described = description_of_weights(weights)
    inputs = _inputs(weights, described, args.imports, trainer, dict(layers))
    return predict_pictures(inputs, weights, [Path(path) for path in args.paths], output)


def _device(name: str) -> dict[str, Any]:
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "gpu", "mps") or (number and (kind == "cpu" or not number.isdecimal())):
        raise InputError(f"--device: expected auto, cpu, cuda or cuda:N, found {name!r}")
    from aigenbench.training.predicting import has_cuda

    if kind in ("cuda", "gpu") and not has_cuda():
        raise InputError(f"--device {name}: there is no CUDA device here; use --device cpu")
    return {"accelerator": kind, "devices": [int(number)] if number else 1}


def _inputs(
    weights: Weights,
    described: Mapping[str, Any],
    imports: Sequence[str],
    trainer: Mapping[str, Any],
    data: Mapping[str, int],
) -> Inputs:
    """A configuration made of what the weights say of themselves.

    Raises:
        InputError: the detector's class is not known; the message says which file was imported for it.
    """
    from aigenbench.cli.fit import Inputs
    from aigenbench.cli.resolution import resolve_layers
    from aigenbench.config.imports import run_imports
    from aigenbench.config.layer import argument_layer, layer
    from aigenbench.training.predicting import sections_for

    run_imports(imports)
    values = sections_for(weights, described, trainer)
    layers = [layer(str(weights.path), values), *(argument_layer(key, str(value)) for key, value in data.items())]
    known = {Path(item).name for item in imports}
    missing = tuple(str(item) for item in described.get("imports") or () if Path(str(item)).name not in known)

    class Rebuilt(Inputs):
        def instantiate_model(self) -> BaseDeepfakeDetectionModel:
            with _hint(missing):
                return super().instantiate_model()

    with _hint(missing):
        return Rebuilt("predict", resolve_layers(layers))


@contextmanager
def _hint(missing: Sequence[str]) -> Iterator[None]:
    """Somebody's code runs only where it is named: say what the training had imported and this command has not."""
    try:
        yield
    except InputError as error:
        if not missing:
            raise
        options = " ".join(f"--import {item}" for item in missing)
        raise InputError(
            f"{error}; the detector's training imported Python that you may have to name: {options}"
        ) from (error)
