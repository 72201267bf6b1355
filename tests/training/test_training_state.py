from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from aigenbench.errors import InputError
from aigenbench.training.resume.state import (
    Action,
    Done,
    Evaluate,
    SavedCheckpoint,
    Schedule,
    Train,
    WindowState,
    next_action,
    read_state,
    write_state,
)

FINAL = SavedCheckpoint("final.ckpt", "0" * 64)


def all_states(epochs: int) -> list[WindowState | None]:
    """Every record a window can have: of no, some, all and more epochs than asked for, evaluated or not, with and
    without its final weights; also those that contradict themselves.
    """
    states: list[WindowState | None] = [None]
    for done, steps in itertools.product(range(epochs + 2), (0, 3)):
        for evaluated, final in itertools.product(range(done + 1), (None, FINAL)):
            states.append(WindowState(done, steps, evaluated, (), final))
    return states


def expected(states: Sequence[WindowState | None], schedule: Schedule) -> Action | str:
    """What must come next by the rules, stated anew: an action, or what the error speaks of."""
    unfinished = [
        k
        for k in schedule.windows
        if states[k] is None or states[k].final is None or states[k].evaluated < states[k].epochs  # type: ignore[union-attr]
    ]
    if not unfinished:
        return Done()
    k = unfinished[0]
    state = states[k]
    if k > 0 and (states[k - 1] is None or states[k - 1].final is None):  # type: ignore[union-attr]
        return "starts from the weights of window"
    if any(later is not None for later in states[k + 1 :]):
        return "their folders contradict each other"
    if state is None:
        return Train(k, 0, 0)
    if state.final is not None:
        # an early stop may have ended it before its last epoch
        return Evaluate(k, state.epochs)
    if state.epochs >= schedule.epochs:
        return "use the trainer.max_epochs it was begun with"
    return Train(k, state.epochs, state.steps)


def answered(states: Sequence[WindowState | None], schedule: Schedule) -> Action | str:
    try:
        return next_action(states, schedule)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(("epochs", "windows"), [(1, 3), (2, 3), (3, 2)])
def test_next_action_over_every_combination(epochs: int, windows: int) -> None:
    seen: dict[str, int] = {}
    asked = [tuple(range(windows)), *((k,) for k in range(windows))]
    for states in itertools.product(all_states(epochs), repeat=windows):
        for of_run in asked:
            schedule = Schedule(of_run, epochs)
            wanted = expected(states, schedule)
            action = answered(states, schedule)
            if isinstance(wanted, str):
                assert isinstance(action, str), states
                assert wanted in action
                action = wanted
            assert action == wanted, states
            kind = action if isinstance(action, str) else type(action).__name__
            seen[kind] = seen.get(kind, 0) + 1
            if isinstance(action, Train):
                assert action.epoch <= epochs
    assert len(seen) == 6, "every action and every refusal was met"


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("stopped_after", [1, 3])
@pytest.mark.parametrize("evaluated", [False, True])
def test_following_the_actions_ends(epochs: int, stopped_after: int, evaluated: bool) -> None:
    """Each training goes one stretch further: steps, an epoch's end, the window's (perhaps early)."""
    states: list[WindowState | None] = [None, None]
    schedule, evaluations = Schedule((0, 1), epochs), []
    for _ in range(100):
        action = next_action(states, schedule)
        if isinstance(action, Done):
            break
        k = action.window
        state = states[k] or WindowState()
        last = min(epochs, stopped_after)
        if isinstance(action, Evaluate):
            evaluations.append((k, action.epochs))
            states[k] = WindowState(state.epochs, 0, action.epochs, (), state.final)
        elif action.step == 0:
            states[k] = WindowState(state.epochs, 5)
        elif state.epochs + 1 < last:
            states[k] = WindowState(state.epochs + 1, 0)
        else:
            states[k] = WindowState(last, 0, last if evaluated else 0, (), FINAL)
    assert isinstance(next_action(states, schedule), Done)
    assert evaluations == ([] if evaluated else [(k, min(epochs, stopped_after)) for k in (0, 1)])


def test_a_single_window_needs_its_predecessor() -> None:
    finished = WindowState(1, 0, 1, (), FINAL)
    assert next_action([finished, None, None], Schedule((1,))) == Train(1, 0, 0)
    with pytest.raises(InputError, match="window 2 starts from the weights of window 1"):
        next_action([finished, None, None], Schedule((2,)))


def test_a_window_trained_longer_is_told() -> None:
    with pytest.raises(InputError, match="trained for 2 epochs, 1 are asked for"):
        next_action([WindowState(2, 0, 2)], Schedule((0,), 1))


def test_state_survives_the_disk(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    state = WindowState(1, 7, 1, (FINAL, SavedCheckpoint("a.ckpt", "1")), None)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 99}', '{"schema": 1, "epochs": 1, "x": 2}'])
def test_damaged_records_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(InputError, match=r"state\.json"):
        read_state(tmp_path)
