"""What every call from Python shares: the caller's process stays as it was, an experiment is named by its folder."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError
from aigenbench.files import user_path


def folder_of(experiment: Any) -> Path:
    """The folder of an experiment that was given as such or by its folder.

    Raises:
        InputError: it is neither.
    """
    place = getattr(experiment, "folder", experiment)
    if not isinstance(place, str | os.PathLike):
        raise InputError(f"expected an experiment or its folder, found {type(experiment).__name__}")
    return user_path(os.fspath(place))


@contextmanager
def as_a_call() -> Iterator[None]:
    """Leave the caller's process as it was: random states, and the experiment's id that children of a run inherit.

    Raises:
        KeyboardInterrupt: a run was stopped by Ctrl-C.
    """
    import numpy as np
    import torch

    from aigenbench.training.processes.signals import StoppedError
    from aigenbench.training.resume.folder import ID_VARIABLE

    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    of_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    experiment_id = os.environ.get(ID_VARIABLE)
    try:
        yield
    except StoppedError as stopped:
        if stopped.number == signal.SIGINT:
            raise KeyboardInterrupt(f"{stopped}; everything done so far is kept, the same call goes on") from stopped
        raise
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])
        if of_gpus is not None:
            torch.cuda.set_rng_state_all(of_gpus)
        os.environ.pop(ID_VARIABLE, None)
        if experiment_id is not None:
            os.environ[ID_VARIABLE] = experiment_id
