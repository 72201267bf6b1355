"""What the commands print: the one place that writes to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aigenbench.errors import printable


def say(text: object, end: str = "\n") -> None:
    """Print a command's result; characters that would act on a terminal are escaped."""
    print(printable(str(text)), end=end)


def say_aside(text: object) -> None:
    """Print a line beside the result, to standard error, likewise."""
    print(printable(str(text)), file=sys.stderr)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error for each thing that is done, gone in the end.

    Gives a function to be told what is being done, how much of it is done, and how much there is.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # where there is no terminal it would leave a blank line
    with Progress(*columns, transient=True, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def progress(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing)
            bar.update(tasks[doing], completed=done, total=total)

        yield progress
