"""Terms of a loss: what is added to the task's own, and the interface for one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aigenbench.errors import InputError, nearest
from aigenbench.models.probe import autocast_off

BY = ("label", "generator")
"""What makes two images of a batch alike."""


class Earlier(NamedTuple):
    """What the detector of the window before, as it ended, gives for the same images.

    Attributes:
        outputs: float (n, outputs).
        features: before the head, float32 (n, D); None where no term needs them.
        seen: ids of the classes it was trained on, 0 among them.
    """

    outputs: Tensor
    features: Tensor | None
    seen: tuple[int, ...]


class Rows(NamedTuple):
    """A training batch, as terms see it.

    Attributes:
        outputs: of the model, float (n, outputs).
        features: before the head, float32 (n, D); None where no term needs them.
        labels: 0 real, 1 fake; int64 (n,).
        generator_ids: 0 real; int64 (n,).
        seen: ids of the classes trained on so far, 0 among them; empty where nobody says.
        earlier: what the window before says; None where no term needs it.
    """

    outputs: Tensor
    features: Tensor | None
    labels: Tensor
    generator_ids: Tensor
    seen: Sequence[int]
    earlier: Earlier | None = None


class Term(nn.Module):
    """One term of a loss. Called with `Rows`, it gives a scalar; parameters it has train and are in checkpoints.

    Args:
        num_features: D of the features; 0 where the model has none.
        weight: how much it counts beside the task's own loss.
    """

    needs_features = False
    """Whether ``Rows.features`` must be there, and something before the head that trains."""
    needs_earlier = False
    """Whether ``Rows.earlier`` must be there; such a term is a strategy's."""

    def __init__(self, num_features: int, weight: float = 1.0) -> None:
        super().__init__()
        self.num_features, self.weight = num_features, positive(f"{type(self).__name__.lower()} weight", weight)

    def forward(self, rows: Rows) -> Tensor:
        """The term's value, unweighted."""
        raise NotImplementedError


class Auxiliary(Term):
    """A second linear head that tells real and the generators seen so far apart: its mean cross-entropy."""

    needs_features = True

    def __init__(self, num_features: int, weight: float = 1.0, n_classes: int = 37) -> None:
        super().__init__(num_features, weight)
        if type(n_classes) is not int or n_classes < 2:
            raise InputError(f"model.objective: auxiliary n_classes must be a whole number from 2, found {n_classes!r}")
        self.head = nn.Linear(num_features, n_classes)

    def forward(self, rows: Rows) -> Tensor:
        """Cross-entropy of a softmax over the seen classes."""
        n = self.head.out_features
        if rows.seen and max(rows.seen) >= n:
            raise InputError(
                f"model.objective: auxiliary has {n} classes, the windows so far hold generator {max(rows.seen)}; set "
                f"its n_classes to at least {max(rows.seen) + 1}"
            )
        logits = F.linear(_features(rows), self.head.weight.float(), self.head.bias.float())
        unseen = torch.ones(n, dtype=torch.bool, device=logits.device)
        unseen[list(rows.seen or range(n))] = False
        return F.cross_entropy(logits.masked_fill(unseen, -math.inf), rows.generator_ids)


class Contrastive(Term):
    """Images alike attract, all others repel (supervised contrastive; Khosla et al., arXiv 2004.11362, L_out)."""

    needs_features = True

    def __init__(self, num_features: int, weight: float = 1.0, temperature: float = 0.1, by: str = "label") -> None:
        super().__init__(num_features, weight)
        self.temperature = positive("contrastive temperature", temperature)
        self.by = one_of("contrastive by", by, BY)

    def forward(self, rows: Rows) -> Tensor:
        """Mean over the images that have one alike in the batch; 0 where none has."""
        unit = F.normalize(_features(rows), dim=1)
        same = _alike(rows, self.by)
        itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        similar = (unit @ unit.T / self.temperature).masked_fill(itself, -math.inf)
        log_share = (similar - similar.logsumexp(dim=1, keepdim=True)).masked_fill(~same, 0.0)
        alike = same.sum(dim=1)
        each = -log_share.sum(dim=1) / alike.clamp(min=1)
        return each.sum() / (alike > 0).sum().clamp(min=1)


class Alignment(Term):
    """Mean squared distance of images alike, on the unit sphere (Wang and Isola, arXiv 2005.10242, alpha 2)."""

    needs_features = True

    def __init__(self, num_features: int, weight: float = 1.0, by: str = "label") -> None:
        super().__init__(num_features, weight)
        self.by = one_of("alignment by", by, BY)

    def forward(self, rows: Rows) -> Tensor:
        """Mean over the pairs of a batch; 0 where there is none."""
        pairs = _alike(rows, self.by)
        return (_squared_distances(rows) * pairs).sum() / pairs.sum().clamp(min=1)


class Uniformity(Term):
    """Spreads features over the unit sphere: log of the mean of exp(-t d^2) over all pairs (arXiv 2005.10242)."""

    needs_features = True

    def __init__(self, num_features: int, weight: float = 1.0, t: float = 2.0) -> None:
        super().__init__(num_features, weight)
        self.t = positive("uniformity t", t)

    def forward(self, rows: Rows) -> Tensor:
        """At most 0; 0 where there is no pair."""
        near = -self.t * _squared_distances(rows)
        n = len(near)
        if n < 2:
            return near.sum()
        itself = torch.eye(n, dtype=torch.bool, device=near.device)
        return near.masked_fill(itself, -math.inf).flatten().logsumexp(dim=0) - math.log(n * (n - 1))


TERMS: dict[str, type[Term]] = {
    "auxiliary": Auxiliary,
    "contrastive": Contrastive,
    "alignment": Alignment,
    "uniformity": Uniformity,
}
"""Terms by their names in a config."""


def values_of(terms: Mapping[str, nn.Module] | nn.ModuleDict, rows: Rows) -> dict[str, tuple[float, Tensor]]:
    """Every term's weight and value, computed outside autocast."""
    found: dict[str, tuple[float, Tensor]] = {}
    with autocast_off(rows.outputs.device.type):
        for name, term in terms.items():
            assert isinstance(term, Term), "made by terms_for, or a strategy"
            found[name] = (term.weight, term(rows))
    return found


def positive(name: str, value: Any) -> float:
    """A term's argument that must be above 0.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"model.objective: {name} must be a number above 0, found {value!r}")
    return float(value)


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """A term's argument that must be one of a few words.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        hint = nearest(str(value), known)
        raise InputError(f"model.objective: {name}: expected {' or '.join(known)}, found {value!r}{hint}")
    return str(value)


def _features(rows: Rows) -> Tensor:
    assert rows.features is not None, "terms that need them say so"
    return rows.features.float()


def _alike(rows: Rows, by: str) -> Tensor:
    """Pairs of two different images that are alike: bool (n, n)."""
    classes = rows.labels if by == "label" else rows.generator_ids
    same = classes[:, None] == classes[None, :]
    return same & ~torch.eye(len(classes), dtype=torch.bool, device=same.device)


def _squared_distances(rows: Rows) -> Tensor:
    """Of the features' directions: (n, n)."""
    unit = F.normalize(_features(rows), dim=1)
    return (2 - 2 * unit @ unit.T).clamp(min=0)
