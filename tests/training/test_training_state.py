from __future__ import annotations

import itertools
import json
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
    strays,
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
    assert len(seen) == 5, "every action and every refusal was met"


def trained(generation: int) -> WindowState:
    return WindowState(1, 0, 1, (), FINAL, generation)


@pytest.mark.parametrize(
    ("states", "astray", "action"),
    [
        ([trained(1), trained(2), trained(2)], [], Done()),
        # the folder of a window is gone, or was copied before those after it
        ([trained(1), None, trained(1)], [2], Train(1, 0, 0)),
        ([trained(1), WindowState(0, 4, generation=1), WindowState(0, 2, generation=1)], [2], Train(1, 0, 4)),
        # only its evaluation is missing: what was trained from it stands
        ([WindowState(1, 0, 0, (), FINAL, 1), trained(1), None], [], Evaluate(0, 1)),
        # the run that had lost the folder was ahead of the one that took it over
        ([trained(1), trained(2), trained(1)], [2], Train(2, 0, 0)),
        ([trained(2), WindowState(0, 2, generation=1), trained(1)], [1, 2], Train(1, 0, 0)),
        # or wrote once more over a window that the other had trained
        ([trained(1), WindowState(0, 2, generation=1), trained(2)], [2], Train(1, 0, 2)),
    ],
)
def test_windows_that_do_not_follow_are_trained_again(
    states: list[WindowState | None], astray: list[int], action: Action
) -> None:
    schedule = Schedule((0, 1, 2))
    assert strays(states, schedule) == astray
    assert next_action(states, schedule) == action
    mended = [None if k in astray else state for k, state in enumerate(states)]
    assert strays(mended, schedule) == []
    assert next_action(mended, schedule) == action


def test_a_single_finished_window_leaves_the_others_alone() -> None:
    assert strays([trained(1), None, trained(1)], Schedule((0,))) == []


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


DAMAGES = {
    "a half": "{",
    "a list": "[]",
    "no more": '{"schema": 1}',
    "of another version": '{"schema": 99}',
    "deep": "[" * 100_000,
    "not UTF-8": "\xff",
}
WRONG = {
    "epochs": [-1, 1.5, "1", True, None, [], 10**30, float("nan"), float("inf")],
    "generation": [-1, 2**40, "x"],
    "checkpoints": [None, {}, 3, [3], [{}], [{"file": 1, "sha256": "a"}], [{"file": "a"}], "ab"],
    "final": [3, [], {}, {"file": "../a.ckpt", "sha256": "a"}, {"file": "/etc/a", "sha256": "a"}],
    "unknown": [1],
}


@pytest.mark.parametrize("text", DAMAGES.values(), ids=DAMAGES)
def test_damaged_records_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"state\.json"):
        read_state(tmp_path)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_records_of_other_kinds_are_told(tmp_path: Path, key: str, value: object) -> None:
    write_state(tmp_path, WindowState(1, 7, 1, (FINAL,), FINAL, 3))
    record = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**record, key: value}))
    with pytest.raises(InputError, match=r"state\.json"):
        read_state(tmp_path)


def test_records_from_before_generations_are_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(
        '{"schema": 1, "epochs": 1, "steps": 0, "evaluated": 1, "checkpoints": [], "final": null}'
    )
    assert read_state(tmp_path) == WindowState(1, 0, 1)
