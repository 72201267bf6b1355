"""A strategy that says how much each backbone's own head counts."""

from __future__ import annotations

from itertools import product

import torch

from aigenbench.errors import InputError
from aigenbench.models.heads.learned import Fused
from aigenbench.models.probe import Classifier
from aigenbench.training.strategies.base import KEY, Strategy
from aigenbench.training.strategies.weights import FinishContext, Finished

_NONE = 1e-6
"""Stands for a share of 0 in a softmax."""


class Fusion(Strategy):
    """Of a fused head, the shares of a grid with the highest AUROC on Past; training goes on from the learned ones.

    Args:
        grid: how many values a share may have, evenly from 0 to 1; all shares add up to 1.
    """

    def __init__(self, grid: int = 11) -> None:
        if type(grid) is not int or grid < 2:
            raise InputError(f"{KEY}: fusion grid must be a whole number from 2 on, found {grid!r}")
        self._steps = grid - 1

    def finish(self, context: FinishContext) -> Finished:
        """The weights as trained, but for the shares; of equally good ones, the most even."""
        name, learned = "model.head.weight", context.trained["model.head.weight"]

        def at(shares: tuple[int, ...]) -> dict[str, torch.Tensor]:
            logs = (torch.tensor(shares) / self._steps).clamp(min=_NONE).log()
            return {**context.trained, name: logs.to(learned)}

        grid = product(range(self._steps + 1), repeat=len(learned))
        scores = {shares: context.past(at(shares)) for shares in grid if sum(shares) == self._steps}
        evenness = {shares: -sum(one * one for one in shares) for shares in scores}
        best = max(scores, key=lambda shares: (-1.0 if scores[shares] is None else scores[shares], evenness[shares]))
        told = {" : ".join(f"{one / self._steps:g}" for one in shares): score for shares, score in scores.items()}
        return Finished(at(best), True, {"shares": [one / self._steps for one in best], "past_auroc": told})


def check_fused(model: torch.nn.Module) -> None:
    """Refuse a model whose head has no shares.

    Raises:
        InputError: it is none of `Fused`.
    """
    if not isinstance(model, Classifier) or not isinstance(model.head, Fused):
        raise InputError(f"{KEY}: fusion weights the backbones of model.head fused; give that, or leave fusion out")
