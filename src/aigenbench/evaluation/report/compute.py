"""What a training took, of what its windows recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

MEASURES = {
    "flops": "FLOPs",
    "samples": "Samples",
    "steps": "Optimizer steps",
    "seconds": "Device seconds",
    "joules": "Joules",
}
"""What compute is measured in, and its title."""
_RECORDED = {
    "flops": "flops",
    "samples": "images",
    "steps": "optimizer_steps",
    "seconds": "device_seconds",
    "joules": "joules",
}
_LEARNING = ("training", "embedding", "fitting")
"""Kinds of a budget that are no evaluation; samples and steps are of training alone."""
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def cost_of(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What learning took by the records of windows: training, and the features it learned from.

    Evaluations are left out: they are the benchmark's. A measure is absent where one of the windows does not tell it.

    Returns:
        Of ``MEASURES``, those that are known.
    """
    costs = [_cost(record.get("budget")) for record in records]
    return {name: sum(cost[name] for cost in costs) for name in MEASURES if costs and all(name in c for c in costs)}


def _cost(budget: Any) -> dict[str, float]:
    if not isinstance(budget, dict):
        return {}
    cost = {}
    for name, key in _RECORDED.items():
        kinds = [k for k in _LEARNING if k == "training" or (k in budget and name not in ("samples", "steps"))]
        values = [count.get(key) if isinstance(count := budget.get(kind), dict) else None for kind in kinds]
        known = [value for value in values if isinstance(value, int | float) and 0 <= value < inf]
        if len(known) == len(kinds):
            cost[name] = sum(known)
    return cost


def short(value: float) -> str:
    """A count in three digits, with a prefix such as T for 10^12."""
    power = 0
    while value >= 999.5 and power < len(_PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {_PREFIXES[power]}".strip()


def told(cost: Mapping[str, float]) -> str:
    """A cost in words."""
    titles = {name: title if name == "flops" else title.lower() for name, title in MEASURES.items()}
    return ", ".join(f"{short(value)} {titles[name]}" for name, value in cost.items())
