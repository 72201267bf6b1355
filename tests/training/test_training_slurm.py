"""Requeueing: with a made-up scontrol, and on a real SLURM of one node where one can be started."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from training_harness import arguments, outcome, run, run_together

from aigenbench.training.processes import slurm

SINGLE_NODE = Path(__file__).parents[1] / "slurm" / "single-node"
PROGRAMS = ("sbatch", "scontrol", "slurmctld", "slurmd", "munged")
VARIABLES = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "RANK", "LOCAL_RANK")
RUNNING = "JobId=17 JobName=x JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1"


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a made-up scontrol on the PATH, alone; returns the file that lists its calls."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr(slurm, "OTHERS_WAIT_SECONDS", 0.0)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(job: str = RUNNING, requeue: str = "exit 0") -> Path:
        program = folder / "scontrol"
        program.write_text(
            f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\ncase $1 in show) echo "{job}" ;; requeue) {requeue} ;; esac\n'
        )
        program.chmod(0o755)
        (tmp_path / "calls").touch()
        return tmp_path / "calls"

    former = {number: signal.getsignal(number) for number in slurm.SIGNALS}
    yield make
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stopped_batch_job_is_requeued_and_says_so(scontrol, caplog, number: int) -> None:
    calls = scontrol()
    with caplog.at_level(logging.INFO):
        slurm.after_stop(number)
    assert calls.read_text().splitlines() == ["show job --oneliner 17", "requeue 17"]
    assert [r.message for r in caplog.records] == [
        "SLURM job 17: back in the queue; it goes on from here when it starts again"
    ]
    # the requeue ends the job by a SIGTERM to every process
    assert all(signal.getsignal(ours) is signal.SIG_IGN for ours in slurm.SIGNALS)


def test_a_task_of_an_array_is_requeued_alone(scontrol, monkeypatch) -> None:
    # the last task's SLURM_JOB_ID is that of the whole array
    calls = scontrol()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    slurm.after_stop(signal.SIGUSR1)
    assert calls.read_text().splitlines()[-1] == "requeue 17_3"


@pytest.mark.parametrize("variable", ["SLURM_PROCID", "RANK", "LOCAL_RANK"])
def test_only_the_first_process_requeues(scontrol, monkeypatch, variable: str) -> None:
    calls = scontrol()
    monkeypatch.setenv(variable, "1")
    slurm.after_stop(signal.SIGUSR1)
    assert calls.read_text() == ""


def test_neither_ctrl_c_nor_a_run_outside_slurm_requeues(scontrol, monkeypatch) -> None:
    calls = scontrol()
    slurm.after_stop(signal.SIGINT)
    monkeypatch.delenv("SLURM_JOB_ID")
    slurm.after_stop(signal.SIGTERM)
    assert calls.read_text() == ""
    with slurm.stops_before_the_run():
        assert signal.getsignal(signal.SIGUSR1) is not slurm._stop_at_once


@pytest.mark.parametrize(
    ("job", "requeued"),
    [
        (RUNNING.replace("BatchFlag=1", "BatchFlag=0"), False),
        (RUNNING.replace("RUNNING", "COMPLETING"), False),
        (RUNNING.replace("RUNNING", "COMPLETING").replace("Reason=None", "Reason=TimeLimit"), True),
        (RUNNING.replace("RUNNING", "PREEMPTED"), True),
        (RUNNING.replace("RUNNING", "CANCELLED"), False),
    ],
)
def test_interactive_and_cancelled_jobs_are_left_alone(scontrol, caplog, job: str, requeued: bool) -> None:
    calls = scontrol(job)
    with caplog.at_level(logging.INFO):
        slurm.after_stop(signal.SIGTERM)
    assert ("requeue 17" in calls.read_text()) == requeued
    assert ("not requeued" in caplog.text) != requeued


def test_a_failing_scontrol_is_one_warning(scontrol, caplog) -> None:
    scontrol(requeue="echo 'Requested operation is presently disabled' >&2; exit 1")
    slurm.after_stop(signal.SIGTERM)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "cannot requeue it (scontrol requeue: Requested operation is presently disabled)" in caplog.text


def test_a_missing_scontrol_is_one_warning(scontrol, caplog) -> None:
    slurm.after_stop(signal.SIGTERM)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "there is no scontrol on the PATH" in caplog.text


def test_a_signal_before_the_run_listens_requeues(scontrol, tmp_path: Path) -> None:
    calls = scontrol()
    program = (
        "import os, signal, time\nfrom aigenbench.training.processes.slurm import stops_before_the_run\n"
        "with stops_before_the_run():\n    os.kill(os.getpid(), signal.SIGUSR1)\n    time.sleep(10)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == 128 + signal.SIGUSR1
    assert calls.read_text().splitlines()[-1] == "requeue 17"


@pytest.fixture(scope="module")
def single_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which SLURM's commands reach a real SLURM of one node."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and Debian's slurm-wlm and munge; missing: {', '.join(missing) or 'root'}")
    folder = tmp_path_factory.mktemp("slurm")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "AIGENBENCH_EXP"))},
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "SLURM_CONF": str(folder / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
    }
    # its daemons keep the streams they are given
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([SINGLE_NODE, "start", folder], env=environment, check=True, timeout=120, **streams)
    try:
        yield environment
    finally:
        subprocess.run([SINGLE_NODE, "stop", folder], env=environment, check=True, timeout=120, **streams)


class Job:
    """A submitted run on the real SLURM."""

    def __init__(self, environment: dict[str, str], folder: Path, argv: list[str], *options: str) -> None:
        self.environment, self.folder = environment, folder
        command = [
            sys.executable,
            "-m",
            "aigenbench",
            "submit",
            "--time=30",
            "--signal-lead=60",
            *options,
            "--",
            "fit",
            *argv,
        ]
        said = self.say(*command, cwd=folder)
        found = re.match(r"submitted job (\d+): experiment id x, log (\S+)", said)
        assert found is not None, said
        self.id, self.log = found[1], folder / found[2]

    def say(self, *command: str, **options: object) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def field(self, name: str) -> str:
        """A field of what scontrol shows of the job."""
        shown = self.say("scontrol", "show", "job", "--oneliner", self.id)
        return re.findall(rf"\b{name}=(\S+)", shown)[0]

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = 180) -> None:
        """Until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waiting for {what}:\n{self.logged()[-3000:]}"
            time.sleep(0.05)

    def preempt(self, number: str, restarts: int) -> None:
        """Signal the job as a time limit or a preemption does; let it start again soon."""
        self.say("scancel", f"--signal={number}", self.id)
        self.wait("the requeue", lambda: self.field("Restarts") == str(restarts))
        self.wait("its end", lambda: self.field("JobState") == "PENDING")
        # slurmd remembers by the second when it ended the job, and fails one that starts within that very second as
        # "already killed"; SLURM itself therefore lets two minutes pass
        self.say("scontrol", "update", f"jobid={self.id}", "starttime=now+3")


HOLD = """
import pathlib, time

if pathlib.Path("hold").exists():
    pathlib.Path("holding").touch()
    time.sleep(300)
"""


@pytest.mark.slow
def test_preempted_and_requeued_a_run_ends_like_an_undisturbed_one(single_node, made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=3, fakes_each=8)
    more = ("--trainer.max_epochs=8", "--trainer.check_val_every_n_epoch=4")
    undisturbed, preempted = tmp_path / "undisturbed", tmp_path / "preempted"
    assert run(undisturbed, arguments(dataset, undisturbed, *more))[0] == 0, (undisturbed / "log.txt").read_text()

    argv = arguments(dataset, preempted, *more)
    with (preempted / "tiny_model.py").open("a") as factory:
        factory.write(HOLD)
    job = Job(single_node, preempted, argv)
    windows = preempted / "experiments_data" / "experiment_x"
    job.wait("window 0", lambda: any(windows.glob("window_0/epoch_*.ckpt")))
    job.preempt("USR1", 1)
    job.wait("window 1", lambda: any(windows.glob("window_1/epoch_*.ckpt")))
    (preempted / "hold").touch()
    job.preempt("TERM", 2)
    # the third start is asked to stop while it still imports
    job.wait("its third start", (preempted / "holding").exists)
    (preempted / "hold").unlink()
    job.preempt("USR1", 3)
    # a job that is being requeued is FAILED for a moment
    job.wait("its end", lambda: job.field("JobState") == "COMPLETED")

    assert job.logged().count("back in the queue") == 3
    assert job.logged().count("stopped by SIG") == 2
    assert outcome(preempted) == outcome(undisturbed)


@pytest.mark.slow
def test_two_tasks_are_preempted_and_go_on_together(single_node, made, tmp_path: Path) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two processors")
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=8)
    undisturbed, preempted = tmp_path / "undisturbed", tmp_path / "preempted"
    more = ("--data.train_batch_size=2", "--trainer.max_epochs=12", "--trainer.check_val_every_n_epoch=6")
    together = run_together(undisturbed, arguments(dataset, undisturbed, *more))
    assert [code for code, _ in together] == [0, 0], (undisturbed / "log.txt").read_text()[-3000:]

    job = Job(single_node, preempted, arguments(dataset, preempted, *more, "--trainer.devices=2"), "--tasks-per-node=2")
    window = preempted / "experiments_data" / "experiment_x" / "window_0"
    job.wait("window 0", lambda: any(window.glob("epoch_*.ckpt")))
    job.preempt("USR1", 1)
    job.wait("its end", lambda: job.field("JobState") == "COMPLETED")

    assert job.logged().count("back in the queue") == 1
    # the second task has a log of its own, and nothing to say
    assert "aigenbench:" not in job.log.with_name(f"{job.id}_1_log.out").read_text()
    assert outcome(preempted) == outcome(undisturbed)


@pytest.mark.slow
def test_a_cancelled_job_stays_cancelled(single_node, made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=8)
    job = Job(single_node, tmp_path, arguments(dataset, tmp_path, "--trainer.max_epochs=1000"))
    job.wait("training", lambda: any(tmp_path.glob("experiments_data/experiment_x/window_0/epoch_*.ckpt")))
    job.say("scancel", job.id)
    job.wait("its end", lambda: job.field("JobState") not in ("RUNNING", "COMPLETING"))
    assert job.field("JobState") == "CANCELLED"
    assert "not requeued" in job.logged()
