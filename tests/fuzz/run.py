"""The fuzzing campaign by hand: ``python tests/fuzz/run.py [DOOR ...] [--n 20000] [--seed 1] [--only NUMBER]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), *map(str, sorted(TESTS.glob("*/")))]

from fuzz.harness import FINDING, RESULT, TOLD, Tally, campaign, doors, outcome_of  # noqa: E402


def main() -> int:
    """Print a table; 1 where there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"of {', '.join(doors())}; all where none is given")
    parser.add_argument("--n", type=int, default=20_000, help="cases over all doors")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case, in this process, with its traceback")
    arguments = parser.parse_args()
    chosen = arguments.doors or doors()
    if arguments.only is not None:
        print(outcome_of(importlib.import_module(f"fuzz.{chosen[0]}"), arguments.seed, arguments.only))
        return 0
    print(f"{'door':<14}{'inputs':>8}{RESULT:>8}{TOLD:>8}{FINDING:>9}{'slowest':>9}{'wall':>8}")
    tallies = []
    for door in chosen:
        start = time.perf_counter()
        tallies.append(campaign(door, -(-arguments.n // len(chosen)), arguments.seed, arguments.workers))
        print_row(tallies[-1], time.perf_counter() - start)
    for tally in tallies:
        for text, numbers in sorted(tally.findings.items(), key=lambda item: -len(item[1])):
            print(f"{tally.door}: {len(numbers)} x {text}  (--seed {tally.seed} --only {numbers[0]})")
    return int(any(tally.findings for tally in tallies))


def print_row(tally: Tally, wall: float) -> None:
    """One line of the table."""
    counts = [tally.kinds[kind] for kind in (RESULT, TOLD, FINDING)]
    cells = "".join(f"{n:>{width}}" for n, width in zip((sum(counts), *counts), (8, 8, 8, 9), strict=True))
    print(f"{tally.door:<14}{cells}{tally.slowest:>8.1f}s{wall:>7.0f}s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
