"""Asking a run to stop: the handler sets a flag, the run acts on it at the next optimizer step or evaluated batch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aigenbench.training.processes import is_first_process, largest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Which signal, if any, asked the run to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Stop here if any of the processes that share the work was asked to; all of them must check.

        Raises:
            StoppedError: one was.
        """
        self.signal = largest(self.signal or 0) or None
        if self.signal is not None:
            raise StoppedError(self.signal)

    def check_alone(self) -> None:
        """Stop here if this process was asked to, where the others do not check; raises likewise."""
        if self.signal is not None:
            raise StoppedError(self.signal)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            # the second Ctrl-C: at once, and not by KeyboardInterrupt, which Lightning turns into an exit of its own
            raise StoppedError(number)
        self.signal = number

    @contextmanager
    def installed(self) -> Iterator[StopRequest]:
        """Let the signals set the flag for the time of a run; the former handlers come back afterwards."""
        former = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


class StoppedError(BaseException):
    """The run stopped because it was asked to; what is done is on disk.

    Like KeyboardInterrupt no Exception, since a second Ctrl-C raises it anywhere.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def exit_code(number: int) -> int:
    """The shell's code for a process that a signal stopped; 0 for all but the first process.

    Launchers kill the others when one fails, and the first may still be writing.
    """
    return 128 + number if is_first_process() else 0
