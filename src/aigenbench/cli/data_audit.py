"""``aigenbench data audit``: whether a data set is sound."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.cli.arguments import add_follow_links, add_imports, add_timeline, add_workers
from aigenbench.cli.terminal import progress_bar, say
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.curation.audit.auditing import Audit

FOUND = 1
"""Exit code where an audit finds errors; with ``--strict`` also where it finds warnings."""


def register(commands: Any) -> None:
    """Add ``data audit``."""
    parser = commands.add_parser(
        "audit",
        help="damaged and doubled images, leaks, contradictions, and what the format gives away",
        description="Look at every image of a data set once and say what is wrong. Exit code 1 where results on it "
        "would mislead.",
    )
    parser.add_argument("source", help="a saved data set, Parquet shards, or a folder with index.csv")
    parser.add_argument("-o", "--output", metavar="FILE", help="also write one page with pictures, such as audit.html")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument("--strict", action="store_true", help="exit code 1 for warnings too")
    add_timeline(parser)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="LIST.csv",
        help="images of another training set, by file_id, sha256 or hash: are they in here?",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a layer of a config, as of fit: do its steps treat real images and fakes alike? (several allowed)",
    )
    add_imports(parser, "Python that the config names", "FILE")
    add_follow_links(parser)
    add_workers(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit, and print what was found."""
    if args.workers < 1:
        raise InputError(f"--workers must be at least 1, found {args.workers}")
    from aigenbench.cli.outputs import output_file
    from aigenbench.curation.audit.auditing import read_foreign
    from aigenbench.curation.audit.page import write_page
    from aigenbench.engine.auditing import audit

    output = output_file(args.output, "--output", "audit.html") if args.output else None
    # by their names, in full where two have one
    stems = [Path(path).stem for path in args.against]
    foreign = {
        stem if stems.count(stem) == 1 else path: read_foreign(path)
        for stem, path in zip(stems, args.against, strict=True)
    }
    work = output and output.with_name(f".{output.name}.auditing")
    with progress_bar() as progress:
        found = audit(
            args.source,
            args.timeline,
            foreign,
            args.workers,
            progress,
            work,
            args.config,
            args.imports,
            args.follow_links,
        )
    if output:
        write_page(output, found)
    if args.json:
        say(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _say(found, output)
    return FOUND if found.has_errors or (args.strict and found.findings) else 0


def _say(found: Audit, output: Path | None) -> None:
    for finding in found.findings:
        say(f"{finding.weight:<8} {finding.text}")
    if not found.findings:
        say("nothing is wrong with these images")
    if found.marks:
        say(f"the data set says of itself: {', '.join(found.marks)}")
    if output:
        say(f"audit: {output}")
