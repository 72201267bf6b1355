"""Going on under SLURM: a batch job that is asked to stop puts itself back into the queue.

Lightning's own requeueing is switched off: it writes checkpoints of another kind, which are resumed from behind the
windows loop's back.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aigenbench.errors import InputError
from aigenbench.training.processes.collectives import is_first_process
from aigenbench.training.processes.signals import exit_code

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
"""What asks a job to stop: ``--signal=USR1@lead``; SIGTERM at a preemption or at the time limit itself."""

REQUEUES = ("RUNNING", "PREEMPTED", "TIMEOUT")
SCONTROL_SECONDS = 30.0
OTHERS_WAIT_SECONDS = 10.0


def slurm_job_id() -> str | None:
    """The SLURM job id, ``<array job>_<task>`` in an array; None outside SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID") or None


def after_stop(number: int) -> None:
    """Requeue the SLURM job that this process belongs to, once the run has stopped; says so in one line.

    Nothing happens outside SLURM, in an interactive job (``salloc``, ``srun``), after Ctrl-C, or where the job was
    cancelled. Only the first process requeues. A failure is a warning: the run's ordinary exit follows.

    Args:
        number: the signal that stopped the run.
    """
    job = slurm_job_id()
    if job is None or number not in SIGNALS:
        return
    # ending the job for its requeue sends SIGTERM to every process of it, this one and scontrol among them
    for ours in SIGNALS:
        signal.signal(ours, signal.SIG_IGN)
    if not is_first_process():
        # where the site has KillOnBadExit=1, the first task to exit takes the one that requeues with it
        time.sleep(OTHERS_WAIT_SECONDS)
        return
    try:
        why_not = _why_not(_scontrol("show", "job", "--oneliner", job))
        if why_not is None:
            _scontrol("requeue", job)
            logger.info("SLURM job %s: back in the queue; it goes on from here when it starts again", job)
        else:
            logger.info("SLURM job %s: not requeued, it %s", job, why_not)
    except InputError as error:
        logger.warning("SLURM job %s: cannot requeue it (%s); submit the same command with its id again", job, error)


@contextmanager
def stops_before_the_run() -> Iterator[None]:
    """Requeue on a signal that comes before the run listens, such as during imports: its default action kills.

    Does nothing outside SLURM.
    """
    if slurm_job_id() is None:
        yield
        return
    former = {number: signal.signal(number, _stop_at_once) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            # after a stop they are ignored for good
            if signal.getsignal(number) is _stop_at_once:
                signal.signal(number, handler)


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    after_stop(number)
    # not an exception: imports that are under way may swallow it; nothing is being written yet
    os._exit(exit_code(number))


def _why_not(job: str) -> str | None:
    """What speaks against a requeue in what ``scontrol show job`` prints of the job; None where nothing does."""
    fields = dict(re.findall(r"(?:^|\s)(JobState|Reason|BatchFlag)=(\S+)", job))
    if fields.get("BatchFlag") == "0":
        return "is interactive"
    # A cancelled job and one at its time limit both show COMPLETING. Requeueing a cancelled one would undo the
    # cancelling: SLURM allows it.
    if fields.get("JobState") in REQUEUES or fields.get("Reason") == "TimeLimit":
        return None
    return f"was cancelled, or SLURM requeues it itself (state {fields.get('JobState', 'unknown')})"


def _scontrol(*arguments: str) -> str:
    """What scontrol prints.

    Raises:
        InputError: it is not there, fails, or does not answer; one line.
    """
    try:
        done = subprocess.run(
            ["scontrol", *arguments], capture_output=True, text=True, timeout=SCONTROL_SECONDS, check=False
        )
    except FileNotFoundError:
        raise InputError("there is no scontrol on the PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"scontrol {arguments[0]}: {error}") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise InputError(f"scontrol {arguments[0]}: {said}")
    return done.stdout
