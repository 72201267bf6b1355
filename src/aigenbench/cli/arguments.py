"""argparse as the light commands use it: no abbreviations, one-line errors, the nearest option; options of several."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from aigenbench.config.home import expand_home
from aigenbench.errors import InputError, nearest


def _from_home(typed: str) -> str:
    key, equals, value = typed.partition("=")
    return f"{key}={expand_home(value)}" if equals and key.startswith("--") else str(expand_home(typed))


def add_timeline(parser: argparse._ActionsContainer) -> None:
    """Add ``--timeline``; ``load_timeline`` reads what it is given, None too."""
    parser.add_argument("--timeline", metavar="FILE", help="YAML or CSV with generators of your own")


def add_imports(parser: argparse.ArgumentParser, meaning: str, metavar: str = "FILE.py") -> None:
    """Add ``--import``, which may be given several times, as ``imports``."""
    parser.add_argument("--import", dest="imports", action="append", default=[], metavar=metavar, help=meaning)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets somebody else's code run."""
    parser.add_argument(
        "--trust-imports",
        action="store_true",
        help="run the Python that it names though no run of yours has made it: read that first",
    )


def add_follow_links(parser: argparse.ArgumentParser) -> None:
    """Add ``--follow-links`` of a data set."""
    parser.add_argument("--follow-links", action="store_true", help="read files outside the data set's folder too")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``, a whole number of processes."""
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), metavar="N", help="processes")


def add_stage(parser: argparse.ArgumentParser) -> None:
    """Add ``--stage``, whose results are meant."""
    parser.add_argument("--stage", default="validate", metavar="validate|test", help="default: validate")


def add_replicates(parser: argparse.ArgumentParser) -> None:
    """Add ``--replicates``, for `positive` to read."""
    parser.add_argument("--replicates", default="2000", metavar="N", help="bootstrap replicates (default 2000)")


def add_by_row(parser: argparse.ArgumentParser) -> None:
    """Add the option that says that rows name images."""
    parser.add_argument(
        "--by-row",
        action="store_true",
        help="older results, which do not name their images, are of one copy of the data: pair images by row number",
    )


def positive(text: str, option: str, least: int = 1) -> int:
    """A whole number of at least ``least`` that an option was given.

    Raises:
        InputError: if it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise InputError(f"{option} must be a whole number of at least {least}, found {text!r}")
    return value


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` where argparse would print its usage and exit.

    Sub-parsers made from it are of the same class.

    Attributes:
        forwards: arguments that it does not know are kept, in their order, as ``forwarded`` in the namespace.
    """

    forwards = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise `InputError` with the message and where help is found."""
        raise InputError(f"{message} (see {self.prog} --help)")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse, but a path may begin with ``~/`` where the shell leaves that, as in ``--folder=~/data``."""
        typed = sys.argv[1:] if args is None else args
        parsed, unknown = super().parse_known_args([_from_home(one) for one in typed], namespace)
        if self.forwards:
            parsed.forwarded, unknown = unknown, []
        return parsed, unknown

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """As argparse, but an unknown option is told with the nearest known one."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            self.error(f"unknown argument {name!r}{nearest(name, set(self._options()) - {name})}")
        return parsed

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            hint = nearest(str(value), known) or f"; one of {', '.join(known)}"
            raise argparse.ArgumentError(action, f"no {str(value)!r} here{hint}")

    def _options(self) -> Iterator[str]:
        yield from self._option_string_actions
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._options()
