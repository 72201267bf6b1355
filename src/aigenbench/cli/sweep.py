"""`aigenbench sweep`: many runs from one file, and one table of what they came to."""

from __future__ import annotations

import argparse
import logging

from aigenbench.cli.arguments import positive
from aigenbench.cli.submit import add_job_options, check_slurm, job_of
from aigenbench.cli.terminal import say
from aigenbench.engine.slurm import Job
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

FAILED = 1


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "sweep",
        help="many runs from one file",
        description="Train what a sweep's file asks for: grid, list, seeds or search over a base of configs. Each cell "
        "is a process of its own, and there is one table at the end. Stopped or killed, the same command goes on.",
    )
    parser.add_argument("sweep", metavar="SWEEP.yaml", help="a file, also a packaged one by its path")
    parser.add_argument("--folder", metavar="DIR", help="where the experiments go (default: experiments_data/<name>)")
    parser.add_argument("--retries", default="1", metavar="N", help="starts again of a cell that failed (default 1)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="print the plan, and with --slurm the script; start nothing"
    )
    what.add_argument("--table", action="store_true", help="print the table of what is there; start nothing")
    parser.add_argument("--slurm", action="store_true", help="one job array, a task a cell, with the options below")
    add_job_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan, run and print."""
    retries, job = positive(args.retries, "--retries", 0), job_of(args)
    if job != Job() and not args.slurm:
        raise InputError("what a job asks of SLURM (--partition, --gres, --time, ...) goes with --slurm")
    if args.slurm:
        check_slurm(args.dry_run or args.table)
    # torch and Lightning take seconds to import: only once the arguments are right
    from aigenbench.engine.sweep.array import array_script, submit_array
    from aigenbench.engine.sweep.sweeping import prepare
    from aigenbench.engine.sweep.table import make_table
    from aigenbench.training.processes.signals import StoppedError, exit_code

    sweep = prepare(args.sweep, args.folder, args.dry_run or args.table)
    if args.table:
        table = make_table(sweep.cells, sweep.file.folder)
        table.write()
        say(table)
        return 0
    say(sweep)
    if args.slurm and args.dry_run:
        say(array_script(sweep.cells, job))
    elif args.slurm:
        number = submit_array(sweep.cells, job)
        say(f"submitted job {number}, a task a cell; when it is done, the same command with --table prints the table")
    if args.slurm or args.dry_run:
        return 0
    try:
        table, failed = sweep.run(retries)
    except StoppedError as stopped:
        logger.warning("%s; everything done so far is kept, the same command goes on", stopped)
        return exit_code(stopped.number)
    say(f"\n{table}\n{sweep.file.folder}")
    return FAILED if failed else 0
