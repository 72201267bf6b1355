"""Several processes stop together, and go on as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import SignalledAt, arguments, free_port, outcome, run, run_together

from aigenbench.training.processes.collectives import RANK_VARIABLES, is_first_process, largest

EVALUATED = 12
"""Images; with a batch of 1, six batches for each of two processes."""


def pair(dataset: Path, folder: Path, *more: str) -> list[str]:
    return arguments(dataset, folder, "--data.train_batch_size=2", "--data.eval_batch_size=1", *more)


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(three: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What two processes leave that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    results = run_together(folder, pair(three, folder))
    assert [code for code, _ in results] == [0, 0], (folder / "log.txt").read_text()[-3000:]
    return outcome(folder)


def state(folder: Path, window: int) -> dict:
    path = folder / "experiments_data" / "experiment_x" / f"window_{window}" / "state.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("variable", RANK_VARIABLES)
def test_who_is_first(monkeypatch, variable: str) -> None:
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv(variable, "0")
    assert is_first_process()
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()


def test_one_process_agrees_with_itself() -> None:
    assert largest(7) == 7


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_at_the_same_step(
    three: Path, undisturbed: dict, tmp_path: Path, rank: int
) -> None:
    argv = pair(three, tmp_path)
    # after the third part of a batch, one optimizer step is done and the second under way
    results = run_together(tmp_path, argv, events={rank: SignalledAt("training", 1, 3, signal.SIGUSR1)})
    log = (tmp_path / "log.txt").read_text()
    assert [code for code, _ in results] == [128 + signal.SIGUSR1, 0], log[-3000:]
    assert "Traceback" not in log + (tmp_path / "log_1.txt").read_text()
    assert "stopped by SIGUSR1" in log
    assert state(tmp_path, 1)["steps"] == 2
    assert [code for code, _ in run_together(tmp_path, argv)] == [0, 0]
    assert outcome(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_ends_an_evaluation_of_several_processes_at_once(
    three: Path, undisturbed: dict, tmp_path: Path, rank: int
) -> None:
    argv = pair(three, tmp_path)
    at_second, never = (SignalledAt("evaluation", 2, at, signal.SIGTERM) for at in (2, 1000))
    results = run_together(tmp_path, argv, events={rank: at_second, 1 - rank: never})
    log = (tmp_path / "log.txt").read_text()
    assert [ended for ended, _ in results] == [128 + signal.SIGTERM, 0], log[-3000:]
    assert "Traceback" not in log + (tmp_path / "log_1.txt").read_text()
    assert [count for _, count in results] == [2, 2], f"batches evaluated, of {EVALUATED // 2}"
    assert state(tmp_path, 2)["evaluated"] == 0
    assert [ended for ended, _ in run_together(tmp_path, argv)] == [0, 0]
    assert outcome(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_process_is_told_once_with_all_images(three: Path, tmp_path: Path) -> None:
    more = ["--model.optimizer.init_args.lr=1e30", "--model.scheduler=null"]
    results = run_together(tmp_path, pair(three, tmp_path, *more))
    log = (tmp_path / "log.txt").read_text()
    assert results[0][0] == 2, log[-3000:]
    assert log.count("the loss is not a finite number") == 1
    ids = np.array(json.loads(log.partition("image ids ")[2].partition(")")[0]))
    assert len(ids) == 8, "two parts of two images from each process, 8 in all"
    assert "not a finite number" not in (tmp_path / "log_1.txt").read_text()


@pytest.mark.slow
def test_two_nodes_under_torchrun_share_one_experiment(made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    more = ["--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2"]
    argv = [a for a in pair(dataset, tmp_path, *more) if "experiment_id" not in a]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    nodes = [
        subprocess.Popen(
            [*torchrun, f"--node-rank={k}", "-m", "aigenbench", "fit", *argv],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in (1, 0)
    ]
    second, first = (node.communicate(timeout=240)[0] for node in nodes)
    assert [node.returncode for node in nodes] == [0, 0], first[-3000:] + second[-3000:]
    # the id was chosen once, and one process spoke
    assert [path.name for path in (tmp_path / "experiments_data").iterdir()] == ["experiment_0"]
    assert first.count("optimizer steps in") == 2
    assert "aigenbench:" not in second
    # and two windows were trained like those of two processes of one node
    assert run_together(tmp_path, [*argv, "--experiment_info.experiment_id=x"])[0][0] == 0
    of_nodes, of_one = (tmp_path / "experiments_data" / f"experiment_{name}" for name in ("0", "x"))
    for k in range(2):
        a, b = (torch.load(e / f"window_{k}/final.ckpt", weights_only=True)["state_dict"] for e in (of_nodes, of_one))
        assert all(torch.equal(a[name], b[name]) for name in a)
        a, b = (np.load(e / f"window_{k}/predictions_validate_all.npz") for e in (of_nodes, of_one))
        assert all(np.array_equal(a[name], b[name]) for name in ("fused_identifiers", "fused_logits", "pairing"))


def test_several_nodes_without_a_launcher_need_an_id(made, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    argv = [a for a in arguments(dataset, tmp_path, "--trainer.num_nodes=2") if "experiment_id" not in a]
    assert run(tmp_path, argv)[0] == 2
    assert "give --experiment_info.experiment_id, the same on every node" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_processes_of_one_launcher_choose_one_id(three: Path, tmp_path: Path) -> None:
    argv = [a for a in pair(three, tmp_path) if "experiment_id" not in a]
    (tmp_path / "experiments_data" / "experiment_0").mkdir(parents=True)
    results = run_together(tmp_path, argv, processes=2, nodes=2)
    assert [code for code, _ in results] == [0, 0], (tmp_path / "log.txt").read_text()[-3000:]
    assert sorted(path.name for path in (tmp_path / "experiments_data").iterdir()) == ["experiment_0", "experiment_1"]
