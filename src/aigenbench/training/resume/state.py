"""What is done and what comes next: a small record a window on disk, and one pure function over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aigenbench.config.folder import STATE_FILE
from aigenbench.errors import InputError
from aigenbench.files import read_json, write_json

STATE_SCHEMA = 2
"""1 had no generation."""
LARGEST_COUNT = 10**9
_COUNTS = ("epochs", "steps", "evaluated", "generation")
_DAMAGED = "restore it, or remove the window's folder to train it again"


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
        generation: of the run that trained last (see ``lock``): it only grows.
    """

    epochs: int = 0
    steps: int = 0
    evaluated: int = 0
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    final: SavedCheckpoint | None = None
    generation: int = 0


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


def is_trained(state: WindowState | None) -> bool:
    """Whether a window's training has come to its end."""
    return state is not None and state.final is not None


def is_finished(state: WindowState | None) -> bool:
    """Whether a window is trained and its last weights evaluated."""
    return state is not None and state.final is not None and state.evaluated >= state.epochs


def next_action(states: Sequence[WindowState | None], schedule: Schedule) -> Action:
    """What comes next, from what is on disk.

    Args:
        states: the record of every window of the experiment, None where there is none.
        schedule: what is asked for.

    Raises:
        InputError: a window is asked for whose predecessor is not trained, or more epochs than it was begun with.
    """
    astray = strays(states, schedule)
    for window in schedule.windows:
        state = None if window in astray else states[window]
        if is_finished(state):
            continue
        if window and not is_trained(states[window - 1]):
            raise InputError(
                f"window {window} starts from the weights of window {window - 1}, which is not trained; train that "
                "first"
            )
        if state is None:
            return Train(window, 0, 0)
        if is_trained(state):
            return Evaluate(window, state.epochs)
        if state.epochs >= schedule.epochs:
            raise InputError(
                f"window {window} was trained for {state.epochs} epochs, {schedule.epochs} are asked for; "
                "use the trainer.max_epochs it was begun with"
            )
        return Train(window, state.epochs, state.steps)
    return Done()


def strays(states: Sequence[WindowState | None], schedule: Schedule) -> list[int]:
    """The windows whose weights do not come from those before them: they are to be set aside, and trained again.

    That is every window that was begun after one which is not trained; and the windows of a run that had lost the
    folder, told by its generation, from the first on that a later run has trained the predecessor of. Such mixtures are
    left by two runs in one folder, by a folder copied while in use, and where a window's folder was removed.
    """
    for window in schedule.windows:
        state, before = states[window], states[window - 1] if window else None
        if state is not None and before is not None and state.generation < before.generation:
            first = window
        elif is_trained(state):
            continue
        else:
            first = window + 1
        return [k for k in range(first, len(states)) if states[k] is not None]
    return []


def read_state(folder: Path) -> WindowState | None:
    """The record in a window's folder; None where the window was not begun.

    Raises:
        InputError: the record is damaged or of another version.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    record = read_json(path)
    if record.pop("schema", None) not in (1, STATE_SCHEMA):
        raise InputError(f"{path} was written by another version of aigenbench; finish the run with that version")
    checkpoints, final = record.pop("checkpoints", None), record.pop("final", None)
    counts = {"generation": 0, **record}
    if (
        set(counts) != set(_COUNTS)
        or not all(type(n) is int and 0 <= n < LARGEST_COUNT for n in counts.values())
        or not isinstance(checkpoints, list)
    ):
        raise InputError(f"{path} is damaged; {_DAMAGED}")
    saved = tuple(_saved(one, path) for one in checkpoints)
    return WindowState(**counts, checkpoints=saved, final=None if final is None else _saved(final, path))


def _saved(record: Any, path: Path) -> SavedCheckpoint:
    """A checkpoint as a record names it: a file of the window's own folder."""
    if (
        not isinstance(record, dict)
        or set(record) != {"file", "sha256"}
        or not all(isinstance(value, str) for value in record.values())
        or Path(record["file"]).name != record["file"]
    ):
        raise InputError(f"{path} is damaged (it names no checkpoint: {str(record)[:80]}); {_DAMAGED}")
    return SavedCheckpoint(**record)


def write_state(folder: Path, state: WindowState) -> None:
    """Record how far a window has come; the record is replaced whole."""
    record: dict[str, Any] = {"schema": STATE_SCHEMA, **asdict(state)}
    write_json(folder / STATE_FILE, record)
