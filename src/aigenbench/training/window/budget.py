"""What a window costs: counted batches, those before a restart, and the stored features that it is the first to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigenbench.training.lightning.counting import BatchCounter
from aigenbench.training.lightning.operations import Count, added
from aigenbench.training.processes.collectives import everyones

Budget = dict[str, Any]
"""Counts by kind, such as ``training`` and ``evaluation``; ``without_flops`` names operations left out."""


def together(*budgets: Mapping[str, Any]) -> Budget:
    """The sum of budgets."""
    total: Budget = {}
    for budget in budgets:
        for kind, count in budget.items():
            if kind == "without_flops":
                total[kind] = sorted({*total.get(kind, ()), *count})
            else:
                total[kind] = added(total.get(kind, {}), count)
    return total


class WindowBudget:
    """What a window has cost up to any moment of its training, all processes together.

    It is that of the training which the window's weights come from: what was done after the last checkpoint before a
    kill is done again, and is counted once.

    Args:
        counter: counts this start's batches.
        resumed: the checkpoint that this start goes on from; None at a window's start.
    """

    def __init__(self, counter: BatchCounter, resumed: Mapping[str, Any] | None) -> None:
        self.counters = [counter]
        """All that count for the window."""
        self._before: Budget | None = {} if resumed is None else resumed.get("budget")

    def now(self) -> Budget | None:
        """The budget, the same in every process, all of which must ask; None where its beginning was not counted."""
        everything = together(*everyones([counted(counter) for counter in self.counters]))
        return None if self._before is None else together(self._before, everything)


def counted(counter: BatchCounter) -> Budget:
    """What a counter of this process has counted."""
    counts: dict[str, Count] = counter.counts()
    return {**counts, "without_flops": sorted(counter.without)}
