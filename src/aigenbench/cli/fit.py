"""``aigenbench fit | validate | test``."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, cast

from aigenbench.cli.parser import asked_for
from aigenbench.cli.terminal import say
from aigenbench.training.processes.collectives import SharedError, is_first_process
from aigenbench.training.processes.slurm import after_stop, stops_before_the_run

logger = logging.getLogger(__name__)


def run(argv: list[str], subcommand: str) -> int:
    """Run a training command; returns the exit code."""
    with stops_before_the_run() if subcommand == "fit" else nullcontext():
        return _run(argv, subcommand)


def _run(argv: list[str], subcommand: str) -> int:
    command = cast('Literal["fit", "validate", "test"]', subcommand)
    inputs = asked_for(argv, command).run_with_weights(command)
    # torch and Lightning take seconds to import: only once the arguments are right
    from aigenbench.engine.assembly.loggers import warn_of_missing_loggers
    from aigenbench.training.loop import commands
    from aigenbench.training.processes.signals import StoppedError, exit_code
    from aigenbench.training.resume.folder import ID_VARIABLE

    if subcommand == "fit" and is_first_process():
        warn_of_missing_loggers(inputs.config)
    try:
        if subcommand == "fit":
            folder = commands.fit(inputs)
            if is_first_process():
                _show(folder)
        else:
            for path in commands.evaluate(inputs, subcommand):
                say(path)
    except SharedError:
        if is_first_process():
            raise
    except StoppedError as stopped:
        experiment_id = os.environ.get(ID_VARIABLE)
        which = f" with --experiment_info.experiment_id {experiment_id}" if experiment_id else ""
        logger.warning("%s; everything done so far is kept, the same command%s goes on", stopped, which)
        if subcommand == "fit":
            after_stop(stopped.number)
        return exit_code(stopped.number)
    return 0


def _show(folder: Path) -> None:
    from aigenbench.evaluation.drawing.table import score_table
    from aigenbench.evaluation.metrics.score import score_experiment

    say(score_table(score_experiment(folder)))
    say(f"{folder}")
