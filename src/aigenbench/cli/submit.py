"""`aigenbench submit ... -- fit ...`: a batch job for SLURM that requeues itself until the run is finished."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError

LOGS = Path("slurm_logs")
LEAD_SECONDS = 120


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "submit",
        usage="aigenbench submit [options] -- fit ARGUMENTS",
        help="a batch job for SLURM",
        description="Write and submit a SLURM batch script that runs `aigenbench fit ARGUMENTS`. Before its time "
        "limit, and where it is preempted, the job checkpoints, requeues itself and goes on where it stopped.",
    )
    parser.add_argument("--partition", metavar="P")
    parser.add_argument("--gres", metavar="G", help="such as gpu:2; each GPU gets a task")
    parser.add_argument("--time", metavar="T", help="time limit of one stretch, as sbatch takes it: 60, 8:00:00, 1-0")
    parser.add_argument(
        "--signal-lead",
        type=int,
        default=LEAD_SECONDS,
        metavar="SECONDS",
        help="how long before the time limit to stop: an optimizer step and a checkpoint fit in "
        f"(default {LEAD_SECONDS})",
    )
    parser.add_argument("--cpus", type=int, metavar="N", help="CPUs of a task: its data workers and one")
    parser.add_argument("--mem", metavar="M", help="memory of a node, such as 64G")
    parser.add_argument("--nodes", type=int, default=1, metavar="N")
    parser.add_argument("--tasks-per-node", type=int, metavar="N", help="default: the GPUs of --gres, or 1")
    array = parser.add_mutually_exclusive_group()
    array.add_argument("--array-configs", nargs="+", metavar="FILE", help="a task a config, merged after the others")
    array.add_argument("--array-seeds", nargs="+", type=int, metavar="SEED", help="a task a seed_everything")
    parser.add_argument("--dry-run", action="store_true", help="print the script; submit nothing")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- fit ARGUMENTS")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Submit, or print the script."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if command[:1] != ["fit"]:
        raise InputError(f"what to run comes last: aigenbench submit [options] -- fit ARGUMENTS; found {command[:1]}")
    tasks = args.tasks_per_node or gpus_of(args.gres) or 1
    _check_lead(args.signal_lead, args.time)
    submitit = _submitit()
    if not args.dry_run and not (shutil.which("sbatch") and shutil.which("srun")):
        raise InputError("there is no sbatch or no srun on the PATH: submit from a login node, or see --dry-run")
    variants = variants_of(args)
    given_id = _check_runs(command[1:], variants, args.nodes, tasks)
    parameters = script_parameters(args, tasks, variants)
    line = shell_command(command, variants)
    if args.dry_run:
        print(submitit._make_sbatch_string(command=line, folder=LOGS, **parameters))
        return 0
    LOGS.mkdir(exist_ok=True)
    job = _submit(submitit, line, parameters)
    experiment = given_id or (f"{job}_<task>" if variants else job)
    log = LOGS / (f"{job}_<task>_0_log.out" if variants else f"{job}_0_log.out")
    print(f"submitted job {job}: experiment id {experiment}, log {log}")
    return 0


def gpus_of(gres: str | None) -> int:
    """How many GPUs of a node ``--gres`` asks for: ``gpu``, ``gpu:4``, ``gpu:a100:4``, and others after commas."""
    counted = 0
    for one in (gres or "").split(","):
        name, *rest = re.sub(r"\(.*", "", one).split(":")
        if name == "gpu":
            counted += int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return counted


def variants_of(args: argparse.Namespace) -> list[str]:
    """The argument that each task of an array adds; empty where the job is no array."""
    if args.array_configs:
        return [f"--config={path}" for path in args.array_configs]
    return [f"--seed_everything={seed}" for seed in args.array_seeds or ()]


def script_parameters(args: argparse.Namespace, tasks_per_node: int, variants: Sequence[str]) -> dict[str, Any]:
    """What submitit's script writer is told, under its own names."""
    parameters: dict[str, Any] = {
        "job_name": "aigenbench",
        "partition": args.partition,
        "gres": args.gres,
        "time": args.time,
        "cpus_per_task": args.cpus,
        "mem": args.mem,
        "nodes": args.nodes,
        "ntasks_per_node": tasks_per_node,
        "stderr_to_stdout": True,
        # submitit's own accounting key, which sites that check keys would refuse
        "wckey": None,
        # SIGUSR1 to the steps, so to Python: sent to the batch shell (`B:`), it would end the shell
        "additional_parameters": {"requeue": True, "signal": f"USR1@{args.signal_lead}"},
        # requeued, a job goes on with its log; srun does not take the CPUs of a task from sbatch (SLURM >= 22.05)
        # a task that fails ends the others, which would wait for it
        "srun_args": [
            "--open-mode=append",
            "--kill-on-bad-exit=1",
            *([f"--cpus-per-task={args.cpus}"] if args.cpus else []),
        ],
    }
    if variants:
        parameters["setup"] = [f"variants=({shlex.join(variants)})"]
        parameters["map_count"] = len(variants)
    return parameters


def shell_command(command: Sequence[str], variants: Sequence[str]) -> str:
    """The shell's command for srun: this Python, not what is first on a node's PATH or in the current folder."""
    line = shlex.join([sys.executable, "-u", "-P", "-m", "aigenbench", *command])
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


def _check_lead(lead: int, time: str | None) -> None:
    limit = limit_seconds(time) if time else None
    # SLURM may signal a minute early; a job signalled at its start would requeue itself for ever
    if lead < 1 or (limit is not None and lead + 60 >= limit):
        raise InputError(
            f"--signal-lead must be at least 1 second and leave more than a minute of --time, found {lead} s"
            f"{f' of {limit} s' if limit else ''}"
        )


def _check_runs(argv: Sequence[str], variants: Sequence[str], nodes: int, tasks_per_node: int) -> str | None:
    """Resolve every task's configuration now and not after hours in the queue; returns the experiment id given."""
    from aigenbench.cli.parser import asked_for

    for variant in variants or [""]:
        config = asked_for([*argv, *([variant] if variant else [])], "fit").resolved()
        experiment_id: str | None = (config["experiment_info"] or {}).get("experiment_id")
        if variants and experiment_id:
            raise InputError(
                f"the tasks of an array cannot share experiment_id {experiment_id!r}: leave it out, and each is named "
                "<job>_<task>"
            )
        _check_devices(config["trainer"] or {}, nodes, tasks_per_node)
    return experiment_id


def _check_devices(trainer: Mapping[str, Any], nodes: int, tasks_per_node: int) -> None:
    """What Lightning would refuse once the job runs."""
    if int(trainer.get("num_nodes") or 1) != nodes:
        raise InputError(f"--nodes is {nodes}: expected --trainer.num_nodes={nodes}, found {trainer.get('num_nodes')}")
    devices = trainer.get("devices")
    count = len(devices) if isinstance(devices, (list, tuple)) else devices
    if str(count).isdigit() and int(str(count)) != tasks_per_node:
        raise InputError(f"{tasks_per_node} tasks a node: expected --trainer.devices={tasks_per_node}, found {devices}")


def _submitit() -> Any:
    try:
        from submitit.slurm import slurm
    except ImportError:
        raise InputError("submit needs submitit: pip install aigenbench[slurm]") from None
    return slurm


def _submit(submitit: Any, line: str, parameters: Mapping[str, Any]) -> str:
    """Hand the script to sbatch; returns the job id.

    Submitit writes the script and submits it, but does not wrap the run as it does Python functions: its wrapper
    (also around a ``CommandFunction``) takes SIGUSR1 for itself and ends the command before that has its checkpoint.
    Without the wrapper the signal reaches the run, which requeues the job itself.

    Raises:
        InputError: sbatch refuses; what it says.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = submitit.SlurmExecutor(LOGS)
    executor.parameters.update(parameters)
    try:
        return str(executor._submit_command(line).job_id)
    except (FailedJobError, FailedSubmissionError) as error:
        raise InputError(f"sbatch: {' '.join(str(error).split())}") from error
