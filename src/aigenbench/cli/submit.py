"""`aigenbench submit ... -- fit ...`: a batch job for SLURM that requeues itself until the run is finished."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace

from aigenbench.cli.terminal import say
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.slurm import LEAD_SECONDS, LOGS, Job, script, submit, submitit_slurm
from aigenbench.errors import InputError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "submit",
        usage="aigenbench submit [options] -- fit ARGUMENTS",
        help="a batch job for SLURM",
        description="Write and submit a SLURM batch script that runs `aigenbench fit ARGUMENTS`. Before its time "
        "limit, and where it is preempted, the job checkpoints, requeues itself and goes on where it stopped.",
    )
    add_job_options(parser)
    array = parser.add_mutually_exclusive_group()
    array.add_argument("--array-configs", nargs="+", metavar="FILE", help="a task a config, merged after the others")
    array.add_argument("--array-seeds", nargs="+", type=int, metavar="SEED", help="a task a seed_everything")
    parser.add_argument("--dry-run", action="store_true", help="print the script; submit nothing")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- fit ARGUMENTS")
    parser.set_defaults(run=run)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add what a job asks of SLURM."""
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


def job_of(args: argparse.Namespace) -> Job:
    """What was asked of SLURM."""
    return Job(
        partition=args.partition,
        gres=args.gres,
        time=args.time,
        signal_lead=args.signal_lead,
        cpus=args.cpus,
        mem=args.mem,
        nodes=args.nodes,
        tasks_per_node=args.tasks_per_node,
    )


def check_slurm(dry_run: bool) -> None:
    """See that jobs can be written, and submitted unless that is not asked for.

    Raises:
        InputError: they cannot.
    """
    submitit_slurm()
    if not dry_run and not (shutil.which("sbatch") and shutil.which("srun")):
        raise InputError("there is no sbatch or no srun on the PATH: submit from a login node, or see --dry-run")


def run(args: argparse.Namespace) -> int:
    """Submit, or print the script."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if command[:1] != ["fit"]:
        raise InputError(f"what to run comes last: aigenbench submit [options] -- fit ARGUMENTS; found {command[:1]}")
    job = replace(job_of(args), variants=_variants(args))
    job.check()
    check_slurm(args.dry_run)

    def config_of(variant: str | None) -> ResolvedConfig:
        from aigenbench.cli.parser import asked_for

        return asked_for([*command[1:], *([variant] if variant else [])], "fit").resolved()

    given_id = job.check_runs(config_of)
    if args.dry_run:
        say(script(job, command))
        return 0
    number = submit(job, command)
    experiment = given_id or (f"{number}_<task>" if job.variants else number)
    log = LOGS / (f"{number}_<task>_0_log.out" if job.variants else f"{number}_0_log.out")
    say(f"submitted job {number}: experiment id {experiment}, log {log}")
    return 0


def _variants(args: argparse.Namespace) -> tuple[str, ...]:
    if args.array_configs:
        return tuple(f"--config={path}" for path in args.array_configs)
    return tuple(f"--seed_everything={seed}" for seed in args.array_seeds or ())
