"""docs/performance.md from what each benchmark script last measured; with --run the scripts run before.

    python benchmarks/report.py                      # write the page from benchmarks/results/*.json
    python benchmarks/report.py --run                # run every script, then write it
    python benchmarks/report.py --run metrics memory # run these, then write it

A script that fails is named at the end, its section stays what it last was, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from claims import HEADER, Results, markdown_table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
INTRODUCTION = """# Performance

Every figure on this page comes from a script in [benchmarks/](../benchmarks/README.md), as the median of some repeats
with the least and the greatest; `make bench` measures all of them anew and writes this page. No test is timed. The
original framework's figures named here were measured on 2 cores with 2 workers.
"""


def scripts() -> list[str]:
    """Names of the benchmark scripts, this one excepted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "report" and _is_script(path))


def _is_script(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return 'if __name__ == "__main__":' in text and ("--json" in text or "claims import" in text)


def run(name: str) -> bool:
    """Run a script so that it writes its results; whether it went well."""
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    written = RESULTS / f".{name}.json"
    # the package beside this folder, whatever is installed
    places = [str(HERE.parent / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(written)]
    RESULTS.mkdir(exist_ok=True)
    done = subprocess.run(command, env=environment)
    print(f"=== {name}: exit code {done.returncode} after {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode == 0:
        written.replace(RESULTS / f"{name}.json")
    written.unlink(missing_ok=True)
    return done.returncode == 0


def page(sections: list[Results]) -> str:
    """The whole page."""
    rows = [[f"[{s.title}](#{_anchor(s.title)})", *claim.row()] for s in sections for claim in s.claims]
    parts = [
        INTRODUCTION,
        _machines(sections),
        f"## All figures\n\n{markdown_table(['section', *HEADER], rows)}\n",
        *map(_section, sections),
    ]
    return "\n".join(parts)


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _machines(sections: list[Results]) -> str:
    """What it was measured on; one table for each machine, naming its sections where there are several."""
    by_machine: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for section in sections:
        by_machine.setdefault(tuple(section.machine.items()), []).append(section.title)
    parts = ["## The machine\n"]
    for machine, titles in by_machine.items():
        if len(by_machine) > 1:
            parts.append(f"{', '.join(titles)}:\n")
        parts.append(markdown_table(["part", "what"], machine) + "\n")
    return "\n".join(parts)


def _section(results: Results) -> str:
    parts = [f"## {results.title}\n", f"`benchmarks/{results.script}.py`, {results.date}.\n"]
    if results.claims:
        parts.append(markdown_table(HEADER, [claim.row() for claim in results.claims]) + "\n")
    for heading, text in results.tables.items():
        parts.append(f"### {heading}\n\n{text}\n")
    for title, file in results.plots.items():
        parts.append(f"![{title}](images/{file})\n")
    return "\n".join(parts)


def read_results() -> list[Results]:
    """What each script last gave, by script; a file in another form is named and left out."""
    sections = []
    for path in sorted(RESULTS.glob("*.json")):
        try:
            sections.append(Results.read(path))
        except (KeyError, TypeError, ValueError) as error:
            print(f"{path}: not in the form of README.md ({error!r}); left out", file=sys.stderr)
    return sections


def main() -> int:
    """Run what is asked for, then write the page; 1 where a script failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="*", choices=scripts(), metavar="SCRIPT", help=f"of {', '.join(scripts())}")
    chosen = parser.parse_args().run
    failed = [name for name in ((chosen or scripts()) if chosen is not None else []) if not run(name)]
    PAGE.write_text(page(read_results()), encoding="utf-8")
    print(f"{PAGE}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
