"""The front of the command line: a table of commands, and the place where errors become a line and exit code.

A command's module is imported only when that command is typed, so `aigenbench --help` and a mistyped command
answer at once. Modules come in two kinds:

- the training commands (`Command.training`) get their arguments as typed:
  `run(argv: list[str], subcommand: str) -> int`;
- all others offer `register(subparsers) -> None`: add the command's parser to an argparse sub-parser action
  and set its default `run`, a function that takes the parsed namespace and returns the exit code.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from aigenbench import __version__
from aigenbench.cli.arguments import Parser
from aigenbench.cli.terminal import say, say_aside
from aigenbench.errors import InputError, nearest, printable

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
# no space, a quota, a device error, a read-only or forbidden place, too many open files
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
# names that no file can have, or that lead nowhere
NAME_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)


@dataclass(frozen=True)
class Command:
    """One row of the table: what is typed, the module that answers, and what `--help` says of it."""

    name: str
    module: str
    summary: str
    training: bool = False


COMMANDS = (
    Command("fit", "aigenbench.cli.fit", "train a detector, window by window, and evaluate it", True),
    Command("validate", "aigenbench.cli.fit", "evaluate finished windows on the validation split", True),
    Command("test", "aigenbench.cli.fit", "evaluate finished windows on the test split", True),
    Command("predict", "aigenbench.cli.predict", "score pictures of your own with an experiment or a checkpoint", True),
    Command("evaluate", "aigenbench.cli.evaluate", "any detector over all windows of the protocol"),
    Command("detect", "aigenbench.cli.detect", "judge pictures with an exported detector"),
    Command("submit", "aigenbench.cli.submit", "run fit as a SLURM batch job that requeues itself until it is done"),
    Command("sweep", "aigenbench.cli.sweep", "many runs from one file, and one table of what they came to"),
    Command("score", "aigenbench.cli.score", "Past, Next and Whole results of an experiment's predictions"),
    Command("compare", "aigenbench.cli.compare", "whether experiments differ by more than chance"),
    Command("frontier", "aigenbench.cli.frontier", "what experiments reach against what their training took"),
    Command("robustness", "aigenbench.cli.robustness", "evaluate an experiment's windows under perturbations"),
    Command("report", "aigenbench.cli.report", "one self-contained page of an experiment, or several side by side"),
    Command("export", "aigenbench.cli.export", "a finished experiment as a detector that works by itself"),
    Command("detector", "aigenbench.cli.detector", "check an exported detector on this machine"),
    Command("submission", "aigenbench.cli.submission", "bundle an experiment's predictions, or verify such a bundle"),
    Command("leaderboard", "aigenbench.cli.leaderboard", "a static page from verified bundles"),
    Command("serve", "aigenbench.cli.serve", "a page and an endpoint for exported detectors"),
    Command("data", "aigenbench.cli.data", "look at a data set: what a run would train and evaluate on"),
    Command("models", "aigenbench.cli.models", "which models there are, what they are, and their weights"),
    Command("demo-data", "aigenbench.cli.demo_data", "make a small synthetic data set in the real layout"),
)


def help_text(commands: Sequence[Command]) -> str:
    """The page that `aigenbench --help` prints."""
    width = max(len(c.name) for c in commands)
    lines = [
        "usage: aigenbench COMMAND [options]",
        "",
        "Train and evaluate detectors of AI-generated images on the AI-GenBench temporal benchmark.",
        "",
        "commands:",
        *(f"  {c.name:<{width}}  {c.summary}" for c in commands),
        "",
        "options:",
        f"  {'--help':<{width}}  this page; `aigenbench COMMAND --help` for a command's own",
        f"  {'--version':<{width}}  the version, and nothing else",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None, commands: Sequence[Command] = COMMANDS) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: what was typed after the program's name; `sys.argv[1:]` where not given.
        commands: the table to look the command up in.

    Returns:
        0 where all went well, 2 for bad input (one line on stderr), 130 after Ctrl-C, 141 where the reader
        of the output went away; otherwise what the command returned.
    """
    log_to_stderr()
    try:
        return dispatch(list(sys.argv[1:] if argv is None else argv), commands)
    except InputError as error:
        say_aside(f"aigenbench: error: {' '.join(str(error).split())}")
        return BAD_INPUT
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # what is still buffered cannot be written: without this, Python complains once more at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        if error.errno not in (*DISK_ERRORS, *NAME_ERRORS):
            raise
        where = f"{error.filename}: " if error.filename else ""
        say_aside(f"aigenbench: error: {where}{error.strerror}; set that right, then the same command goes on")
        return BAD_INPUT
    except KeyboardInterrupt:
        say_aside("aigenbench: interrupted")
        return INTERRUPTED


def dispatch(argv: list[str], commands: Sequence[Command]) -> int:
    """Find the command that `argv` names, import its module and run it.

    Raises:
        InputError: the command is not in the table, or an argument can be neither a text nor the name of a file.
    """
    for number, argument in enumerate(argv, 1):
        if "\0" in argument or not _is_encodable(argument):
            raise InputError(f"argument {number}, {argument!r}: expected text; no file has such a name either")
    if not argv or argv[0] in ("-h", "--help"):
        say(help_text(commands))
        return 0 if argv else BAD_INPUT
    if argv[0] == "--version":
        say(__version__)
        return 0
    by_name = {c.name: c for c in commands}
    command = by_name.get(argv[0])
    if command is None:
        hint = nearest(argv[0], by_name) or f"; the commands are {', '.join(by_name)}"
        raise InputError(f"no command {argv[0]!r}{hint} (see aigenbench --help)")
    module = importlib.import_module(command.module)
    if command.training:
        from aigenbench.training.processes.collectives import is_first_process

        if not is_first_process():
            # the first says it all; what goes wrong in another is told by it
            logging.getLogger("aigenbench").setLevel(logging.ERROR)
        return int(module.run(argv[1:], command.name))
    parser = Parser(prog="aigenbench")
    module.register(parser.add_subparsers(required=True, metavar="COMMAND"))
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def log_to_stderr() -> None:
    """Show the package's own log records from INFO on, as lines like those of errors."""
    logger = logging.getLogger("aigenbench")
    for handler in [h for h in logger.handlers if isinstance(h, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines())
    logger.setLevel(logging.INFO)


class _Lines(logging.StreamHandler):
    """The package's records as `aigenbench: warning: ...`, without a level for plain information."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return printable(f"aigenbench: {level}{super().format(record)}")
