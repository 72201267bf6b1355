"""Learning without forgetting: keeping to what the detector of the window before says of the same images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.training.detector.terms import Rows, Term
from aigenbench.training.strategies.base import KEY, Strategy
from aigenbench.training.strategies.weights import one_of

OF = ("logits", "features")
TEMPERATURE = 2.0


@dataclass(frozen=True)
class TermsContext:
    """What terms of a window's loss are made for.

    Attributes:
        window: its index.
        num_features: D of the features before the head; 0 where the model has none.
    """

    window: int
    num_features: int


class Distillation(Strategy):
    """A term that draws a window's detector to that of the window before (LwF, arXiv 1606.09282).

    Args:
        weight: of the term.
        temperature: softens the probabilities of both; 2 where not given.
        of: ``logits``, or the ``features`` before the head.
    """

    def __init__(self, weight: float = 1.0, temperature: float | None = None, of: str = "logits") -> None:
        self._weight = above_zero("distillation weight", weight)
        self._features = one_of("distillation of", of, OF) == "features"
        if temperature is not None and self._features:
            raise InputError(f"{KEY}: distillation temperature is for of: logits; leave it out")
        self._temperature = above_zero("distillation temperature", TEMPERATURE if temperature is None else temperature)

    def terms(self, context: TermsContext) -> Mapping[str, Term]:
        """The term; none at window 0."""
        if not context.window:
            return {}
        if self._features:
            return {"distillation": FeatureDistillation(context.num_features, self._weight)}
        return {"distillation": LogitDistillation(context.num_features, self._weight, self._temperature)}


class LogitDistillation(Term):
    """The Kullback-Leibler divergence of softened probabilities from the earlier detector's, times temperature squared.

    Probabilities are those of real and fake, or of the classes that the earlier detector has seen, a softmax over these
    alone.
    """

    needs_earlier = True

    def __init__(self, num_features: int, weight: float, temperature: float) -> None:
        super().__init__(num_features, weight)
        self.temperature = temperature

    def forward(self, rows: Rows) -> Tensor:
        """Mean over the rows; 0 where both say the same."""
        assert rows.earlier is not None, "it says that it needs it"
        seen = rows.earlier.seen
        own, earlier = (self._log_shares(outputs, seen) for outputs in (rows.outputs, rows.earlier.outputs))
        divergence = F.kl_div(own, earlier, reduction="batchmean", log_target=True)
        return self.temperature**2 * divergence

    def _log_shares(self, outputs: Tensor, seen: tuple[int, ...]) -> Tensor:
        softened = outputs.float() / self.temperature
        if softened.ndim == 1 or softened.shape[1] == 1:
            logits = softened.flatten()
            return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
        return softened[:, list(seen)].log_softmax(dim=1)


class FeatureDistillation(Term):
    """Mean squared difference of the features before the head from the earlier detector's."""

    needs_earlier = needs_features = True

    def forward(self, rows: Rows) -> Tensor:
        """Mean over rows and features."""
        assert rows.earlier is not None, "it says that it needs it"
        assert rows.features is not None
        assert rows.earlier.features is not None
        return F.mse_loss(rows.features.float(), rows.earlier.features.float())


def above_zero(name: str, value: float) -> float:
    """An argument that must be above 0; raises InputError else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{KEY}: {name} must be a number above 0, found {value!r}")
    return float(value)
