from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from aigenbench.errors import InputError
from aigenbench.training.state import (
    Done,
    Evaluate,
    SavedCheckpoint,
    Schedule,
    Train,
    WindowState,
    is_finished,
    next_action,
    read_state,
    write_state,
)

FINAL = SavedCheckpoint("final.ckpt", "0" * 64)


def all_states(epochs: int, every: int) -> list[WindowState | None]:
    """Every record a window can have on its way through ``epochs`` epochs."""
    states: list[WindowState | None] = [None]
    for done in range(epochs + 1):
        for steps in (0, 3):
            for evaluated in range(done + 1):
                if done == epochs and steps:
                    continue
                states.append(WindowState(done, steps, evaluated, (), FINAL if done == epochs else None))
    return states


@pytest.mark.parametrize("epochs", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2])
def test_next_action_over_every_combination(epochs: int, every: int) -> None:
    schedule = Schedule((0, 1, 2), epochs, every)
    for states in itertools.product(all_states(epochs, every), repeat=3):
        try:
            action = next_action(states, schedule)
        except InputError:
            # only where a later window was begun before an earlier one was finished
            unfinished = next(k for k, s in enumerate(states) if not is_finished(s, epochs))
            assert any(s is not None for s in states[unfinished + 1 :])
            continue
        if isinstance(action, Done):
            assert all(is_finished(s, epochs) for s in states)
            continue
        k = action.window
        assert all(is_finished(s, epochs) for s in states[:k])
        assert not is_finished(states[k], epochs)
        assert all(s is None for s in states[k + 1 :])
        state = states[k]
        if isinstance(action, Train):
            assert (action.epoch, action.step) == ((0, 0) if state is None else (state.epochs, state.steps))
            assert action.epoch < epochs
        else:
            assert state is not None
            assert action.epochs == state.epochs > state.evaluated
            assert state.steps == 0
            assert state.epochs == epochs or state.epochs % every == 0


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
