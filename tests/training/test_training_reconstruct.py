"""Runs that train on reconstructions: made once, resumed anywhere, and marked wherever their numbers stand."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_harness import Events, arguments, outcome, run, run_together

import aigenbench as ab
from aigenbench.config.layer import layer
from aigenbench.data.store import pictures_in
from aigenbench.data.store.pictures import Pictures
from aigenbench.engine.assembly.request import Request
from aigenbench.engine.evaluating import evaluate
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.evaluation.leaderboard.submission import make_submission
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.models.reconstruction import open_autoencoder
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.training.features.reconstructing import reconstructed
from aigenbench.training.window.inputs import set_up

REASON = "off protocol: 50 % of the training reals also as fakes, reconstructed by the autoencoder "


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def command(dataset: Path, folder: Path, vae: Path, *more: str) -> list[str]:
    return arguments(dataset, folder, f"--data.reconstruct={{vae: {vae}, share: 0.5}}", *more)


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def fit(folder: Path, argv: list[str]) -> Path:
    code, _ = run(folder, argv)
    assert code == 0, log(folder)[-3000:]
    return folder / "experiments_data" / "experiment_x"


def stored(folder: Path) -> dict[str, str]:
    """The pictures there are, and their bytes."""
    (found,) = pictures_in(folder / "experiments_cache")
    return {str(row): hashlib.sha256(found.path(row).read_bytes()).hexdigest() for row in found.open().tolist()}


class AtPicture(Events):
    """Signals its own process when so many pictures are written, or are about to be."""

    def __init__(self, at: int, number: int) -> None:
        super().__init__()
        self.at, self.number = at, number

    def install(self) -> None:
        original = Pictures.write

        def write(store: Pictures, row: int, picture: Any) -> None:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), self.number)
            original(store, row, picture)

        Pictures.write = write  # type: ignore[method-assign]


def test_a_picture_of_any_size_keeps_it(tiny_vae: Path) -> None:
    autoencoder = open_autoencoder(tiny_vae)
    picture = torch.randint(0, 256, (19, 24, 3), dtype=torch.uint8)
    made = reconstructed(autoencoder, picture)
    assert made.shape == picture.shape
    assert made.dtype == torch.uint8
    padded = torch.cat([picture, picture[-1:].expand(5, 24, 3)])
    expected = autoencoder(padded.permute(2, 0, 1)[None] / 255)[0, :, :19].permute(1, 2, 0)
    assert (made - 255 * expected.clamp(0, 1)).abs().max() <= 0.51


HERDING = {"replay": {"budget": 6, "selection": "herding"}}


@pytest.mark.parametrize(
    ("model", "strategy", "told"),
    [
        ({"training_task": "multiclass"}, None, r"data\.reconstruct: model\.training_task: multiclass has a class for"),
        ({"objective": "auxiliary"}, None, r"data\.reconstruct: model\.objective: auxiliary has a class for each"),
        ({}, HERDING, r"strategy: replay by features chooses a window's images .* and data\.reconstruct must be told"),
    ],
)
def test_what_does_not_go_with_them_is_refused(
    three: Path, tiny_vae: Path, model: dict[str, Any], strategy: Any, told: str
) -> None:
    values = {
        "model": {"model_name": "small_cnn_tune", "model_input_size": 16, "model_args": {"pretrained": False}, **model},
        "data": {"reconstruct": {"vae": str(tiny_vae)}},
        "dataset_path": str(three),
        "trainer": {"accelerator": "cpu", "logger": False},
        "experiment_info": {"strategy": strategy, "sliding_windows_definition": {"n_generators_per_window": 1}},
    }
    with pytest.raises(InputError, match=told):
        set_up(Request((layer("test", values),)).run("fit"), "train")


@pytest.mark.slow
def test_a_file_that_is_none_is_told_before_anything_is_written(three: Path, tmp_path: Path) -> None:
    (tmp_path / "vae.pth").write_text("not found")
    code, _ = run(tmp_path, command(three, tmp_path, tmp_path / "vae.pth"))
    assert code == 2
    assert "data.reconstruct.vae: " in log(tmp_path)
    assert "is a text file that begins 'not found'" in log(tmp_path)
    assert not (tmp_path / "experiments_data").exists()


@pytest.fixture(scope="module")
def undisturbed(three: Path, tiny_vae: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    fit(folder, command(three, folder, tiny_vae))
    return folder


@pytest.mark.slow
def test_half_of_the_reals_are_trained_on_as_fakes_too(undisturbed: Path) -> None:
    made = stored(undisturbed)
    assert len(made) == 3 * 2, "of each window's own four reals, two"
    steps = [json.loads(path.read_text())["steps_per_epoch"] for path in sorted(undisturbed.rglob("run.json"))]
    # 4 fakes, 4 reals and 2 reconstructions a window, two copies, 8 samples a step
    assert steps == [2, 5, 7]


@pytest.mark.slow
def test_killed_anywhere_it_ends_as_an_undisturbed_run(
    three: Path, tiny_vae: Path, undisturbed: Path, tmp_path: Path
) -> None:
    argv = command(three, tmp_path, tiny_vae)
    assert run(tmp_path, argv, AtPicture(3, signal.SIGKILL))[0] == -signal.SIGKILL
    assert len(stored(tmp_path)) == 2
    assert run(tmp_path, argv, AtPicture(2, signal.SIGTERM))[0] == 128 + signal.SIGTERM
    assert len(stored(tmp_path)) == 4, "what was begun is kept"
    for kill_at in (60, 90, 70):
        assert run(tmp_path, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fit(tmp_path, argv)
    assert stored(tmp_path) == stored(undisturbed)
    assert outcome(tmp_path) == outcome(undisturbed)
    assert log(tmp_path).count("reconstructing 6 of 6 reals") == 1
    assert "reconstructing 4 of 6 reals" in log(tmp_path)
    assert "reconstructing 2 of 6 reals" in log(tmp_path)


@pytest.mark.slow
def test_a_strategy_of_rows_and_copies(three: Path, tiny_vae: Path, tmp_path: Path) -> None:
    steps = []
    for share in (0.5, 1.0):
        folder = tmp_path / str(share)
        vae = f"--data.reconstruct={{vae: {tiny_vae}, share: {share}}}"
        fit(folder, arguments(three, folder, vae, "--experiment_info.strategy={harmonic: {of: copies}}"))
        steps.append([json.loads(path.read_text())["steps_per_epoch"] for path in sorted(folder.rglob("run.json"))])
    # new images in two copies, those of the windows before in one, 8 samples a step: 20, 30 and 40; 24, 36 and 48
    assert steps == [[2, 3, 5], [3, 4, 6]]


@pytest.mark.slow
def test_two_processes_share_the_work(three: Path, tiny_vae: Path, undisturbed: Path, tmp_path: Path) -> None:
    argv = command(three, tmp_path, tiny_vae)
    assert [code for code, _ in run_together(tmp_path, argv)] == [0, 0], log(tmp_path)[-3000:]
    assert stored(tmp_path) == stored(undisturbed)
    runs = [json.loads(path.read_text())["training_fingerprint"] for path in sorted(tmp_path.rglob("run.json"))]
    assert runs == [
        json.loads(path.read_text())["training_fingerprint"] for path in sorted(undisturbed.rglob("run.json"))
    ]


@pytest.mark.slow
def test_stored_views_are_those_of_the_samples(three: Path, tiny_vae: Path, undisturbed: Path, tmp_path: Path) -> None:
    argv = command(three, tmp_path, tiny_vae, "--data.cache=all")
    for shard in ("1/2", "2/2"):
        code, _ = run(tmp_path, ["cache", "build", "--shard", shard, *argv], command="data")
        assert code == 0, log(tmp_path)[-3000:]
    assert stored(tmp_path) == stored(undisturbed)
    fit(tmp_path, argv)
    assert outcome(tmp_path) == outcome(undisturbed)
    (pictures,) = pictures_in(tmp_path / "experiments_cache")
    for words, told in ((["list"], f"{pictures.folder.name}  6 rows, "), (["verify"], "as written")):
        assert run(tmp_path, ["cache", *words, pictures.folder.name], command="data")[0] == 0
        assert told in log(tmp_path)
    assert run(tmp_path, ["cache", "remove", pictures.folder.name], command="data")[0] == 0
    assert not pictures.folder.exists()


@pytest.mark.slow
def test_stored_features(three: Path, tiny_vae: Path, tmp_path: Path) -> None:
    probe = ("--model.model_name=small_cnn_probe", "--model.model_args={pretrained: false}")
    logits = []
    for features in ("none", "cache"):
        folder = tmp_path / features
        experiment = fit(folder, command(three, folder, tiny_vae, *probe, f"--data.features={features}"))
        logits.append(load_predictions(experiment / "window_2" / "predictions_validate_all.npz").fused_logits)
    np.testing.assert_allclose(*logits, atol=2e-3)


@pytest.mark.slow
def test_a_run_on_a_longer_timeline_has_the_windows_that_it_extends(made: Any, tiny_vae: Path, tmp_path: Path) -> None:
    names = [*PUBLISHED.names[:2], "Alpha"]
    data = made.write(tmp_path / "data", {"train": made.rows(names, 4, 15, 1), "validation": made.rows(names, 2, 8, 2)})
    (tmp_path / "longer.yaml").write_text("name: longer\nversion: '1'\ngenerators:\n  Alpha: 2025-01-01\n")
    base = fit(tmp_path, command(data, tmp_path, tiny_vae))
    longer = ("--timeline=longer.yaml", "--experiment_info.extends=x", "--experiment_info.experiment_id=y")
    extended = fit(tmp_path, command(data, tmp_path, tiny_vae, *longer)).with_name("experiment_y")
    assert "windows 0..1 are those of experiments_data/experiment_x" in log(tmp_path)
    assert ab.Experiment(extended).off_protocol == ab.Experiment(base).off_protocol != ()
    of_both = [[w.record["training_fingerprint"] for w in ab.Experiment(one).windows] for one in (base, extended)]
    assert of_both[0] == of_both[1][:2]


def marked(text: str) -> None:
    assert "off protocol" in text.replace("_", " "), text[-2000:]


@pytest.mark.slow
def test_every_number_says_that_it_is_off_protocol(
    three: Path, tiny_vae: Path, undisturbed: Path, tmp_path: Path
) -> None:
    folder = undisturbed / "experiments_data" / "experiment_x"
    (reason,) = ab.Experiment(folder).off_protocol
    assert f"off protocol: {reason}".startswith(REASON)
    assert load_predictions(folder / "window_1" / "predictions_validate_all.npz").off_protocol == (reason,)
    assert json.loads((folder / "window_1" / "run.json").read_text())["off_protocol"] == [reason]
    assert f"is {REASON}" in log(undisturbed)
    assert "window 1 of 0..2 (off protocol): AUROC" in log(undisturbed)
    assert ab.Experiment(folder).scores().off_protocol == (reason,)

    plain = tmp_path / "plain"
    other = fit(plain, arguments(three, plain, "--experiment_info.experiment_id=x"))
    assert ab.Experiment(other).off_protocol == ()
    other = other.rename(other.with_name("experiment_plain"))
    result = ab.compare(folder, other, replicates=20).to_dict()
    assert result["experiments"] == ["x (off protocol)", "plain"]
    assert result["results"]["x (off protocol)"]["off_protocol"] == [reason]
    assert any(note == f"x (off protocol): off protocol: {reason}" for note in result["notes"])
    ab.report(folder, other, output=tmp_path / "page.html", replicates=20, export=tmp_path / "tables")
    page = (tmp_path / "page.html").read_text()
    assert page.count("x (off protocol)") > 3
    marked(page.partition("</header>")[0])
    marked((tmp_path / "tables" / "headline.csv").read_text())
    with pytest.raises(InputError, match=r"experiment_x is off protocol: .*the leaderboard takes no such run"):
        make_submission(folder, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()

    for more in ((), ("--json",)):
        code, _ = run(
            undisturbed, [str(folder), "--families", "double_jpeg", "--windows", "0", *more], None, "robustness"
        )
        assert code == 0, log(undisturbed)[-2000:]
        marked(log(undisturbed).rpartition("evaluations are left to run")[2])
    assert load_predictions(next(folder.glob("robustness/*/*/predictions*.npz"))).off_protocol == (reason,)
    code, _ = run(undisturbed, command(three, undisturbed, tiny_vae), command="validate")
    assert code == 0, log(undisturbed)[-2000:]


@pytest.mark.slow
def test_the_mark_goes_with_the_weights(three: Path, tiny_vae: Path, undisturbed: Path, tmp_path: Path) -> None:
    folder = undisturbed / "experiments_data" / "experiment_x"
    start = next((folder / "window_0").rglob("*final.ckpt"))
    other = fit(tmp_path, arguments(three, tmp_path, f"--model.base_weights={start}"))
    (reason,) = ab.Experiment(folder).off_protocol
    (found,) = {p.off_protocol for p in map(load_predictions, other.glob("window_*/predictions*.npz"))}
    assert found == (reason,)

    network = ("--model.model_name=small_cnn_tune", "--model.model_args={pretrained: false}")
    small = tmp_path / "small"
    experiment = fit(small, command(three, small, tiny_vae, *network))
    detector = export(experiment, tmp_path / "detector")
    card = (detector / "README.md").read_text()
    assert f"trained {REASON}" in card
    assert "type: other" in card
    marked(card.partition("---\n\n")[0])
    foreign = evaluate(detector, three, tmp_path / "foreign", n_generators_per_window=1, workers=0)
    assert foreign.off_protocol == ab.Experiment(experiment).off_protocol
    assert foreign.scores().off_protocol == foreign.off_protocol
