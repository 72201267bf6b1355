from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aigenbench.cli import main
from aigenbench.engine.slurm import gpus_of, limit_seconds

FIT = [
    "fit",
    "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    "--config=RN50_clip/RN50_clip_tune_resize.yaml",
    "--dataset_path=a b",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry_run(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["submit", *options, "--dry-run", "--", *FIT]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["submit", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    return lines[-1]


def test_the_script_asks_for_what_was_typed_and_runs_the_command(here, capsys):
    script = dry_run(
        capsys, "--partition=p", "--gres=gpu:a100:2", "--time=8:00:00", "--signal-lead=300", "--cpus=5", "--mem=64G"
    )
    directives = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert directives >= {
        "partition=p",
        "gres=gpu:a100:2",
        "time=8:00:00",
        "signal=USR1@300",
        "cpus-per-task=5",
        "mem=64G",
        "nodes=1",
        "ntasks-per-node=2",
        "requeue",
        "open-mode=append",
        f"output={here}/slurm_logs/%j_0_log.out",
    }
    assert not any(name.startswith(("array", "wckey")) for name in directives)
    command = next(line for line in script.splitlines() if line.startswith("srun"))
    assert command.endswith(f"-m aigenbench {' '.join(FIT[:3])} '--dataset_path=a b'")
    assert "--cpus-per-task=5" in command
    assert not (here / "slurm_logs").exists()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_each_task_of_an_array_adds_its_argument(here, capsys):
    script = dry_run(capsys, "--array-seeds", "1", "2", "3")
    assert "#SBATCH --array=0-2%3" in script
    # run by bash itself, with echo for srun
    said = subprocess.run(
        ["bash"],
        input=f'srun() {{ echo "${{@: -2}}"; }}\n{script}',
        env={"SLURM_ARRAY_TASK_ID": "1", "PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
        check=True,
    )
    assert said.stdout == "--dataset_path=a b --seed_everything=2\n"


def test_the_tasks_of_an_array_cannot_share_an_experiment(here, capsys):
    line = refused(capsys, "--array-seeds", "1", "2", "--dry-run", "--", *FIT, "--experiment_info.experiment_id=x")
    assert "cannot share experiment_id 'x'" in line


def test_submits_through_sbatch(here, capsys, monkeypatch):
    programs(here, monkeypatch, 'cp "$1" script; echo "Submitted batch job 41"')
    assert main(["submit", "--", *FIT]) == 0
    assert capsys.readouterr().out == "submitted job 41: experiment id 41, log slurm_logs/41_0_log.out\n"
    assert "#SBATCH --signal=USR1@120" in (here / "script").read_text()


def test_what_sbatch_refuses_is_one_line(here, capsys, monkeypatch):
    programs(here, monkeypatch, 'echo "sbatch: error: invalid partition specified: p" >&2; exit 1')
    assert "invalid partition specified: p" in refused(capsys, "--partition=p", "--", *FIT)


def programs(here: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    (here / "bin").mkdir()
    for name, body in (("sbatch", sbatch), ("srun", "exit 1")):
        (here / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (here / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dry-run"], "what to run comes last"),
        (["--dry-run", "--", "score", "x"], "what to run comes last"),
        (["--dry-run", "--time=3", "--signal-lead=120", "--", *FIT], "found 120 s of 180 s"),
        (["--dry-run", "--nodes=2", "--", *FIT], "expected --trainer.num_nodes=2"),
        (["--dry-run", "--gres=gpu:2", "--", *FIT, "--trainer.devices=4"], "expected --trainer.devices=2, found 4"),
        (["--dry-run", "--", *FIT, "--trainer.max_epoch=3"], "max_epochs"),
        (["--partitio=p", "--", *FIT], "--partition"),
    ],
)
def test_bad_input_is_told_before_anything_is_queued(here, capsys, arguments, said):
    assert said in refused(capsys, *arguments)


def test_without_sbatch_it_says_so(here, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(here))
    assert "no sbatch" in refused(capsys, "--", *FIT)


def test_without_submitit_it_names_the_extra(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit.slurm", None)
    assert "aigenbench[slurm]" in refused(capsys, "--dry-run", "--", *FIT)


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [(None, 0), ("gpu", 1), ("gpu:4", 4), ("gpu:a100:2", 2), ("gpu:a100", 1), ("gpu:2(S:0-1)", 2), ("shard:3", 0)],
)
def test_gpus_of(gres, gpus):
    assert gpus_of(gres) == gpus


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("90", 5400),
        ("2:30", 150),
        ("8:00:00", 28800),
        ("1-0", 86400),
        ("1-2:30", 95400),
        ("1-0:0:5", 86405),
        ("0", None),
        ("UNLIMITED", None),
    ],
)
def test_limit_seconds(time, seconds):
    assert limit_seconds(time) == seconds


def test_options_of_an_array_exclude_each_other(here, capsys):
    assert "not allowed with" in refused(capsys, "--array-seeds", "1", "--array-configs", "a.yaml", "--", *FIT)
