"""`aigenbench data cache`: what is built is what fit reads; it is listed, checked and removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aigenbench.cli import main
from aigenbench.data.store import identity

FACTORY = """
from torch import nn
from aigenbench.models import ModelFactoryRegistry


def make(model_name, pretrained=True, **kwargs):
    if model_name != "cached_tune":
        return None
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, kwargs["num_classes"]))


ModelFactoryRegistry().register_model_factory("cached", make)
"""


@pytest.fixture
def run_arguments(small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a small run, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("factory.py").write_text(FACTORY)
    return [
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        "--import=factory.py",
        "--model.model_name=cached_tune",
        "--model.model_input_size=24",
        f"--dataset_path={small_dataset}",
        "--data.train_batch_size=8",
        "--data.num_workers=0",
        "--data.augmentation_factor=2",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--experiment_info.experiment_id=x",
        "--experiment_info.sliding_windows_definition.n_generators_per_window=2",
    ]


def stored() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("experiments_cache").glob("*/*"))}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["data", "cache", *arguments]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_what_is_built_is_what_fit_reads(
    run_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = printed(capsys, "build", *run_arguments, "--data.cache=all")
    # 24 evaluation images; 24 fakes and 24 reals, twice each
    assert "120 views stored" in said
    assert "GB more" in said
    built = stored()
    assert "0 views stored" in printed(capsys, "build", *run_arguments, "--data.cache", "all")

    def never(*_: Any) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr("aigenbench.data.samples.dataset.read_image", never)
    monkeypatch.setattr("aigenbench.data.views.views.read_image", never)
    assert main(["fit", *run_arguments, "--data.cache=all", "--data.num_workers=2"]) == 0
    assert stored() == built


def test_a_run_with_a_cache_is_the_run_without(run_arguments: list[str], tmp_path: Path) -> None:
    predictions = "experiments_data/experiment_x/window_2/predictions_validate_all.npz"
    assert main(["fit", *run_arguments]) == 0
    plain = Path(predictions).read_bytes()
    Path("experiments_data").rename("before")
    assert main(["fit", *run_arguments, "--data.cache=all"]) == 0
    assert Path(predictions).read_bytes() == plain
    # what is stored may change while a run goes on
    assert main(["fit", *run_arguments, "--data.cache=evaluation"]) == 0


def test_a_signal_stops_a_build_within_a_run_and_the_same_command_goes_on(
    run_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aigenbench.data.views import views

    monkeypatch.setattr("aigenbench.data.store.store.BLOCK_BYTES", 8 * 24 * 24 * 3)
    computed = []

    def read(table: Any, row: int, original: Any = views.read_image) -> Any:
        computed.append(row)
        if len(computed) == 18:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(table, row)

    monkeypatch.setattr(views, "read_image", read)
    # the first window has 16 images, of which each is stored twice: the signal comes in its evaluation's views
    assert main(["fit", *run_arguments, "--data.cache=all"]) == 128 + signal.SIGTERM
    assert "the same command with --experiment_info.experiment_id x goes on" in capsys.readouterr().err
    assert len(computed) == 24
    kept = stored()
    assert main(["fit", *run_arguments, "--data.cache=all"]) == 0
    assert kept.items() <= stored().items()
    assert len(computed) == 24 + 16 + 48 - 16


def test_shards_make_up_the_whole(
    run_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigenbench.data.store.store.BLOCK_BYTES", 10 * 24 * 24 * 3)
    counts = []
    for i in ("1/3", "3/3", "2/3"):
        said = printed(capsys, "build", "--shard", i, *run_arguments, "--data.cache=all")
        counts.append(int(re.search(r"(\d+) views stored", said)[1]))
    assert sum(counts) == 120
    assert min(counts) > 0
    assert "0 views stored" in printed(capsys, "build", *run_arguments, "--data.cache=all")


@pytest.mark.slow
def test_two_builds_at_once_do_the_work_once(run_arguments: list[str]) -> None:
    line = [sys.executable, "-m", "aigenbench", "data", "cache", "build", *run_arguments, "--data.cache=all"]
    children = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum(int(re.search(r"(\d+) views stored", output)[1]) for output in outputs) == 120


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/"])
def test_a_wrong_shard_is_told(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"expected i/n with 1 <= i <= n, such as 1/4, found '{shard}'" in printed(
        capsys, "build", "--shard", shard, code=2
    )


def test_a_build_of_nothing_and_wrong_arguments_are_told(
    run_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--data.cache evaluation or --data.cache all" in printed(capsys, "build", *run_arguments, code=2)
    assert "unknown argument --date.cache" in printed(capsys, "build", *run_arguments, "--date.cache=all", code=2)
    assert "unknown argument '--removed'; did you mean '--remove'" in printed(capsys, "verify", "--removed", code=2)
    for command in ("list", "verify"):
        assert "nothing is stored at experiments_cache" in printed(capsys, command, code=2)
    assert "or say --stale" in printed(capsys, "remove", code=2)


def test_list_verify_and_remove(
    run_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed(capsys, "build", *run_arguments, "--data.cache=all")
    said = printed(capsys, "list")
    names = re.findall(r"^(views_\w{16})  (\d+) rows, \S+ GB$", said, re.MULTILINE)
    assert sorted(int(rows) for _, rows in names) == [24, 96]
    assert "mandatory: MandatoryEvaluation" in said
    assert "first: BaselineTraining" in said
    assert said.count("seed: 4321") == 2
    assert printed(capsys, "verify").count("as written") == 2
    ((name, _), (other, _)) = names
    (path,) = Path("experiments_cache", name).glob("*.rows")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert f"{path}: its rows are not those it was written with (SHA-256)" in printed(capsys, "verify", code=1)
    assert "as written" in printed(capsys, "verify", other)
    assert "; removed" in printed(capsys, "verify", "--remove")
    assert not path.exists()
    assert "did you mean" in printed(capsys, "remove", name[:-1], code=2)
    printed(capsys, "remove", name)
    assert name not in printed(capsys, "list")
    assert "removed" not in printed(capsys, "remove", "--stale")
    monkeypatch.setattr(identity.np, "__version__", "1.0")
    assert ", stale" in printed(capsys, "list")
    printed(capsys, "remove", "--stale")
    assert printed(capsys, "list") == ""
