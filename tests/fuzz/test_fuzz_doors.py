"""The harness: what it takes for a finding; and a fixed part of every door's campaign."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

import pytest

from aigenbench.errors import InputError
from fuzz import harness
from fuzz.harness import FINDING, RESULT, TOLD, Worker, campaign, doors, outcome_of

PER_DOOR = 250
OF_SLOW_DOORS = {"arguments": 60, "bundles": 100, "json_files": 100, "detections": 500}
SEED = 2


def door(check: Callable[[Path], object]) -> types.ModuleType:
    module = types.ModuleType("fuzz.made_up")
    module.make = lambda folder, rng: (folder / "a").write_text(str(rng.random()))  # type: ignore[attr-defined]
    module.check = check  # type: ignore[attr-defined]
    return module


def tell(folder: Path) -> None:
    raise InputError((folder / "a").read_text())


def test_every_case_is_drawn_by_its_number() -> None:
    told = [outcome_of(door(tell), 1, number) for number in (1, 2, 1)]
    assert told[0].kind == TOLD
    assert told[0].text == told[2].text != told[1].text
    assert outcome_of(door(lambda folder: None), 1, 1).kind == RESULT


def test_an_error_that_is_none_of_input_is_a_finding() -> None:
    outcome = outcome_of(door(lambda folder: [][1]), 1, 1)
    assert outcome.kind == FINDING
    assert outcome.text.startswith("IndexError at test_fuzz_doors.py")


def test_time_and_memory_beyond_bounds_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "MOST_SECONDS", -1.0)
    assert outcome_of(door(lambda folder: None), 1, 1).text == "more than -1 s"
    monkeypatch.setattr(harness, "MOST_SECONDS", 10.0)
    peaks = iter((0, 1e9, 2.6e9))
    monkeypatch.setattr(harness, "_peak", lambda: next(peaks))
    assert outcome_of(door(lambda folder: None), 1, 1).text == "more than 1.5 GB"


@pytest.mark.slow
@pytest.mark.parametrize(("action", "text"), [("os.abort()", "the worker died"), ("time.sleep(99)", "no end in 3 s")])
def test_a_worker_that_dies_or_hangs_is_a_finding_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, text: str
) -> None:
    code = f"import os, time\ndef make(folder, rng):\n    pass\ndef check(folder):\n    {action}\n"
    (tmp_path / "fuzz").mkdir()
    (tmp_path / "fuzz" / "__init__.py").touch()
    (tmp_path / "fuzz" / "made_up.py").write_text(code)
    monkeypatch.setattr(harness, "TESTS", tmp_path)
    worker = Worker("made_up", 1)
    monkeypatch.setattr(harness, "HANGS_S", 3.0)
    assert worker.run(0) == worker.run(1)
    assert worker.run(2).text == text


@pytest.mark.slow
@pytest.mark.parametrize("name", doors())
def test_no_findings(name: str) -> None:
    n = OF_SLOW_DOORS.get(name, PER_DOOR)
    tally = campaign(name, n, SEED)
    assert tally.findings == {}
    assert sum(tally.kinds.values()) == n
