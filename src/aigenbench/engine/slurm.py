"""The batch job for SLURM that runs `fit` and requeues itself: its script, and handing it in."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError

LOGS = Path("slurm_logs")
LEAD_SECONDS = 120


@dataclass(frozen=True)
class Job:
    """What a job asks of SLURM.

    Attributes:
        partition: of the cluster; None takes the site's own.
        gres: generic resources of a node, such as ``gpu:2``.
        time: limit of one stretch, as sbatch takes it.
        signal_lead: seconds before the limit at which the run is asked to stop.
        cpus: of a task.
        mem: of a node.
        nodes: how many.
        tasks_per_node: likewise; None takes the GPUs of ``gres``, or 1.
        variants: the argument that each task of an array adds; empty where the job is no array.
    """

    partition: str | None = None
    gres: str | None = None
    time: str | None = None
    signal_lead: int = LEAD_SECONDS
    cpus: int | None = None
    mem: str | None = None
    nodes: int = 1
    tasks_per_node: int | None = None
    variants: tuple[str, ...] = ()

    @property
    def tasks(self) -> int:
        """Tasks of a node."""
        return self.tasks_per_node or gpus_of(self.gres) or 1

    def check(self) -> None:
        """Refuse a signal that would come too early.

        Raises:
            InputError: the lead is no part of the time limit.
        """
        limit = limit_seconds(self.time) if self.time else None
        # SLURM may signal a minute early; a job signalled at its start would requeue itself for ever
        if self.signal_lead < 1 or (limit is not None and self.signal_lead + 60 >= limit):
            raise InputError(
                "--signal-lead must be at least 1 second and leave more than a minute of --time, found "
                f"{self.signal_lead} s{f' of {limit} s' if limit else ''}"
            )

    def check_runs(self, config_of: Callable[[str | None], ResolvedConfig]) -> str | None:
        """Resolve every task's configuration now and not after hours in the queue; returns the experiment id given.

        Args:
            config_of: gives the configuration under a variant, or under none.

        Raises:
            InputError: a configuration is wrong, or does not fit the job.
        """
        for variant in self.variants or (None,):
            config = config_of(variant)
            experiment_id: str | None = (config["experiment_info"] or {}).get("experiment_id")
            if self.variants and experiment_id:
                raise InputError(
                    f"the tasks of an array cannot share experiment_id {experiment_id!r}: leave it out, and each is "
                    "named <job>_<task>"
                )
            check_devices(config["trainer"] or {}, self.nodes, self.tasks)
        return experiment_id

    def script_parameters(self) -> dict[str, Any]:
        """What submitit's script writer is told, under its own names."""
        parameters: dict[str, Any] = {
            "job_name": "aigenbench",
            "partition": self.partition,
            "gres": self.gres,
            "time": self.time,
            "cpus_per_task": self.cpus,
            "mem": self.mem,
            "nodes": self.nodes,
            "ntasks_per_node": self.tasks,
            "stderr_to_stdout": True,
            # submitit's own accounting key, which sites that check keys would refuse
            "wckey": None,
            # SIGUSR1 to the steps, so to Python: sent to the batch shell (`B:`), it would end the shell
            "additional_parameters": {"requeue": True, "signal": f"USR1@{self.signal_lead}"},
            # requeued, a job goes on with its log; srun does not take the CPUs of a task from sbatch (SLURM >= 22.05)
            # a task that fails ends the others, which would wait for it
            "srun_args": [
                "--open-mode=append",
                "--kill-on-bad-exit=1",
                *([f"--cpus-per-task={self.cpus}"] if self.cpus else []),
            ],
        }
        if self.variants:
            parameters["setup"] = [f"variants=({shlex.join(self.variants)})"]
            parameters["map_count"] = len(self.variants)
        return parameters


def script(job: Job, command: Sequence[str]) -> str:
    """The batch script that runs `aigenbench COMMAND`.

    Raises:
        InputError: submitit is not installed.
    """
    line = shell_command(command, job.variants)
    text: str = submitit_slurm()._make_sbatch_string(command=line, folder=LOGS, **job.script_parameters())
    return text


def gpus_of(gres: str | None) -> int:
    """How many GPUs of a node ``--gres`` asks for: ``gpu``, ``gpu:4``, ``gpu:a100:4``, and others after commas."""
    counted = 0
    for one in (gres or "").split(","):
        name, *rest = re.sub(r"\(.*", "", one).split(":")
        if name == "gpu":
            counted += int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return counted


def aigenbench_command(command: Sequence[str]) -> list[str]:
    """What runs a command: this Python, not what is first on a node's PATH or in the current folder."""
    return [sys.executable, "-u", "-P", "-m", "aigenbench", *command]


def shell_command(command: Sequence[str], variants: Sequence[str]) -> str:
    """The shell's command for srun."""
    line = shlex.join(aigenbench_command(command))
    return line + ' "${variants[$SLURM_ARRAY_TASK_ID]}"' if variants else line


def limit_seconds(time: str) -> int | None:
    """SLURM's ``--time`` in seconds; None where it is no number (``UNLIMITED``), 0 (which means none) or malformed."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time)
    if found is None:
        return None
    days, *rest = found.groups()
    numbers = [int(n) for n in rest if n is not None]
    # with days the first number is hours; without, one or two numbers begin with minutes
    units = (3600, 60, 1) if days is not None or len(numbers) == 3 else (60, 1)
    total = int(days or 0) * 86400 + sum(n * unit for n, unit in zip(numbers, units, strict=False))
    return total or None


def check_devices(trainer: Mapping[str, Any], nodes: int, tasks_per_node: int) -> None:
    """What Lightning would refuse once the job runs."""
    if int(trainer.get("num_nodes") or 1) != nodes:
        raise InputError(f"--nodes is {nodes}: expected --trainer.num_nodes={nodes}, found {trainer.get('num_nodes')}")
    devices = trainer.get("devices")
    count = len(devices) if isinstance(devices, (list, tuple)) else devices
    if str(count).isdigit() and int(str(count)) != tasks_per_node:
        raise InputError(f"{tasks_per_node} tasks a node: expected --trainer.devices={tasks_per_node}, found {devices}")


def submitit_slurm() -> Any:
    """The writer of scripts.

    Raises:
        InputError: submitit is not installed.
    """
    try:
        from submitit.slurm import slurm
    except ImportError:
        raise InputError("submit needs submitit: pip install aigenbench[slurm]") from None
    return slurm


def submit(job: Job, command: Sequence[str]) -> str:
    """Hand the script to sbatch; returns the job id.

    Submitit writes the script and submits it, but does not wrap the run as it does Python functions: its wrapper
    (also around a ``CommandFunction``) takes SIGUSR1 for itself and ends the command before that has its checkpoint.
    Without the wrapper the signal reaches the run, which requeues the job itself.

    Raises:
        InputError: sbatch refuses; what it says.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    LOGS.mkdir(exist_ok=True)
    executor = submitit_slurm().SlurmExecutor(LOGS)
    executor.parameters.update(job.script_parameters())
    try:
        return str(executor._submit_command(shell_command(command, job.variants)).job_id)
    except (FailedJobError, FailedSubmissionError) as error:
        raise InputError(f"sbatch: {' '.join(str(error).split())}") from error
