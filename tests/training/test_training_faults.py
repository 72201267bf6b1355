"""Whatever file operation fails, a run says so in one line, and goes on once it can."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from training_harness import Events, arguments, outcome, run


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(two: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, int]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, arguments(two, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder), events


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_every_operation_of_a_windows_life_may_fail(
    two: Path, undisturbed: tuple[dict, int], tmp_path: Path, code: int
) -> None:
    files, events = undisturbed
    told = 0
    for number in range(3 if code == errno.EIO else 1, events, 9):
        folder = tmp_path / str(number)
        ended, _ = run(folder, arguments(two, folder), Events(fail_at=(number, code)))
        log = (folder / "log.txt").read_text()
        assert ended in (0, 2), log[-3000:]
        if ended == 2:
            told += 1
            assert re.search(rf"^aigenbench: error: made to fail: {os.strerror(code)}; set that right", log, re.M)
            assert "Traceback" not in log
        assert not list(folder.rglob("*.tmp*")), "a writer that could has removed its temporary file"
        assert run(folder, arguments(two, folder))[0] == 0, (folder / "log.txt").read_text()[-3000:]
        assert outcome(folder) == files
    assert told >= 10


def test_a_full_disk_is_told_by_torchs_writer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from aigenbench.training import checkpoints

    real_open = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        return open("/dev/full", mode) if mode == "wb" else real_open(path, mode, *rest, **more)  # noqa: PTH123

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left on device"):
        checkpoints.save(tmp_path / "a.ckpt", {"weights": torch.zeros(100_000)})
    assert not (tmp_path / "a.ckpt").exists()


def test_a_folder_that_cannot_be_made_is_told(two: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "below"
    code, _ = run(tmp_path, arguments(two, tmp_path, f"--experiment_info.experiments_data_folder={where}"))
    assert code == 2
    assert "cannot make a folder" in (tmp_path / "log.txt").read_text()


def test_an_infinite_loss_names_the_step_and_the_images(two: Path, tmp_path: Path) -> None:
    code, _ = run(tmp_path, arguments(two, tmp_path, "--model.optimizer.init_args.lr=1e30", "--model.scheduler=null"))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log[-3000:]
    assert re.search(r"the loss is not a finite number in window \d, epoch 0, optimizer step \d+ \(image ids \[", log)
