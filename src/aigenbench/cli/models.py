"""``aigenbench models``: which models there are, what they are, and their weights."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from aigenbench.cli.terminal import say, say_aside

if TYPE_CHECKING:
    from aigenbench.models.catalogue import ModelSheet


def register(subparsers: Any) -> None:
    """Add ``models list``, ``models show`` and ``models fetch``."""
    parser = subparsers.add_parser("models", help="which models there are, what they are, and their weights")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="all model names, or those that match a pattern")
    listing.add_argument("pattern", nargs="?", default="", help="part of a name, or wildcards: 'timm/vit_*'")
    listing.set_defaults(run=run_list)
    imports = {"action": "append", "default": [], "metavar": "FILE.py", "help": "as of fit: code with models of yours"}
    show = commands.add_parser("show", help="parameters, features, preprocessing, weights and licence of a model")
    show.add_argument("name", help="such as RN50, dinov2_vitl14, timm/convnext_tiny.fb_in1k")
    show.set_defaults(run=run_show)
    show.add_argument(
        "--model-args",
        type=_mapping,
        default={},
        metavar="YAML",
        help="as model_args: '{width: 64}'; for models of yours",
    )
    fetch = commands.add_parser("fetch", help="download and verify models' weights, for runs without a network")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as for show; _tune and _probe mean the same weights")
    fetch.add_argument("--weights-dir", metavar="FOLDER", help="default: weights inside AIGENBENCH_HOME")
    fetch.set_defaults(run=run_fetch)
    for command in (listing, show, fetch):
        command.add_argument("--import", dest="imports", **imports)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen one of the three commands."""
    return int(arguments.run(arguments))


def run_list(arguments: argparse.Namespace) -> int:
    """Print one ``source/name`` a line; 1 where none matches."""
    _import(arguments)
    from aigenbench.models.catalogue import model_names, users_factories

    names = model_names(arguments.pattern)
    for name in names:
        say(name)
    for factory, place in users_factories().items():
        # standard output is for names, and factories do not list theirs
        say_aside(f"aigenbench: {factory}/NAME is what your factory in {place} answers to")
    return 0 if names else 1


def run_show(arguments: argparse.Namespace) -> int:
    """Print a model's data sheet."""
    _import(arguments)
    from aigenbench.models.catalogue import describe_model

    say(sheet_text(describe_model(arguments.name, **arguments.model_args)))
    return 0


def run_fetch(arguments: argparse.Namespace) -> int:
    """Fetch each model in turn and print where its weights are."""
    _import(arguments)
    from aigenbench.models.catalogue import fetch_model

    for name in arguments.names:
        say(f"{name}: {fetch_model(name, arguments.weights_dir)}")
    return 0


def sheet_text(sheet: ModelSheet) -> str:
    """A data sheet as lines for a reader."""
    pre = sheet.preprocessing
    places = [str(file) for file in sheet.weights] or [sheet.remark or "none published"]
    rows = [
        ("name", sheet.name),
        (
            "parameters",
            f"{sheet.parameters / 1e6:.1f} M ({'all' if sheet.remark else 'backbone'}, {sheet.parameters:,})",
        ),
        ("features", str(sheet.num_features or "none: it cannot be a probe")),
        *(
            [("layers", f"{sheet.layers}, 0 to {sheet.layers - 1}; tokens {', '.join(sheet.tokens)}")]
            if sheet.layers
            else []
        ),
        ("input size", f"{pre.input_size[0]} x {pre.input_size[1]}, {pre.interpolation}"),
        ("mean", ", ".join(f"{value:g}" for value in pre.mean)),
        ("std", ", ".join(f"{value:g}" for value in pre.std)),
        ("weights", places[0]),
        *(("", f"or {place}") for place in places[1:]),
        ("here", str(sheet.local) if sheet.local else f"no; `aigenbench models fetch {sheet.name}`"),
        ("licence", sheet.licence or "not stated by the source"),
    ]
    if not sheet.weights:
        rows = [row for row in rows if row[0] != "here"]
    return "\n".join(f"{label:<12}{text}" for label, text in rows)


def _import(arguments: argparse.Namespace) -> None:
    from aigenbench.config.imports import run_imports

    run_imports(arguments.imports)


def _mapping(text: str) -> dict[str, Any]:
    """The argument ``--model-args``."""
    from aigenbench.yaml_text import read_yaml

    given = read_yaml(text, "--model-args")
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f"expected a mapping such as '{{width: 64}}', found {text!r}")
    return given
