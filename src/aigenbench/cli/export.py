"""`aigenbench export`: a finished experiment as a detector that works by itself."""

from __future__ import annotations

import argparse

from aigenbench.cli.arguments import add_imports
from aigenbench.cli.outputs import output_folder
from aigenbench.cli.terminal import say, say_aside
from aigenbench.errors import InputError

IMPORTS = "import Python that registers models of your own"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "export",
        help="a finished experiment as a detector that works by itself",
        description="Write one folder with weights, preprocessing, thresholds and their measured error rates, a "
        "self-test and a model card. It needs neither Lightning nor the benchmark's data.",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT_DIR")
    parser.add_argument("-o", "--output", required=True, metavar="DETECTOR", help="the folder to write")
    parser.add_argument("--window", default="last", metavar="last|N", help="which window's weights (default: last)")
    parser.add_argument(
        "--backbone",
        choices=("included", "reference"),
        default="included",
        help="of a probe, leave the published weights out and name them by their hash (default: included)",
    )
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=("onnx", "program"),
        default=[],
        help="write the network as ONNX, or as a program of torch.export, too; may be given twice",
    )
    parser.add_argument(
        "--weights", choices=("float32", "int8"), default="float32", help="int8: a quarter of the size, other scores"
    )
    parser.add_argument(
        "--cases", metavar="PLACE", help="of int8: a data set, or a folder with real/ and fake/, to measure its cost on"
    )
    parser.add_argument("--push-to-hub", metavar="OWNER/NAME", help="upload the folder to a repository of the hub")
    parser.add_argument("--public", action="store_true", help="make a new repository public")
    parser.add_argument("--license", default="", metavar="NAME", help="of the weights, such as apache-2.0")
    parser.add_argument("--name", default="", help="what the detector is called (default: experiment and window)")
    add_imports(parser, IMPORTS)
    parser.add_argument("--trust-imports", action="store_true", help="import what its training had imported, too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder and say where."""
    window = _window(args.window)
    output = output_folder(args.output, "--output")
    from aigenbench.engine.exporting import export
    from aigenbench.inference.artefact import read_info
    from aigenbench.inference.card import format_said

    if args.push_to_hub is not None:
        from aigenbench.inference.formats.hub import check_repository, push_to_hub

        check_repository(args.push_to_hub)
    path = export(
        args.experiment,
        output,
        window,
        args.backbone,
        args.license,
        args.name,
        args.imports,
        args.trust_imports,
        args.formats,
        args.weights,
        args.cases,
    )
    say(f"detector: {path}")
    for name, facts in read_info(path).formats.items():
        say(format_said(name, facts))
    if args.push_to_hub is not None:
        say(f"pushed: {push_to_hub(path, args.push_to_hub, private=not args.public)}")
    if not read_info(path).licence:
        say_aside("aigenbench: no source states the licence of the weights; --license NAME writes it into the card")
    return 0


def _window(text: str) -> int | None:
    if text == "last":
        return None
    if not text.isdecimal():
        raise InputError(f"--window: expected last or the index of a window, found {text!r}")
    return int(text)
