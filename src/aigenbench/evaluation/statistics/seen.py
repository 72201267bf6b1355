"""A detector that no run of the protocol has trained: its AUROC over what it had seen and over what it had not."""

from __future__ import annotations

from typing import Any

from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.statistics.intervals import bounds, delong


def seen_and_unseen(experiment: ExperimentPredictions, pairing: bool = True) -> dict[str, Any]:
    """What such a detector's results come to apart from the windows; empty for one that a run has trained.

    Returns:
        Under ``foreign``: ``knowledge``, ``seen_generators`` (None where nobody says), and ``groups``: ``seen`` and
        ``unseen``, or ``unknown`` alone, each with its ``generators``, ``pairs``, ``auroc`` and DeLong's ``interval``
        (None where undefined).
    """
    if not experiment.foreign:
        return {}
    p = experiment.first
    groups = WindowGroups(p, pairing)
    names = [name for window in p.windows_timeline for name in window]
    if p.seen_generators is None:
        parts = {"unknown": names}
    else:
        parts = {"seen": [n for n in names if n in p.seen_generators]}
        parts["unseen"] = [n for n in names if n not in p.seen_generators]
    foreign = {
        "knowledge": p.knowledge,
        "seen_generators": None if p.seen_generators is None else list(p.seen_generators),
        "groups": {part: _values(groups, of) for part, of in parts.items()},
    }
    return {"foreign": foreign}


def _values(groups: WindowGroups, names: list[str]) -> dict[str, Any]:
    group = groups.generators(*names)
    known = group.both_classes
    return {
        "generators": names,
        "pairs": min(group.n_fakes, group.n_reals),
        "auroc": auroc(group) if known else None,
        "interval": bounds(delong(group)) if known else None,
    }
