"""``aigenbench data import``: images of any form, or the published benchmark's parts, as a data set in its schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import add_timeline, add_workers
from aigenbench.cli.terminal import progress_bar, say
from aigenbench.errors import InputError
from aigenbench.protocol.published import SHORTEST_SIDE

if TYPE_CHECKING:
    from aigenbench.curation import Imported

BENCHMARK = "benchmark"
_PARTS = {
    "fakes": "folder of the published fakes' Parquet shards",
    "coco": "folder with train2017, val2017 and annotations",
    "raise": "folder below which RAISE's images lie",
    "laion": "what img2dataset left of LAION-400M, or a saved data set",
    "ids": "folder with the two lists of the reals' ids",
}
_WORDS = ("generator", "split", "origin_dataset", "license")
_OWN = ("pattern", "rename", "new_generator", "timeline", "validation", "skip_unreadable", "match_formats", *_WORDS)


def register(commands: Any) -> None:
    """Add ``data import``."""
    parser = commands.add_parser(
        "import",
        help="put images into a data set in the benchmark's schema; see docs/data.md",
        usage="aigenbench data import SOURCE... -o OUT [options]\n"
        "       aigenbench data import benchmark --fakes DIR --coco DIR --raise DIR --laion DIR --ids DIR -o OUT",
        description="Put images into a data set in the benchmark's schema, their bytes as they are. An interrupted "
        "import goes on when the same command is given again.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="real/ and fake/GENERATOR/ folders, index.csv, zip or tar archives, Parquet, a saved data set",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="folder to make")
    parser.add_argument("--per-generator", type=int, metavar="N", help="only N images of each, and as many reals")
    parser.add_argument("--seed", type=int, default=0, help="of that part and of the split (default: 0)")
    add_workers(parser)
    parser.add_argument("--restart", action="store_true", help="throw away what an interrupted import left")
    parser.add_argument("--follow-links", action="store_true", help="take what links and paths out of a source lead to")
    own = parser.add_argument_group("images of your own")
    own.add_argument("--pattern", help="names of files, such as '{split}/{generator}/*.png'; a generator may be 'real'")
    own.add_argument("--rename", action="append", default=[], metavar="A=B", help="generator A of the source is B")
    own.add_argument(
        "--new-generator", action="append", default=[], metavar="NAME", help="NAME is no known one misspelt"
    )
    add_timeline(own)
    own.add_argument("--validation", type=float, metavar="SHARE", help="of what no source gives a split (default: 0.2)")
    own.add_argument("--skip-unreadable", action="store_true", help="leave out images that cannot be decoded")
    own.add_argument(
        "--match-formats",
        nargs="?",
        type=int,
        const=SHORTEST_SIDE,
        metavar="SIDE",
        help=f"store every image anew as a JPEG of SIDE x SIDE pixels (default: {SHORTEST_SIDE}), both classes alike",
    )
    for word in _WORDS:
        own.add_argument(f"--{word.replace('_', '-')}", metavar="TEXT", help=f"{word} where a source says none")
    parts = parser.add_argument_group("the published benchmark")
    for name, meaning in _PARTS.items():
        parts.add_argument(f"--{name}", metavar="DIR", help=meaning)
    parts.add_argument("--fetch-fakes", action="store_true", help="download the fakes (35 GB) into their folder first")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import what ``arguments`` name; returns the exit code.

    Raises:
        InputError: anything is wrong with the arguments or the images.
    """
    if arguments.workers < 1:
        raise InputError(f"--workers: expected at least 1, found {arguments.workers}")
    with progress_bar() as progress:
        imported = _import(arguments, progress)
    for split, counts in imported.counts.items():
        fakes = sum(count for name, count in counts.items() if name)
        generators = sum(bool(name) for name in counts)
        say(f"{split}: {counts.get('', 0)} real images, {fakes} fakes of {generators} generators")
    say(f"{imported.path}: manifest {imported.manifest_hash}")
    return 0


def _import(arguments: argparse.Namespace, progress: Any) -> Imported:
    from aigenbench.curation import import_benchmark, import_data

    given = vars(arguments)
    shared = {key: given[key] for key in ("per_generator", "seed", "workers", "restart", "follow_links")}
    parts = {name: given[name] for name in _PARTS}
    own = {key: given[key] for key in _OWN}
    if arguments.sources == [BENCHMARK]:
        _refuse(own, "the published benchmark takes no")
        missing = [f"--{name}" for name, folder in parts.items() if folder is None]
        if missing:
            raise InputError(
                f"data import benchmark: {', '.join(missing)} not given; docs/data.md says where to get them"
            )
        parts["raise_images"] = parts.pop("raise")
        return import_benchmark(
            arguments.output, **parts, fetch_fakes=arguments.fetch_fakes, progress=progress, **shared
        )
    _refuse({**parts, "fetch_fakes": arguments.fetch_fakes}, f"only 'data import {BENCHMARK}' takes")
    return import_data(
        *arguments.sources,
        out=arguments.output,
        pattern=arguments.pattern,
        defaults={word: given[word] for word in _WORDS if given[word] is not None},
        renames=dict(map(_pair, arguments.rename)),
        new_generators=arguments.new_generator,
        skip_unreadable=arguments.skip_unreadable,
        timeline=arguments.timeline,
        match_formats=arguments.match_formats,
        progress=progress,
        **shared,
        **({} if arguments.validation is None else {"validation": arguments.validation}),
    )


def _refuse(options: dict[str, Any], why: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise InputError(f"data import: {why} {', '.join(given)}")


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise InputError(f"--rename: expected NAME=OTHER, found {text!r}")
    return old.strip(), new.strip()
