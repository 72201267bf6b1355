"""What is done and what comes next: a small record a window on disk, and one pure function over all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aigenbench.config.folder import STATE_FILE
from aigenbench.errors import InputError
from aigenbench.files import write_json

STATE_SCHEMA = 1


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint file in the window's folder, with the hash it had when it was written."""

    file: str
    sha256: str


@dataclass(frozen=True)
class WindowState:
    """How far a window has come.

    Attributes:
        epochs: finished epochs, their evaluations included.
        steps: optimizer steps done in the epoch that is under way; all of them where its evaluation is left.
        evaluated: number of epochs whose weights ``final`` are, once these are evaluated; 0 before.
        checkpoints: resumable checkpoints, newest first.
        final: the window's weights, once its training has ended.
    """

    epochs: int = 0
    steps: int = 0
    evaluated: int = 0
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    final: SavedCheckpoint | None = None


@dataclass(frozen=True)
class Train:
    """Train the rest of a window, evaluating on the way."""

    window: int
    epoch: int
    step: int


@dataclass(frozen=True)
class Evaluate:
    """Evaluate the weights of a window that is trained."""

    window: int
    epochs: int


@dataclass(frozen=True)
class Done:
    """Nothing is left."""


Action = Train | Evaluate | Done


@dataclass(frozen=True)
class Schedule:
    """What a run is asked to do.

    Attributes:
        windows: indices of the windows to bring to their end, rising.
        epochs: epochs a window, at most.
    """

    windows: tuple[int, ...]
    epochs: int = 1


def is_finished(state: WindowState | None) -> bool:
    """Whether a window is trained and its last weights evaluated."""
    return state is not None and state.final is not None and state.evaluated >= state.epochs


def next_action(states: Sequence[WindowState | None], schedule: Schedule) -> Action:
    """What comes next, from what is on disk.

    Args:
        states: the record of every window of the experiment, None where there is none.
        schedule: what is asked for.

    Raises:
        InputError: a window is asked for whose predecessor is not finished, or records contradict each other.
    """
    for window in schedule.windows:
        state = states[window]
        if is_finished(state):
            continue
        _check_order(states, window, schedule)
        if state is None:
            return Train(window, 0, 0)
        if state.final is not None:
            return Evaluate(window, state.epochs)
        if state.epochs >= schedule.epochs:
            raise InputError(
                f"window {window} was trained for {state.epochs} epochs, {schedule.epochs} are asked for; "
                "use the trainer.max_epochs it was begun with"
            )
        return Train(window, state.epochs, state.steps)
    return Done()


def _check_order(states: Sequence[WindowState | None], window: int, schedule: Schedule) -> None:
    if window and (states[window - 1] is None or states[window - 1].final is None):  # type: ignore[union-attr]
        raise InputError(
            f"window {window} starts from the weights of window {window - 1}, which is not trained; train that first"
        )
    later = [k for k in range(window + 1, len(states)) if states[k] is not None]
    if later:
        raise InputError(
            f"window {window} is not finished, yet window {later[0]} was begun: their folders contradict each other; "
            f"remove the folders of windows {later[0]} and later to train them again"
        )


def read_state(folder: Path) -> WindowState | None:
    """The record in a window's folder; None where the window was not begun.

    Raises:
        InputError: the record is damaged or of another version.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("schema") != STATE_SCHEMA:
            raise InputError(f"{path} was written by another version of aigenbench; finish the run with that version")
        checkpoints = tuple(SavedCheckpoint(**saved) for saved in record.pop("checkpoints"))
        final = record.pop("final")
        return WindowState(**record, checkpoints=checkpoints, final=SavedCheckpoint(**final) if final else None)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); restore it, or remove the folder to train it again") from error


def write_state(folder: Path, state: WindowState) -> None:
    """Record how far a window has come; the record is replaced whole."""
    record: dict[str, Any] = {"schema": STATE_SCHEMA, **asdict(state)}
    write_json(folder / STATE_FILE, record)
