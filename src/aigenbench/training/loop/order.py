"""Bringing an experiment's windows into order: what killed runs left, and what two runs in one folder may leave."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aigenbench.config.folder import predictions_file
from aigenbench.files import remove_temporaries
from aigenbench.training.processes.collectives import SharedError, is_first_process
from aigenbench.training.resume.checkpoints import WindowCheckpoints
from aigenbench.training.resume.folder import ExperimentFolder
from aigenbench.training.resume.state import Schedule, WindowState, read_state, strays, write_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowsInOrder:
    """The windows of a run on disk, and of the heads that it trains along.

    Attributes:
        experiments: the run's own first.
        n_windows: how many windows the plan has.
    """

    experiments: Sequence[ExperimentFolder]
    n_windows: int

    def states(self) -> list[WindowState | None]:
        """The run's record of every window, None where there is none."""
        return [read_state(self.experiments[0].window_folder(k)) for k in range(self.n_windows)]

    def tidy(self, schedule: Schedule) -> None:
        """Remove what killed writers left, and set aside what does not follow.

        The first process does it alone: another would take what the first is writing for what a killed run left.
        """
        if not is_first_process():
            return
        own = self.experiments[0]
        for experiment in self.experiments:
            remove_temporaries(experiment.folder)
            for folder in map(experiment.window_folder, range(self.n_windows)):
                if (state := read_state(folder)) is not None:
                    WindowCheckpoints(folder, state).tidy()
        if astray := strays(self.states(), schedule):
            self.set_aside(astray, f"what lies in {own.folder} is not of one run")
        for folder in map(own.window_folder, range(self.n_windows)):
            state = read_state(folder)
            if state is None or state.final is None or (folder / predictions_file("validate")).is_file():
                continue
            if (folder / state.final.file).is_file():
                # of a folder that was copied while in use
                write_state(folder, replace(state, evaluated=0))

    def set_aside(self, windows: Sequence[int], why: str) -> None:
        """Move windows out of the way that are to be trained again; the first process does it."""
        for experiment in self.experiments if is_first_process() else ():
            places = [place for window in windows if (place := experiment.set_aside(window)) is not None]
            if places:
                logger.warning("%s; moved to %s, and trained again", why, ", ".join(map(str, places)))

    def check(self, schedule: Schedule) -> None:
        """Find out whether the windows are still in order, while the run is at work.

        Raises:
            SharedError: they are not.
        """
        if astray := strays(self.states(), schedule):
            raise SharedError(
                f"the folder of a window before window {astray[0]} was removed from {self.experiments[0].folder} or "
                "replaced while the run was at work; put it back, or start the same command again, which sets the "
                "windows after it aside and trains them again"
            )
