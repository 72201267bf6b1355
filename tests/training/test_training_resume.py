"""Killed anywhere, a run goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_harness import Events, SignalledAt, _after, arguments, outcome, run


@pytest.fixture(scope="module")
def nine(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "nine", generators=9, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(nine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, int]:
    """What a run leaves that nothing disturbed, and how many events it had."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, arguments(nine, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder), events


def killed_until_done(folder: Path, nine: Path, rng: np.random.Generator, longest: int, *more: str) -> int:
    """Start again and again, each time killed after a random number of events; returns the number of kills."""
    for kills in range(1000):
        code, _ = run(folder, arguments(nine, folder, *more), Events(kill_at=int(rng.integers(1, longest))))
        if code == 0:
            return kills
        assert code == -signal.SIGKILL, (folder / "log.txt").read_text()[-3000:]
    raise AssertionError("the run does not come to its end")


def test_an_undisturbed_run_is_sound(undisturbed: tuple[dict, int]) -> None:
    files, events = undisturbed
    assert sum(name.endswith("final.ckpt") for name in files) == 9
    assert sum(name.endswith("predictions_validate_all.npz") for name in files) == 9
    assert events > 200


@pytest.mark.slow
def test_killed_runs_end_alike(nine: Path, undisturbed: tuple[dict, int], tmp_path: Path) -> None:
    files, events = undisturbed
    kills = killed_until_done(tmp_path, nine, np.random.default_rng(0), events // 6)
    assert kills >= 10, "a tenth of the campaign"
    assert outcome(tmp_path) == files


@pytest.fixture(scope="module")
def kills_of_campaign() -> list[int]:
    """Kills of every run of the campaign that ended with the undisturbed run's results."""
    return []


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(12))
def test_campaign_of_kills(
    nine: Path, undisturbed: tuple[dict, int], tmp_path: Path, seed: int, kills_of_campaign: list[int]
) -> None:
    files, events = undisturbed
    workers = seed % 2 * 2
    kills = killed_until_done(
        tmp_path, nine, np.random.default_rng(100 + seed), events // 6, f"--data.num_workers={workers}"
    )
    assert outcome(tmp_path) == files
    kills_of_campaign.append(kills)


@pytest.mark.campaign
def test_the_campaign_had_a_hundred_kills(kills_of_campaign: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{sum(kills_of_campaign)} kills in {len(kills_of_campaign)} runs, all ended bit-identical")  # noqa: T201
    assert sum(kills_of_campaign) >= 100


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_stop_at_a_step_and_the_run_goes_on(
    nine: Path, undisturbed: tuple[dict, int], tmp_path: Path, number: int
) -> None:
    files, _ = undisturbed
    code, _ = run(tmp_path, arguments(nine, tmp_path), Events(signal_at=(60, number)))
    assert code == 128 + number, (tmp_path / "log.txt").read_text()[-3000:]
    assert "the same command" in (tmp_path / "log.txt").read_text()
    assert run(tmp_path, arguments(nine, tmp_path))[0] == 0
    assert outcome(tmp_path) == files


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_spares_the_workers(
    nine: Path, undisturbed: tuple[dict, int], tmp_path: Path, number: int
) -> None:
    files, _ = undisturbed
    events = Events(signal_at=(60, number), whole_group=True)
    code, _ = run(tmp_path, arguments(nine, tmp_path, "--data.num_workers=2"), events)
    assert code == 128 + number, (tmp_path / "log.txt").read_text()[-3000:]
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert run(tmp_path, arguments(nine, tmp_path))[0] == 0
    assert outcome(tmp_path) == files


@pytest.mark.slow
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    nine: Path, undisturbed: tuple[dict, int], tmp_path: Path
) -> None:
    files, _ = undisturbed
    run(tmp_path, arguments(nine, tmp_path), SignalledAt("training", 8, 20, signal.SIGKILL))
    window = max((tmp_path / "experiments_data/experiment_x").glob("window_*"))
    saved = sorted(window.glob("epoch_*.ckpt"))
    assert len(saved) == 2
    content = bytearray(saved[-1].read_bytes())
    content[len(content) // 2] ^= 1
    saved[-1].write_bytes(content)
    assert run(tmp_path, arguments(nine, tmp_path))[0] == 0
    assert "falling back to the checkpoint before it" in (tmp_path / "log.txt").read_text()
    assert outcome(tmp_path) == files


def test_another_config_is_refused_with_the_difference(nine: Path, tmp_path: Path) -> None:
    run(tmp_path, arguments(nine, tmp_path), SignalledAt("training", 1, 1, signal.SIGKILL))
    code, _ = run(tmp_path, arguments(nine, tmp_path, "--model.optimizer.init_args.lr=0.1"))
    assert code == 2
    assert "lr: 0.05 -> 0.1" in (tmp_path / "log.txt").read_text()
    other = ["--model.optimizer.init_args.lr=0.1", "--allow_config_change"]
    assert run(tmp_path, arguments(nine, tmp_path, *other), Events(kill_at=30))[0] == -signal.SIGKILL
    assert "goes on with another config" in (tmp_path / "log.txt").read_text()
    (change,) = json.loads((tmp_path / "experiments_data/experiment_x/config_changes.json").read_text())
    assert change["windows_finished"] == [0]
    assert change["changes"] == ["model.init_args.optimizer.init_args.lr: 0.05 -> 0.1"]


@pytest.mark.slow
def test_event_files_of_all_windows_in_one_folder_show_one_curve(nine: Path, tmp_path: Path) -> None:
    more = ["--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=logs", "--trainer.max_epochs=2"]
    rng = np.random.default_rng(5)
    for kill_at in (*rng.integers(100, 400, 3).tolist(), None):
        code, _ = run(tmp_path, arguments(nine, tmp_path, *more), Events(kill_at=kill_at))
        assert code == (0 if kill_at is None else -signal.SIGKILL), (tmp_path / "log.txt").read_text()[-3000:]
    files = list((tmp_path / "logs" / "experiment_x").glob("window_*/events.out.tfevents.*"))
    assert len({path.parent for path in files}) == 9
    # in one folder, as TensorBoard would show them
    together = tmp_path / "together"
    together.mkdir()
    for path in files:
        shutil.copy(path, together)
    assert len(list(together.iterdir())) == len(files)
    # purging would hide doubled points
    everything = {"tensors": 0, "scalars": 0}
    shown = EventAccumulator(str(together), size_guidance=everything, purge_orphaned_data=False)
    shown.Reload()
    # it reads files begun within the same second in the order of their names, not of their beginning
    points = {
        tag: [event.step for event in sorted(shown.Scalars(tag), key=lambda event: event.wall_time)]
        for tag in shown.Tags()["scalars"]
    }
    for tag, steps in points.items():
        assert steps == sorted(set(steps)), f"{tag}'s steps do not rise strictly"
    assert points["train/loss"] == list(range(max(points["train/loss"]) + 1))
    assert len(points["validate/growing/auroc"]) == 18


@pytest.mark.slow
def test_validate_reproduces_and_keeps_the_fit_file(nine: Path, tmp_path: Path) -> None:
    argv = arguments(nine, tmp_path)
    assert run(tmp_path, argv)[0] == 0
    before = outcome(tmp_path)
    assert run(tmp_path, argv, command="validate")[0] == 0
    assert outcome(tmp_path) == before
    assert (tmp_path / "log.txt").read_text().count("reproduced, logits differ by at most 0") == 9
    assert run(tmp_path, argv, command="test")[0] == 0
    window = tmp_path / "experiments_data/experiment_x/window_3"
    validated, tested = (np.load(window / f"predictions_{s}_all.npz") for s in ("validate", "test"))
    assert np.array_equal(validated["fused_logits"], tested["fused_logits"])
    # other weights, or another protocol, go elsewhere
    other = [*argv, f"--ckpt_path={window.parent / 'window_0' / 'final.ckpt'}"]
    other.append("--experiment_info.sliding_windows_definition.current_window=3")
    assert run(tmp_path, other, command="validate")[0] == 0
    assert run(tmp_path, [*argv, "--data.augmentations_base_seed=1"], command="validate")[0] == 0
    after = outcome(tmp_path)
    assert before.items() <= after.items()
    # of the window that the weights were trained up to, whatever window was asked for
    assert len(list((window.parent / "evaluations").glob("final_*/window_0/predictions_validate_all.npz"))) == 1
    assert len(list((window.parent / "evaluations").glob("protocol_*/window_*/*.npz"))) == 9


@pytest.mark.slow
def test_predict_scores_without_labels(nine: Path, tmp_path: Path) -> None:
    argv = arguments(nine, tmp_path)
    assert run(tmp_path, argv)[0] == 0
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.png").write_bytes(_picture())
    assert run(tmp_path, [*argv, "--data.predict_path=pictures"], command="predict")[0] == 0
    lines = (tmp_path / "experiments_data/experiment_x/window_8/predictions_predict.csv").read_text().splitlines()
    assert lines[0] == "image,logit,score,error,data,weights,weights_sha256,date"
    name, logit, score, *_ = lines[1].split(",")
    assert name == "one.png"
    assert float(score) == pytest.approx(1 / (1 + np.exp(-float(logit))), abs=1e-6)


def _picture() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (50, 60), (200, 10, 30)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_an_experiment_moved_elsewhere_in_mid_run_goes_on_alike(
    nine: Path, undisturbed: tuple[dict, int], tmp_path: Path
) -> None:
    files, events = undisturbed
    begun, moved = tmp_path / "begun", tmp_path / "moved"
    code, _ = run(begun, arguments(nine, begun), Events(kill_at=int(0.4 * events)))
    assert code == -signal.SIGKILL
    moved.mkdir()
    # under another parent's name; what was copied goes on by itself
    shutil.copytree(begun / "experiments_data", moved / "somewhere_else")
    argv = arguments(nine, moved, "--experiment_info.experiments_data_folder=somewhere_else")
    argv = [a if not a.startswith("--import") else f"--import={begun / 'tiny_model.py'}" for a in argv]
    assert run(moved, argv)[0] == 0, (moved / "log.txt").read_text()[-3000:]
    assert 1 <= (moved / "log.txt").read_text().count("optimizer steps in") < 9, "it did not begin anew"
    (moved / "somewhere_else").rename(moved / "experiments_data")
    assert outcome(moved) == files
    assert run(begun, arguments(nine, begun))[0] == 0
    assert outcome(begun) == files


@pytest.mark.slow
def test_two_resumable_checkpoints_are_kept_and_one_final_at_the_end(nine: Path, tmp_path: Path) -> None:
    argv = arguments(nine, tmp_path, "--trainer.max_epochs=3", "--experiment_info.checkpoint_every_n_steps=1")
    argv.append("--experiment_info.sliding_windows_definition.current_window=0")
    counter = CountsCheckpoints()
    assert run(tmp_path, argv, counter)[0] == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert "checkpoints take up to" in (tmp_path / "log.txt").read_text()
    counts = [int(line) for line in (tmp_path / "counts.txt").read_text().split()]
    assert max(counts) == 2
    window = tmp_path / "experiments_data/experiment_x/window_0"
    assert [path.name for path in window.glob("*.ckpt")] == ["final.ckpt"]


class CountsCheckpoints(Events):
    """Notes at every optimizer step how many checkpoints there are."""

    def install(self) -> None:
        from aigenbench.training.window.keeper import WindowKeeper

        def count() -> None:
            found = list(Path().glob("experiments_data/experiment_x/window_*/epoch_*.ckpt"))
            with Path("counts.txt").open("a") as lines:
                lines.write(f"{len(found)}\n")

        _after(WindowKeeper, "on_train_batch_end", count)


class TwiceInterrupted(Events):
    """Ctrl-C twice within an optimizer step."""

    def __call__(self) -> None:
        super().__call__()
        if self.count == 60:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the second ends the run at once")


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_run_at_once(nine: Path, undisturbed: tuple[dict, int], tmp_path: Path) -> None:
    argv = arguments(nine, tmp_path)
    code, _ = run(tmp_path, argv, TwiceInterrupted())
    log = (tmp_path / "log.txt").read_text()
    assert code == 128 + signal.SIGINT, log[-3000:]
    assert "Traceback" not in log
    assert "the same command with --experiment_info.experiment_id x goes on" in log
    (lock,) = tmp_path.rglob("lock.json")
    assert json.loads(lock.read_text())["released"]
    assert run(tmp_path, argv)[0] == 0
    assert outcome(tmp_path) == undisturbed[0]
