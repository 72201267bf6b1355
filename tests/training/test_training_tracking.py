"""Weights & Biases: a run a window, whose steps run on over restarts and of which no point is logged twice."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
from pathlib import Path

import pytest
from training_harness import Events, arguments, run

from aigenbench.training.lightning.tracking import has_login

# as much of the package as Lightning's logger uses; every run is a file
WANDB = """
import json
from pathlib import Path

run = None


class Run:
    def __init__(self, **given):
        self.id, self.name, self.given, self.summary = given["id"], given["name"], given, {}
        self.config = self
        self.write({"init": {key: value for key, value in given.items() if key != "dir"}})

    def write(self, record):
        Path("wandb_runs").mkdir(exist_ok=True)
        with Path("wandb_runs", f"{self.id}.jsonl").open("a") as lines:
            lines.write(json.dumps(record) + chr(10))

    def define_metric(self, *args, **kwargs):
        pass

    def update(self, *args, **kwargs):
        pass

    def log(self, values, step=None):
        self.write(values)


def init(**given):
    import os

    global run
    run = Run(group=os.environ.get("WANDB_RUN_GROUP"), mode=os.environ.get("WANDB_MODE"), **given)
    return run


def finish():
    global run
    run.write({"finish": True})
    run = None
"""


def install_fake(folder: Path) -> str:
    """Write the package; returns the argument that puts it first on a child's path."""
    site = folder / "site"
    for path, text in {
        "wandb/__init__.py": WANDB,
        "wandb/sdk/__init__.py": "",
        "wandb/sdk/lib/__init__.py": "class RunDisabled:\n    pass\n",
        "wandb/wandb_run.py": "from wandb import Run\n",
        "wandb-0.20.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: wandb\nVersion: 0.20.0\n",
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    (folder / "path_first.py").write_text(f"import sys\n\nsys.path.insert(0, {str(site)!r})\n")
    return f"--import={folder / 'path_first.py'}"


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_where_a_login_is_found(logged_out, monkeypatch, tmp_path: Path) -> None:
    assert not has_login()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 0123\n")
    assert has_login()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not has_login()
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert has_login()


@pytest.mark.slow
def test_a_run_a_window_without_doubled_points_over_restarts(made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=3, fakes_each=6)
    more = [install_fake(tmp_path), "--trainer.logger=WandbLogger", "--trainer.max_epochs=2"]
    more.append("--experiment_info.checkpoint_every_n_steps=3")
    argv = arguments(dataset, tmp_path, *more)
    with (tmp_path / "path_first.py").open("a") as path_first:
        path_first.write(LOGGED_OUT)
    kills = (95, 60, 45, 90, 70, 110)
    for kill_at in (*kills, None):
        code, _ = run(tmp_path, argv, Events(kill_at=kill_at))
        if code == 0:
            break
        assert code == -signal.SIGKILL, (tmp_path / "log.txt").read_text()[-3000:]
    assert code == 0
    log = (tmp_path / "log.txt").read_text()
    assert "no login found, its runs are kept offline" in log
    files = sorted((tmp_path / "wandb_runs").iterdir())
    assert len(files) == 3
    last = -1
    for k, path in enumerate(files):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        begun = [record["init"] for record in records if "init" in record]
        assert {(b["group"], b["name"], b["resume"]) for b in begun} == {
            ("experiment_x", f"experiment_x/window_{k}", "allow")
        }
        assert begun[0]["mode"] == "dryrun"
        losses = [record["trainer/global_step"] for record in records if "train/loss" in record]
        assert losses == list(range(last + 1, last + 1 + len(losses))), "steps run on, each is logged once"
        last = losses[-1]
        evaluations = [record["trainer/global_step"] for record in records if "validate/growing/auroc" in record]
        assert len(evaluations) == 2 == len(set(evaluations))


LOGGED_OUT = """
import os

for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_RUN_GROUP"):
    os.environ.pop(name, None)
os.environ.update(NETRC="/nowhere", HOME="/nowhere")
"""


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed here")
def test_a_run_goes_on_without_a_package_that_is_not_installed_and_tells_its_extra(made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    code, _ = run(tmp_path, arguments(dataset, tmp_path, "--trainer.logger=WandbLogger"))
    log = (tmp_path / "log.txt").read_text()
    assert code == 0, log[-3000:]
    assert log.count("pip install 'aigenbench[wandb]'") == 1


def test_a_config_that_forbids_uploads_is_obeyed() -> None:
    from aigenbench.engine.assembly.run import complete

    for configured, known, expected in ((True, False, True), (False, True, True), (False, False, False)):
        node = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"offline": configured}}
        complete(node, {"WandbLogger": {"offline": known, "name": "x"}})
        assert node["init_args"] == {"offline": expected, "name": "x"}


@pytest.mark.slow
def test_two_experiments_that_would_cut_each_others_curves(small_dataset: Path, tmp_path: Path) -> None:
    more = ["--trainer.logger=TensorBoardLogger", f"--trainer.logger.save_dir={tmp_path / 'logs'}"]
    more.append("--experiment_info.sliding_windows_definition.current_window=0")
    one, other = (arguments(small_dataset, tmp_path / name, *more) for name in ("one", "other"))
    assert run(tmp_path / "one", one)[0] == 0
    before = curves_in(tmp_path)
    assert run(tmp_path / "other", other)[0] == 2
    # both are experiment_x, each in a folder of its own
    assert "holds the curves of" in (tmp_path / "other" / "log.txt").read_text()
    assert curves_in(tmp_path) == before
    # one that is no more holds no place
    shutil.rmtree(tmp_path / "one")
    assert run(tmp_path / "other", other)[0] == 0


def curves_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "logs").rglob("events.out.tfevents.*")}
