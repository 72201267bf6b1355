"""Predictions files (.npz) in an experiment's folder, read and scored."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from evaluation_made_up import made_up

from fuzz.structures import npz


@lru_cache
def arrays(window: int) -> dict[str, object]:
    """The arrays of a whole file."""
    from aigenbench.evaluation.predictions.record import _to_arrays

    return dict(_to_arrays(made_up(6, (("A", "B"), ("C",)), window)))


def make(folder: Path, rng: random.Random) -> None:
    """Two windows, one of them whole."""
    whole = rng.randrange(2)
    for window in range(2):
        place = folder / f"window_{window}" / "predictions_validate_all.npz"
        place.parent.mkdir()
        place.write_bytes(npz(arrays(window), rng, window != whole))


def check(folder: Path) -> None:
    """Score the experiment."""
    from aigenbench.evaluation.metrics.score import score
    from aigenbench.evaluation.predictions.experiment import load_experiment

    score(load_experiment(folder))
