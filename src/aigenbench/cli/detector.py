"""`aigenbench detector`: whether an exported detector works here as it did where it was made."""

from __future__ import annotations

import argparse
import json

from aigenbench.cli.arguments import add_imports
from aigenbench.cli.export import IMPORTS
from aigenbench.cli.terminal import say


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``detector check``."""
    parser = subparsers.add_parser("detector", help="look at exported detectors")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="look at every file's hash, and run the self-test on this machine",
        description="Exit code 0: the files are those that were exported, and the pictures of the self-test get the "
        "logits they had. 1: they get others. 2: a file is missing, altered or not to be opened.",
    )
    check.add_argument("detector", metavar="DETECTOR")
    check.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    check.add_argument("--backbone-weights", metavar="FILE", help="of a backbone that it names by reference")
    add_imports(check, IMPORTS)
    check.set_defaults(run=run_check)

    regress = commands.add_parser(
        "regress",
        help="score labelled pictures by two releases, and list every verdict that changed",
        description="Exit code 0: no verdict changed. 1: some did. 2: bad input.",
    )
    regress.add_argument("before", metavar="A", help="the earlier release")
    regress.add_argument("after", metavar="B", help="the later one")
    regress.add_argument("cases", metavar="CASES", help="a folder with real/... and fake/..., or a data set")
    regress.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    regress.add_argument("--json", action="store_true", help="for programs")
    add_imports(regress, IMPORTS)
    regress.set_defaults(run=run_regress)


def run_regress(args: argparse.Namespace) -> int:
    """Print the changes, a line each."""
    from aigenbench.config.imports import run_imports
    from aigenbench.inference.detector import Detector
    from aigenbench.inference.regression import labelled, lines, regress

    run_imports(args.imports)
    before, after = (Detector.load(folder, args.device) for folder in (args.before, args.after))
    found = regress(before, after, labelled(args.cases))
    say(json.dumps(found.to_record(), indent=2) if args.json else "\n".join(lines(found)))
    return 1 if found.changes else 0


def run_check(args: argparse.Namespace) -> int:
    """Print what was found, a line a picture."""
    from aigenbench.config.imports import run_imports
    from aigenbench.inference.detector import Detector
    from aigenbench.inference.selftest import TOLERANCE, check

    run_imports(args.imports)
    detector = Detector.load(args.detector, args.device, backbone_weights=args.backbone_weights)
    checked = check(detector)
    say(f"files: {len(detector.info.hashes)}, all as they were exported")
    for name, expected, found in zip(checked.names, checked.expected, checked.found, strict=True):
        say(f"{name}: logit {found:.6f}, expected {expected:.6f}")
    result = "passed" if checked.passed else "failed"
    say(f"self-test {result} on {detector.device}: largest difference {checked.difference:.2g}, allowed {TOLERANCE:g}")
    return 0 if checked.passed else 1
