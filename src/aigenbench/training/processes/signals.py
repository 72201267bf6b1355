"""Asking a run to stop: the handler sets a flag, the run acts on it at the next optimizer step or evaluated batch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aigenbench.training.processes.collectives import is_first_process, largest, post, posted

NEWS = "stop"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Which signal, if any, asked the run to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._agreed: int | None = None
        self._posted = False

    @property
    def agreed(self) -> int | None:
        """The signal by which all processes have agreed to stop at the next place where they can."""
        return self._agreed

    def agree(self, number: int | None) -> None:
        """Take note of what all processes found at one place; one that heard nothing stops with the others."""
        self._agreed = number
        self.signal = self.signal or number

    def check(self) -> None:
        """Stop here if any of the processes that share the work was asked to; all of them must check.

        Raises:
            StoppedError: one was.
        """
        # a signal that comes while waiting for the others counts at the next check
        if asked := largest(self.signal or 0):
            self.signal = asked
            raise StoppedError(asked)

    def heard(self) -> int | None:
        """The signal by which this process, or another that has looked here too, was asked to stop; nobody waits."""
        if self.signal is None:
            self.signal = posted(NEWS) or None
        elif not self._posted:
            post(NEWS, self.signal)
            self._posted = True
        return self.signal

    def check_alone(self) -> None:
        """Stop here if ``heard``, where processes do not meet at the same places; raises likewise."""
        if (asked := self.heard()) is not None:
            raise StoppedError(asked)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            # the second Ctrl-C: at once, and not by KeyboardInterrupt, which Lightning turns into an exit of its own
            raise StoppedError(number)
        self.signal = number

    @contextmanager
    def installed(self) -> Iterator[StopRequest]:
        """Let the signals set the flag for the time of a run; the former handlers come back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            # Python lets no other thread hear signals
            yield self
            return
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
