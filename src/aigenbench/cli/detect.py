"""``aigenbench detect``: pictures, judged by an exported detector."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import positive
from aigenbench.cli.outputs import output_file, output_folder
from aigenbench.cli.terminal import say
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.inference.looking import Result

SOME_FAILED = 1
"""Exit code where all was written, but some pictures could not be read."""

_POINTS = {"1%": 0.01, "5%": 0.05}
_DESCRIPTION = """\
Say of pictures, as they are, whether an exported detector takes them for generated.

  aigenbench detect holiday/ scan.png --detector DETECTOR
  find . -name '*.jpg' -print0 | aigenbench detect - --detector DETECTOR --format jsonl

The verdict (real, unsure, generated) is that of the operating point; the probability is calibrated. Nothing is done to
a picture but what the detector's evaluation did to those of the benchmark, its degradations left out. Exit code 1 says
that some pictures could not be read."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "detect",
        help="judge pictures with an exported detector",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="pictures, folders, patterns; - reads names from stdin"
    )
    parser.add_argument("--detector", required=True, metavar="DETECTOR", help="the folder that aigenbench export wrote")
    parser.add_argument("--recursive", action="store_true", help="take the pictures in folders below, too")
    parser.add_argument("--format", default="table", choices=("table", "jsonl", "csv"), metavar="table|jsonl|csv")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, whole or not at all")
    parser.add_argument(
        "--point",
        default="1%",
        choices=_POINTS,
        metavar="1%|5%",
        help="the operating point: so many real pictures may be called generated (default: 1%%)",
    )
    parser.add_argument("--metadata", action="store_true", help="also what the file says of itself, unverified")
    parser.add_argument(
        "--stability",
        default="band",
        choices=("band", "all", "off"),
        metavar="band|all|off",
        help="score scaled and stored forms too: of pictures in the unsure band (default), of all, or of none",
    )
    parser.add_argument("--group", action="store_true", help="put copies of one picture together, with one verdict")
    parser.add_argument("--explain", metavar="FOLDER", help="write a map of what drove each score there; takes a while")
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|cuda:N|mps", help="default: a GPU where one is"
    )
    parser.add_argument(
        "--runtime",
        default="torch",
        choices=("torch", "onnx"),
        metavar="torch|onnx",
        help="what computes: PyTorch (default), or ONNX Runtime on what export --format onnx wrote",
    )
    parser.add_argument("--batch-size", default="16", metavar="N", help="pictures at a time (default 16)")
    parser.add_argument("--workers", metavar="N", help="threads that read ahead (default: one a processor, at most 8)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge the pictures, and print or write what was found."""
    output = output_file(args.output, "--output", f"detected.{args.format}") if args.output else None
    explain = output_folder(args.explain, "--explain") if args.explain else None
    batch_size = positive(args.batch_size, "--batch-size")
    workers = None if args.workers is None else positive(args.workers, "--workers", 0)
    from aigenbench.inference.looking.places import find

    paths = find(_named(args.paths), args.recursive)
    # torch takes seconds to import: only once the arguments are right
    from aigenbench.data.samples.loading import usable_processors
    from aigenbench.inference.detector import Detector
    from aigenbench.inference.formats.runtimes import runtime
    from aigenbench.inference.looking import Asked, detect, with_groups

    threads = usable_processors() if workers is None else workers
    detector = Detector.load(
        args.detector, args.device, batch_size, threads, _POINTS[args.point], runtime=runtime(args.runtime)
    )
    asked = Asked(args.metadata, args.stability, args.group, explain)
    failed: list[str] = []
    with _progress(len(paths), output is not None or args.group) as tracked:
        results: Iterable[Result] = _noting(tracked(detect(detector, paths, asked)), failed)
        if args.group:
            results = with_groups(detector, list(results))
        _write(results, args.format, output)
    return SOME_FAILED if failed else 0


def _named(given: list[str]) -> list[str | Path]:
    """The names that were typed, the files that stdin names in the place of ``-``."""
    if given.count("-") > 1:
        raise InputError("- stands for the names on stdin; give it once")
    from aigenbench.inference.looking.places import LARGEST_LIST, listed

    return [
        name for one in given for name in (listed(sys.stdin.buffer.read(LARGEST_LIST + 1)) if one == "-" else [one])
    ]


def _noting(results: Iterable[Result], failed: list[str]) -> Iterator[Result]:
    for result in results:
        if result.answer.error is not None:
            failed.append(result.answer.name)
        yield result


def _write(results: Iterable[Result], form: str, output: Path | None) -> None:
    from aigenbench.files import whole_file
    from aigenbench.inference.looking.rows import lines

    if output is None:
        for line in lines(results, form):
            say(line)
            sys.stdout.flush()
        return
    with whole_file(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(results, form))
    say(output)


@contextmanager
def _progress(total: int, is_quiet: bool) -> Iterator[Any]:
    """What counts results as they pass, on a terminal; rows that appear there themselves need no bar."""
    if not sys.stderr.isatty() or (sys.stdout.isatty() and not is_quiet):
        yield iter
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    # what is printed is a result for another program: it does not go to the bar's terminal
    with Progress(*columns, transient=True, console=Console(stderr=True), redirect_stdout=False) as bar:
        yield lambda results: bar.track(results, total=total, description="pictures")
