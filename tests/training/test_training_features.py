"""A probe trained on stored features is the ordinary probe, its backbone run once over each view."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from training_harness import Events, SignalledAt, arguments, outcome, run, run_together

from aigenbench.augmentations.geometry import draw_orientation
from aigenbench.data.plan import make_plan
from aigenbench.data.samples.batches import BatchArithmetic, TrainingBatches
from aigenbench.data.sources.opening import open_source
from aigenbench.data.store import stores_in
from aigenbench.protocol.randomness import sample_rng
from aigenbench.training.features.embedding import PROGRESS_SECONDS, _BlockWriter

# a backbone whose weights do not depend on the seed
FIXED = """
import torch
from torch import nn
from aigenbench.models import ModelFactoryRegistry


class Fixed(nn.Module):
    num_features = 12

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.filters = nn.Parameter(torch.randn(12, 3, 3, 3, generator=generator) / 3)

    def get_features(self, images):
        return torch.tanh(nn.functional.conv2d(images, self.filters, stride=2)).mean(dim=(2, 3)) * 4


def make_fixed(model_name, pretrained=True, **kwargs):
    return Fixed() if model_name == "fixed" else None


ModelFactoryRegistry().register_model_factory("mine", make_fixed)
"""
CACHED = "--data.features=cache"


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def command(dataset: Path, folder: Path, *more: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fixed.py").write_text(FIXED)
    mine = [f"--import={folder / 'fixed.py'}", "--model.model_name=fixed_probe", "--trainer.max_epochs=2"]
    return arguments(dataset, folder, *mine, *more)


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def fit(dataset: Path, folder: Path, *more: str) -> Path:
    code, _ = run(folder, command(dataset, folder, *more))
    assert code == 0, log(folder)[-3000:]
    return folder / "experiments_data"


def logits(experiment: Path) -> np.ndarray:
    files = sorted(experiment.glob("window_*/predictions_validate_all.npz"))
    assert len(files) == 3
    return np.stack([np.load(file)["fused_logits"] for file in files])


def stored_rows(folder: Path) -> dict[tuple[int, ...], np.ndarray]:
    """Keys of every store, by the shape of its rows."""
    found = {}
    for store in stores_in(folder / "experiments_cache"):
        blocks = store.open()
        found[store.layout.shape] = blocks.keys
    return found


@pytest.mark.parametrize(
    ("more", "tolerance"),
    [
        ((), 2e-3),
        (("--data.orientation=per_copy", "--data.features_dtype=bfloat16"), 2e-2),
        (("--model.training_cropping_strategy=center_crop", "--model.evaluation_cropping_strategy=multicrop"), 2e-3),
        (("--model.training_cropping_strategy=random_crop", "--data.orientation=per_copy"), 2e-3),
        pytest.param(
            ("--model.evaluation_cropping_strategy={tiles: {n: 3, choose: texture}}", "--model.fusion=max"),
            2e-3,
            marks=pytest.mark.slow,
        ),
        pytest.param(("--model.evaluation_cropping_strategy=mixed",), 2e-3, marks=pytest.mark.slow),
    ],
)
def test_the_ordinary_probe_to_the_storages_tolerance(
    three: Path, tmp_path: Path, more: tuple[str, ...], tolerance: float
) -> None:
    ordinary = fit(three, tmp_path / "ordinary", *more) / "experiment_x"
    cached = fit(three, tmp_path / "cached", CACHED, *more) / "experiment_x"
    assert np.abs(logits(ordinary)).max() > 20 * tolerance, "the head has learnt something to compare"
    assert np.abs(logits(ordinary) - logits(cached)).max() < tolerance
    for k in range(3):
        one, other = (np.load(e / f"window_{k}" / "predictions_validate_all.npz") for e in (ordinary, cached))
        for name in ("fused_identifiers", "crop_identifiers", "crop_to_image_index", "crop_labels", "pairing"):
            assert np.array_equal(one[name], other[name]), name
        steps = [(e / f"window_{k}" / "metrics.csv").read_text().splitlines() for e in (ordinary, cached)]
        assert [line.rpartition(",")[0] for line in steps[0]] == [line.rpartition(",")[0] for line in steps[1]]


def drawn_views(dataset: Path, per_copy: bool, seed: int = 42) -> set[int]:
    """Views of all three windows, drawn sample by sample as the ordinary pipeline draws them."""
    plan = make_plan(open_source(dataset), 1)
    views = set()
    for window in range(3):
        rows = plan.training.rows(window)
        for epoch in range(2):
            for batch in TrainingBatches(len(rows), 2, BatchArithmetic(4, 1, 2), seed, window, epoch):
                for position, copy, _ in batch:
                    row = int(rows[position])
                    passing = () if per_copy else (window, epoch)
                    turned = draw_orientation(sample_rng(4321, "train", row, copy, "second", *passing))
                    views.add((row * 2**16 + copy) * 8 + 2 * turned.quarter_turns + turned.mirrored)
    return views


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ["per_epoch", "per_copy"])
def test_exactly_the_views_of_the_schedule_are_embedded_once(three: Path, tmp_path: Path, orientation: str) -> None:
    fit(three, tmp_path, CACHED, f"--data.orientation={orientation}")
    stored = stored_rows(tmp_path)
    assert set(stored[12,].tolist()) == drawn_views(three, orientation == "per_copy")
    assert sorted(stored[1, 12].tolist()) == sorted(make_plan(open_source(three), 1).evaluation.ids.tolist())
    # another run that agrees on backbone and recipe embeds only what its own order draws beyond that
    argv = command(three, tmp_path, CACHED, f"--data.orientation={orientation}")
    code, _ = run(tmp_path, [*argv, "--experiment_info.experiment_id=again"])
    assert code == 0
    assert log(tmp_path).count("embedding") == 2
    code, _ = run(tmp_path, [*argv, "--seed_everything=7", "--experiment_info.experiment_id=other"])
    assert code == 0
    wanted = drawn_views(three, orientation == "per_copy") | drawn_views(three, orientation == "per_copy", seed=7)
    assert set(stored_rows(tmp_path)[12,].tolist()) >= wanted


@pytest.mark.slow
def test_heads_trained_at_once_are_the_runs_of_their_own(three: Path, tmp_path: Path) -> None:
    heads = "--experiment_info.heads=[{lr: 0.5}, {weight_decay: 0.1, name: decayed}, {seed: 7}]"
    together = fit(three, tmp_path / "together", CACHED, heads)
    alone = fit(three, tmp_path / "alone", CACHED)
    assert np.array_equal(logits(together / "experiment_x"), logits(alone / "experiment_x"))
    for name, change in (
        ("lr_0.5", "--model.optimizer.init_args.lr=0.5"),
        ("decayed", "--model.optimizer.init_args.weight_decay=0.1"),
        ("seed_7", "--seed_everything=7"),
    ):
        own = fit(three, tmp_path / name, CACHED, change) / "experiment_x"
        head = together / f"experiment_x_{name}"
        assert not np.array_equal(logits(head), logits(together / "experiment_x")), name
        assert np.array_equal(logits(head), logits(own)), name
        left, alone_left = ({p.relative_to(e) for p in e.rglob("*") if p.is_file()} for e in (head, own))
        assert left == alone_left
        assert (
            json.loads((head / "window_1" / "run.json").read_text()).keys()
            == json.loads((own / "window_1" / "run.json").read_text()).keys()
        )
        assert (head / "window_1" / "metrics.csv").read_text() == (own / "window_1" / "metrics.csv").read_text()
    # a head's experiment is one like any other
    argv = command(three, tmp_path / "together", CACHED, "--model.optimizer.init_args.lr=0.5")
    code, _ = run(tmp_path / "together", [*argv, "--experiment_info.experiment_id=x_lr_0.5"], command="validate")
    assert code == 0
    assert log(tmp_path / "together").count("reproduced, logits differ by at most 0") == 3


@pytest.mark.slow
def test_a_run_with_heads_that_is_killed_again_and_again_ends_alike(three: Path, tmp_path: Path) -> None:
    more = (CACHED, "--experiment_info.heads=[{lr: 0.5}, {seed: 7}]", "--data.num_workers=2")
    code, events = run(tmp_path / "undisturbed", command(three, tmp_path / "undisturbed", *more))
    assert code == 0, log(tmp_path / "undisturbed")[-3000:]
    rng, killed = np.random.default_rng(3), tmp_path / "killed"
    kills = 0
    while kills < 100:
        kill_at = Events(kill_at=int(rng.integers(1, events // 4)))
        code, _ = run(killed, command(three, killed, *more), kill_at)
        if code == 0:
            break
        assert code == -signal.SIGKILL, log(killed)[-3000:]
        kills += 1
    assert 5 <= kills < 100
    for name in ("x", "x_lr_0.5", "x_seed_7"):
        assert outcome(tmp_path / "killed", name) == outcome(tmp_path / "undisturbed", name), name


@pytest.mark.slow
def test_two_processes_embed_half_each_and_train_alike(three: Path, tmp_path: Path) -> None:
    experiments = {}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        argv = command(
            three,
            folder,
            CACHED,
            "--experiment_info.heads=[{lr: 0.5}]",
            "--data.train_batch_size=2",
            f"--trainer.devices={devices}",
            f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
            f"--trainer.accumulate_grad_batches={4 // devices}",
        )
        argv_run = [sys.executable, "-m", "aigenbench", "fit", *argv]
        done = subprocess.run(argv_run, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        experiments[devices] = folder / "experiments_data"
    for name in ("experiment_x", "experiment_x_lr_0.5"):
        one, two = (logits(experiments[devices] / name) for devices in (1, 2))
        assert np.abs(one - two).max() < 1e-5
    one, two = (stored_rows(tmp_path / str(devices)) for devices in (1, 2))
    assert all(np.array_equal(one[shape], two[shape]) for shape in one)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_ends_the_embedding_of_all(three: Path, tmp_path: Path, rank: int) -> None:
    argv = command(three, tmp_path, CACHED, "--data.train_batch_size=2", "--data.eval_batch_size=1")
    signalled, never = (SignalledAt("embedding", 0, at, signal.SIGTERM) for at in (2, 10_000))
    results = run_together(tmp_path, argv, events={rank: signalled, 1 - rank: never})
    assert [code for code, _ in results] == [128 + signal.SIGTERM, 0], log(tmp_path)[-3000:]
    embedded = len(drawn_views(three, per_copy=False)) // 2
    assert all(count < embedded // 2 for _, count in results), "neither went on to its end"
    assert [code for code, _ in run_together(tmp_path, argv)] == [0, 0]
    assert set(stored_rows(tmp_path)[12,].tolist()) == drawn_views(three, per_copy=False)


@pytest.mark.slow
def test_arguments_of_the_backbone_have_features_of_their_own(three: Path, tmp_path: Path) -> None:
    base = ("--model.model_name=timm/test_resnet_probe", "--model.model_args.pretrained=false", CACHED)
    fit(three, tmp_path, *base)
    # how fast a model is makes no other features
    for name, argument in (("max", "global_pool=max"), ("fast", "channels_last=true")):
        argv = command(three, tmp_path, *base, f"--model.model_args.{argument}")
        code, _ = run(tmp_path, [*argv, f"--experiment_info.experiment_id={name}"])
        assert code == 0, log(tmp_path)[-3000:]
        assert len(stores_in(tmp_path / "experiments_cache")) == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--model.model_name=tiny_tune",), "needs a frozen backbone; tiny_tune trains its own"),
        (("--model.training_cropping_strategy=random_crop",), "use data.orientation: per_copy"),
        (("--data.deterministic_augmentations=false",), "needs data.deterministic_augmentations: true"),
        (("--data.features=none", "--experiment_info.heads=[{lr: 1}]"), "give --data.features cache"),
        (("--experiment_info.heads=[{lr: 1, wd: 2}]",), "unknown key experiment_info.heads.0.wd"),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line(
    three: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    code, _ = run(tmp_path, command(three, tmp_path, CACHED, *more))
    assert code == 2
    assert said in log(tmp_path)
    assert "Traceback" not in log(tmp_path)
    assert not (tmp_path / "experiments_cache").exists()


def test_a_head_that_diverges_is_named(three: Path, tmp_path: Path) -> None:
    heads = "--experiment_info.heads=[{lr: 1e38, name: wild}]"
    code, _ = run(tmp_path, command(three, tmp_path, CACHED, heads, "--model.scheduler=null"))
    assert code == 2
    assert "the loss of head 'wild' is not a finite number" in log(tmp_path)


@pytest.mark.slow
def test_where_weights_lie_makes_no_other_features_and_other_code_does(three: Path, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.txt").write_text("the same")
        argv = command(
            three,
            tmp_path,
            CACHED,
            f"--model.model_args.weights_dir={tmp_path / name}",
            f"--model.model_args.table={tmp_path / name / 'table.txt'}",
            f"--model.model_args.folder={tmp_path / name}",
            f"--experiment_info.experiment_id={name}",
        )
        code, _ = run(tmp_path, argv)
        assert code == 0, log(tmp_path)[-3000:]
    assert len(stores_in(tmp_path / "experiments_cache")) == 2
    assert log(tmp_path).count("embedding") == 2
    # another backbone of the same weights
    (tmp_path / "fixed.py").write_text(FIXED.replace("* 4", "* 3"))
    code, _ = run(tmp_path, [argument.replace("=there", "=changed") for argument in argv])
    assert code == 0, log(tmp_path)[-3000:]
    assert len(stores_in(tmp_path / "experiments_cache")) == 4


def test_a_stop_keeps_what_is_embedded_and_the_time_is_recorded(three: Path, tmp_path: Path) -> None:
    argv = command(three, tmp_path, CACHED, "--data.eval_batch_size=4")
    code, _ = run(tmp_path, argv, SignalledAt("embedding", 0, 3, signal.SIGTERM))
    assert code == 128 + signal.SIGTERM, log(tmp_path)[-3000:]
    kept = {path.name for path in (tmp_path / "experiments_cache").rglob("*.rows")}
    # whole batches of images, each of up to 16 views
    assert len(kept) == 1
    assert 8 <= len(stored_rows(tmp_path)[12,]) < len(drawn_views(three, per_copy=False))
    assert "embedded " in log(tmp_path)
    experiment = tmp_path / "experiments_data" / "experiment_x"
    before = json.loads((experiment / "embedding.json").read_text())["seconds"]
    assert before > 0
    code, _ = run(tmp_path, argv)
    assert code == 0, log(tmp_path)[-3000:]
    assert kept < {path.name for path in (tmp_path / "experiments_cache").rglob("*.rows")}
    assert set(stored_rows(tmp_path)[12,].tolist()) == drawn_views(three, per_copy=False)
    records = [json.loads((experiment / f"window_{k}" / "run.json").read_text()) for k in range(3)]
    assert records[0]["embedding_seconds"] > before
    assert [record["embedding_seconds"] for record in records[1:]] == [0, 0]
    assert all(
        record["total_seconds"] == pytest.approx(record["seconds"] + record["embedding_seconds"], abs=2e-3)
        for record in records
    )
    assert not (experiment / "embedding.json").exists()


def test_without_a_bar_lines_say_how_far_embedding_is(caplog: pytest.LogCaptureFixture) -> None:
    writer = _BlockWriter(SimpleNamespace(rows=4096), None, "training views", None)  # type: ignore[arg-type]
    writer.done = 1024
    with caplog.at_level(logging.INFO, "aigenbench"):
        writer._tell(SimpleNamespace(progress_bar_callback=None))  # type: ignore[arg-type]
        assert not caplog.text, "only now and then"
        writer._told -= PROGRESS_SECONDS
        writer._started -= PROGRESS_SECONDS
        writer._tell(SimpleNamespace(progress_bar_callback=object()))  # type: ignore[arg-type]
        assert not caplog.text, "a bar says it"
        writer._tell(SimpleNamespace(progress_bar_callback=None))  # type: ignore[arg-type]
    assert "embedding training views: 1024 of 4096, about 90 s left" in caplog.text
