"""A sweep as one SLURM array, a task a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aigenbench.engine.slurm import Job, check_devices, script, submit
from aigenbench.engine.sweep.cells import Cell
from aigenbench.errors import InputError
from aigenbench.files import write_text

COMMAND = ("fit",)


def array_of(cells: Sequence[Cell], job: Job) -> Job:
    """The array of the cells that are not finished; each task requeues itself until it is.

    Raises:
        InputError: all are finished, or one does not fit the job.
    """
    left = [cell for cell in cells if not cell.is_finished]
    if not left:
        raise InputError("all cells are finished: nothing to submit; --table prints the table")
    job.check()
    for cell in left:
        check_devices(cell.config["trainer"] or {}, job.nodes, job.tasks)
    return replace(job, variants=tuple(f"--config={cell.file('.yaml').absolute()}" for cell in left))


def array_script(cells: Sequence[Cell], job: Job) -> str:
    """The batch script; raises as ``array_of``."""
    return script(array_of(cells, job), COMMAND)


def submit_array(cells: Sequence[Cell], job: Job) -> str:
    """Write the cells' configurations and hand the array to sbatch; returns the job id.

    Raises:
        InputError: see ``array_of`` and ``submit``.
    """
    array = array_of(cells, job)
    for cell in cells:
        cell.file(".yaml").parent.mkdir(parents=True, exist_ok=True)
        write_text(cell.file(".yaml"), cell.config.to_yaml())
    return submit(array, COMMAND)
