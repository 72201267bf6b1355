"""A run begun by ``ab.fit`` goes on from the shell, and the other way round, as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from training_harness import Events, arguments, outcome, run


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str, int]:
    """A data set, what the shell's run leaves of it, its configuration, and how many events it had."""
    dataset = made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, arguments(dataset, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return dataset, outcome(folder), recorded(folder), events


def recorded(folder: Path) -> str:
    text = (folder / "experiments_data" / "experiment_x" / "config.yaml").read_text()
    return text.replace(str(folder), "")


@pytest.mark.parametrize("commands", [("ab.fit", "fit"), ("fit", "ab.fit")])
def test_what_one_began_the_other_ends(
    undisturbed: tuple[Path, dict, str, int], tmp_path: Path, commands: tuple[str, str]
) -> None:
    dataset, files, config, events = undisturbed
    argv = arguments(dataset, tmp_path)
    for killed_at in (events // 3, events // 4):
        code, _ = run(tmp_path, argv, Events(kill_at=killed_at), commands[0])
        assert code == -signal.SIGKILL, (tmp_path / "log.txt").read_text()[-3000:]
    code, _ = run(tmp_path, argv, None, commands[1])
    assert code == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert outcome(tmp_path) == files
    assert recorded(tmp_path) == config


def test_a_call_is_bit_identical_and_ctrl_c_is_an_interrupt(
    undisturbed: tuple[Path, dict, str, int], tmp_path: Path
) -> None:
    dataset, files, _, events = undisturbed
    argv = arguments(dataset, tmp_path)
    code, _ = run(tmp_path, argv, Events(signal_at=(events // 2, signal.SIGINT)), "ab.fit")
    assert code == 1
    log = (tmp_path / "log.txt").read_text()
    assert "KeyboardInterrupt: stopped by SIGINT; everything done so far is kept, the same call goes on" in log
    code, _ = run(tmp_path, argv, None, "ab.fit")
    assert code == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert outcome(tmp_path) == files


def test_a_second_run_is_locked_out_and_another_config_is_refused(
    undisturbed: tuple[Path, dict, str, int], tmp_path: Path
) -> None:
    dataset, _, _, events = undisturbed
    argv = arguments(dataset, tmp_path)
    code, _ = run(tmp_path, argv, Events(kill_at=events // 2))
    assert code == -signal.SIGKILL
    code, _ = run(tmp_path, [*argv, "--seed_everything=7"], None, "ab.fit")
    assert code == 1
    log = (tmp_path / "log.txt").read_text()
    assert "InputError: experiment_x exists with another config (seed_everything: 42 -> 7)" in log
