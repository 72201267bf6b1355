"""What the commands print: the one place that writes to the terminal."""

from __future__ import annotations

import sys

from aigenbench.errors import printable


def say(text: object, end: str = "\n") -> None:
    """Print a command's result; characters that would act on a terminal are escaped."""
    print(printable(str(text)), end=end)


def say_aside(text: object) -> None:
    """Print a line beside the result, to standard error, likewise."""
    print(printable(str(text)), file=sys.stderr)
