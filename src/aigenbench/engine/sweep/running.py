"""The cells of a sweep one after the other, on this machine."""

from __future__ import annotations

import logging

from aigenbench.engine.sweep.cells import Cell
from aigenbench.engine.sweep.plan import Plan
from aigenbench.engine.sweep.process import run_cell, told
from aigenbench.training.processes.signals import StopRequest

logger = logging.getLogger(__name__)

RETRIES = 1
"""How often a cell that failed is tried again, after all others."""


def run_cells(plan: Plan, retries: int, stop: StopRequest) -> int:
    """Bring every cell to its end; a failure ends none but its own.

    Args:
        plan: the cells.
        retries: how often one that failed is tried again, after all others; bad input is not, which stays as it is.
        stop: see ``run_cell``.

    Returns:
        How many cells have failed.

    Raises:
        StoppedError: a signal asked to stop; the same call goes on.
    """
    waiting, failed = list(plan.cells), 0
    is_measured = any(cell.is_finished for cell in plan.cells)
    for left in range(retries, -1, -1):
        again = []
        for cell in waiting:
            ending = bring_to_end(cell, stop, f"cell {plan.cells.index(cell) + 1} of {len(plan.cells)}", left)
            if ending == "finished" and not is_measured:
                is_measured = True
                logger.info("%s", plan.time)
            elif ending != "finished" and left and ending != "refused":
                again.append(cell)
            elif ending != "finished":
                failed += 1
        waiting = again
    return failed


def bring_to_end(cell: Cell, stop: StopRequest, which: str, retries: int = 0) -> str:
    """Train and evaluate a cell unless that is done; returns how its last start has ended.

    Args:
        cell: what to train.
        stop: see ``run_cell``.
        which: what the log calls it.
        retries: how often it will be tried again, to be told.

    Raises:
        StoppedError: a signal asked to stop.
    """
    if cell.is_finished:
        logger.info("%s, %s (%s): finished already", which, cell.name, cell.label)
        return "finished"
    stop.check_alone()
    logger.info("%s, %s (%s): log in %s", which, cell.name, cell.label, cell.file(".log"))
    record = run_cell(cell, stop)
    stop.check_alone()
    if record.ending == "finished":
        logger.info("%s, %s: finished after %.0f s", which, cell.name, record.seconds)
        return record.ending
    next_step = f"; tried again after the others, {retries} more at most" if retries else ""
    then = next_step if record.ending != "refused" else "; not tried again before it is set right"
    logger.warning("%s, %s: %s (start %d)%s", which, cell.name, told(record), record.starts, then)
    return record.ending
