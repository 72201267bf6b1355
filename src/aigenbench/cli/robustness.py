"""`aigenbench robustness`: a finished experiment under a grid of perturbations."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from aigenbench.cli.arguments import add_timeline, add_trust, positive
from aigenbench.cli.terminal import say
from aigenbench.config.layer import Layer, argument_layer
from aigenbench.engine.assembly.request import recorded

logger = logging.getLogger(__name__)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "robustness",
        help="evaluate an experiment's windows under perturbations",
        description="Evaluate the finished windows of an experiment on perturbed images, beside the clean result. "
        "What is done is kept, and left out by the next call. Families: jpeg, webp, resize, blur, noise, crop, "
        "double_jpeg, social_network.",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT_DIR", help="such as experiments_data/experiment_NAME")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument("--windows", nargs="+", metavar="K", help="only these windows (default: all finished)")
    parser.add_argument("--families", nargs="+", metavar="NAME", help="only these families (default: all)")
    parser.add_argument("--num-workers", metavar="N", help="loader processes (default: as the experiment had)")
    parser.add_argument("--dataset-path", metavar="DIR", help="where the data set is now, if it was moved")
    add_timeline(parser)
    add_trust(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate what is left, and print the table."""
    windows = None if args.windows is None else [positive(k, "--windows", 0) for k in args.windows]
    from aigenbench.augmentations.perturbations import perturbations

    chosen = perturbations(args.families)
    run = recorded(Path(args.experiment), _layers(args), args.trust_imports).run("validate")
    from aigenbench.training.loop.robustness import evaluate_robustness
    from aigenbench.training.processes.collectives import is_first_process
    from aigenbench.training.processes.signals import StoppedError, exit_code

    try:
        evaluate_robustness(run, Path(args.experiment), chosen, windows)
    except StoppedError as stopped:
        logger.warning("%s; everything done so far is kept, the same command goes on", stopped)
        return exit_code(stopped.number)
    if is_first_process():
        _show(Path(args.experiment), args.json)
    return 0


def _layers(args: argparse.Namespace) -> list[Layer]:
    layers = []
    if args.num_workers is not None:
        layers.append(argument_layer("data.num_workers", str(positive(args.num_workers, "--num-workers", 0))))
    paths = (("dataset_path", args.dataset_path), ("timeline", args.timeline))
    layers += [argument_layer(key, path) for key, path in paths if path is not None]
    return layers


def _show(folder: Path, as_json: bool) -> None:
    from aigenbench.evaluation.predictions.experiment import load_experiment
    from aigenbench.evaluation.report.robustness import robustness_text
    from aigenbench.evaluation.robustness.score import load_robustness
    from aigenbench.evaluation.robustness.values import robustness_values

    experiment = load_experiment(folder)
    families = load_robustness(folder, experiment)
    if as_json:
        say(
            json.dumps(
                robustness_values(experiment.name, families, experiment.off_protocol),
                ensure_ascii=False,
                allow_nan=False,
            )
        )
    else:
        say(robustness_text(experiment.title, families))
