from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from aigenbench.errors import InputError
from aigenbench.training.state import (
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
        if states[k] is None or states[k].final is None or states[k].evaluated < schedule.epochs  # type: ignore[union-attr]
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
    if state.epochs > schedule.epochs or (state.epochs == schedule.epochs and state.final is None):
        return "use the trainer.max_epochs it was begun with"
    last = state.epochs == schedule.epochs
    if state.steps == 0 and state.evaluated < state.epochs and (last or state.epochs % schedule.evaluate_every == 0):
        return Evaluate(k, state.epochs)
    return Train(k, state.epochs, state.steps)


def answered(states: Sequence[WindowState | None], schedule: Schedule) -> Action | str:
    try:
        return next_action(states, schedule)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(("epochs", "windows"), [(1, 3), (2, 3), (3, 2)])
@pytest.mark.parametrize("every", [1, 2])
def test_next_action_over_every_combination(epochs: int, windows: int, every: int) -> None:
    seen: dict[str, int] = {}
    asked = [tuple(range(windows)), *((k,) for k in range(windows))]
    for states in itertools.product(all_states(epochs), repeat=windows):
        for of_run in asked:
            schedule = Schedule(of_run, epochs, every)
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


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (3, 1), (3, 2), (4, 3), (2, 5)])
def test_following_the_actions_ends(epochs: int, every: int) -> None:
    states: list[WindowState | None] = [None, None]
    schedule, evaluations = Schedule((0, 1), epochs, every), []
    for _ in range(100):
        action = next_action(states, schedule)
        if isinstance(action, Done):
            break
        k = action.window
        state = states[k] or WindowState()
        if isinstance(action, Evaluate):
            evaluations.append((k, action.epochs))
            states[k] = WindowState(state.epochs, 0, action.epochs, (), state.final)
        elif action.step == 0:
            states[k] = WindowState(state.epochs, 5, state.evaluated)
        else:
            done = state.epochs + 1
            states[k] = WindowState(done, 0, state.evaluated, (), FINAL if done == epochs else None)
    assert isinstance(next_action(states, schedule), Done)
    due = sorted({e for e in range(1, epochs + 1) if e % every == 0} | {epochs})
    assert evaluations == [(k, e) for k in (0, 1) for e in due]


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
