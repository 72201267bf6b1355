"""``aigenbench data``: what a run would use of a data set, and what is stored of it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from aigenbench.cli import data_audit, data_cache, data_generators, data_import, data_show, data_stats
from aigenbench.cli.arguments import add_follow_links, add_timeline
from aigenbench.cli.terminal import say

if TYPE_CHECKING:
    from aigenbench.engine.benchmark import Benchmark


def register(subparsers: Any) -> None:
    """Add ``data windows``, and the commands that have modules of their own."""
    parser = subparsers.add_parser("data", help="what a run would use of a data set, and what is stored of it")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    windows = commands.add_parser("windows", help="windows with their generators, dates and numbers of images")
    windows.add_argument("source", help="a saved data set, a folder with index.csv, or a columns file")
    windows.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    windows.add_argument("--ids", action="store_true", help="with the row numbers and the pairing (implies --json)")
    windows.add_argument("--n-generators-per-window", type=int, default=4, metavar="N")
    windows.add_argument("--benchmark-type", default="cumulative", metavar="TYPE")
    add_timeline(windows)
    windows.add_argument("--train-subset-size", type=_number, metavar="N", help="a count, or a fraction")
    windows.add_argument("--validation-subset-size", type=_number, metavar="N", help="a count, or a fraction")
    add_follow_links(windows)
    windows.set_defaults(run=run_windows)
    data_cache.register(commands)
    data_import.register(commands)
    data_audit.register(commands)
    data_stats.register(commands)
    data_generators.register(commands)
    data_show.register(commands)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def run_windows(arguments: argparse.Namespace) -> int:
    """Print the windows, and with ``--ids`` every selection."""
    from aigenbench.engine.benchmark import Benchmark

    benchmark = Benchmark(
        arguments.source,
        arguments.n_generators_per_window,
        arguments.benchmark_type,
        arguments.train_subset_size,
        arguments.validation_subset_size,
        arguments.timeline,
        arguments.follow_links,
    )
    shown = describe(benchmark, with_ids=arguments.ids)
    if arguments.json or arguments.ids:
        say(json.dumps(shown, ensure_ascii=False))
    else:
        say(table(shown))
    return 0


def describe(benchmark: Benchmark, with_ids: bool) -> dict[str, Any]:
    """The JSON object that ``data windows`` prints."""
    from aigenbench.data.sources.mark import marks_of

    training, evaluation = benchmark.plan.training, benchmark.plan.evaluation
    windows = []
    for k, of_window in enumerate(benchmark.windows):
        window = {key: value for key, value in of_window.to_dict().items() if key != "index"}
        if with_ids:
            window["train_ids"] = training.own[k].tolist()
            cumulative = type(training)(training.own, "cumulative")
            window["train_ids_cumulative"] = cumulative.rows(k).tolist()
        windows.append(window)
    shown: dict[str, Any] = {
        "windows": windows,
        "fingerprint": benchmark.fingerprint,
        **({"timeline": title} if (title := benchmark.plan.timeline.title) else {}),
        "dropped": benchmark.plan.dropped,
        "evaluation": {"images": len(evaluation.ids)},
    }
    if marks := marks_of(benchmark.path):
        shown["says_of_itself"] = list(marks)
    if with_ids:
        names = benchmark.plan.timeline.id_to_name
        pairs = zip(evaluation.ids.tolist(), evaluation.pairing.tolist(), strict=True)
        shown["evaluation"]["ids"] = evaluation.ids.tolist()
        shown["evaluation"]["pairing"] = {str(i): names[g] for i, g in pairs if g >= 0}
    return shown


def table(shown: dict[str, Any]) -> str:
    """``describe``'s object as lines for a reader."""
    lines = [f"{'window':<7}{'train':>8}{'cumulative':>12}{'evaluated fakes':>17}  generators (released)"]
    for k, window in enumerate(shown["windows"]):
        released = (f"{n} ({d})" for n, d in zip(window["generators"], window["dates"], strict=True))
        lines.append(
            f"w{k:<6}{window['train_images']:>8}{window['train_images_cumulative']:>12}"
            f"{window['evaluation_fakes']:>17}  {', '.join(released)}"
        )
    if "timeline" in shown:
        lines.append(f"timeline: {shown['timeline']}")
    if "says_of_itself" in shown:
        lines.append(f"the data set says of itself: {', '.join(shown['says_of_itself'])}")
    lines.append(f"evaluation: {shown['evaluation']['images']} images; protocol fingerprint {shown['fingerprint']}")
    return "\n".join(lines)
