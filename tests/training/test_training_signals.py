"""What asks a run to stop is heard, whenever it comes."""

from __future__ import annotations

import signal

import pytest

from aigenbench.training.processes import signals
from aigenbench.training.processes.signals import StoppedError, StopRequest


def test_a_signal_that_comes_while_waiting_for_others_counts_at_the_next_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(value: int) -> int:
        signal.raise_signal(signal.SIGTERM)
        return value

    with StopRequest().installed() as stop:
        monkeypatch.setattr(signals, "largest", slow)
        stop.check()
        monkeypatch.setattr(signals, "largest", lambda value: value)
        with pytest.raises(StoppedError, match="SIGTERM"):
            stop.check()


def test_another_process_is_heard_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    board: dict[str, int] = {}
    monkeypatch.setattr(signals, "post", board.__setitem__)
    monkeypatch.setattr(signals, "posted", lambda name: board.get(name, 0))
    asked, other = StopRequest(), StopRequest()
    assert asked.heard() is None
    asked.signal = signal.SIGUSR1
    assert other.heard() is None, "nothing was told yet"
    assert asked.heard() == signal.SIGUSR1
    with pytest.raises(StoppedError, match="SIGUSR1"):
        other.check_alone()
