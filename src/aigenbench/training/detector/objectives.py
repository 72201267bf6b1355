"""What a detector is trained for: how its own loss is changed, and the terms that are added to it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aigenbench.errors import InputError, nearest
from aigenbench.models.probe import Classifier, autocast_off
from aigenbench.training.detector.tasks import Task

CHANGES: dict[str, dict[str, float]] = {
    "cross_entropy": {},
    "label_smoothing": {"epsilon": 0.1},
    "focal": {"gamma": 2.0},
}
"""What changes the task's own loss, with the arguments' defaults; ``cross_entropy`` leaves it as it is."""
BY = ("label", "generator")
"""What makes two images of a batch alike."""


class Rows(NamedTuple):
    """A training batch, as terms see it.

    Attributes:
        outputs: of the model, float (n, outputs).
        features: before the head, float32 (n, D); None where no term needs them.
        labels: 0 real, 1 fake; int64 (n,).
        generator_ids: 0 real; int64 (n,).
        seen: ids of the classes trained on so far, 0 among them; empty where nobody says.
    """

    outputs: Tensor
    features: Tensor | None
    labels: Tensor
    generator_ids: Tensor
    seen: Sequence[int]


class Term(nn.Module):
    """One term of a loss. Called with `Rows`, it gives a scalar; parameters it has train and are in checkpoints.

    Args:
        num_features: D of the features; 0 where the model has none.
        weight: how much it counts beside the task's own loss.
    """

    needs_features = False
    """Whether ``Rows.features`` must be there, and something before the head that trains."""

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
_BUILT_IN = (*CHANGES, *TERMS)


def register_term(name: str, term: type[Term]) -> None:
    """Let ``model.objective`` name a term of one's own; the arguments it takes there are its constructor's.

    Raises:
        InputError: one of ours has that name.
    """
    if name in _BUILT_IN:
        raise InputError(f"register_term: {name!r} is one of {', '.join(_BUILT_IN)}; give the term another name")
    TERMS[name] = term


@dataclass(frozen=True)
class Objective:
    """What a detector is trained for, as a config names it.

    Attributes:
        changes: of the task's own loss, by name, with their arguments.
        terms: what is added to it, likewise.
    """

    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Objective:
        """From a config: a name, or a mapping of names to their arguments.

        Raises:
            InputError: nothing has that name, it has no such argument, or a value is out of range.
        """
        known = (*CHANGES, *TERMS)
        given = {value: None} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not given:
            raise InputError(f"model.objective: expected one of {', '.join(known)}, or several with their arguments")
        for name in given:
            if name not in known:
                raise InputError(f"model.objective: unknown {name!r}; known: {', '.join(known)}{nearest(name, known)}")
        made = {name: _arguments(name, arguments) for name, arguments in given.items()}
        if "label_smoothing" in made and positive("label_smoothing epsilon", made["label_smoothing"]["epsilon"]) >= 1:
            raise InputError("model.objective: label_smoothing epsilon must be below 1")
        if "focal" in made:
            positive("focal gamma", made["focal"]["gamma"])
        return cls(
            {name: made[name] for name in made if name in CHANGES and name != "cross_entropy"},
            {name: made[name] for name in made if name in TERMS},
        )

    def terms_for(self, model: nn.Module, name: str, training_task: str) -> nn.ModuleDict:
        """The terms, made for a model called ``name``.

        Raises:
            InputError: a term has nothing to act on.
        """
        if "auxiliary" in self.terms and training_task == "multiclass":
            raise InputError(
                "model.objective auxiliary: a multiclass detector has these classes as its own; use training_task: "
                "binary, or leave auxiliary out"
            )
        for term in self.terms:
            if TERMS[term].needs_features:
                _check_features(term, model, name)
        width = model.num_features if isinstance(model, Classifier) else 0
        return nn.ModuleDict({term: TERMS[term](width, **given) for term, given in self.terms.items()})

    @property
    def needs_features(self) -> bool:
        """Whether a term looks at what is before the head."""
        return any(TERMS[term].needs_features for term in self.terms)

    def losses(self, task: Task, outputs: Tensor, labels: Tensor, generator_ids: Tensor) -> Tensor:
        """The task's own loss of every row, changed as asked for: float (n,).

        Smoothed, the target is 1 - epsilon of the true class and epsilon spread evenly over the classes seen so far
        (arXiv 1512.00567); focal, each loss counts (1 - p)^gamma times, p the probability of the true class
        (arXiv 1708.02002). Both together are the product.
        """
        if not self.changes:
            return task.losses(outputs, labels, generator_ids)
        log_p, target = task.log_probabilities(outputs), task.targets(labels, generator_ids)
        true = log_p.gather(1, target[:, None])[:, 0]
        losses = -true
        if "label_smoothing" in self.changes:
            epsilon = self.changes["label_smoothing"]["epsilon"]
            losses = (1 - epsilon) * losses - epsilon * log_p[:, task.seen].mean(dim=1)
        if "focal" in self.changes:
            # kept off 0, where a power below 1 has no slope
            wrong = (-torch.expm1(true)).clamp(min=1e-12)
            losses = wrong ** self.changes["focal"]["gamma"] * losses
        return losses


def values_of(terms: nn.ModuleDict, rows: Rows) -> dict[str, tuple[float, Tensor]]:
    """Every term's weight and value, computed outside autocast."""
    found: dict[str, tuple[float, Tensor]] = {}
    with autocast_off(rows.outputs.device.type):
        for name, term in terms.items():
            assert isinstance(term, Term), "made by terms_for"
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


def _arguments(name: str, given: Any) -> dict[str, Any]:
    """What a config gives, completed for a change of the loss, checked by name."""
    known = list(CHANGES.get(name) or _taken(TERMS.get(name)))
    given = {} if given is None else given
    if not isinstance(given, Mapping) or (unknown := [key for key in given if key not in known]):
        said = f"unknown {unknown[0]!r}{nearest(str(unknown[0]), known)}" if isinstance(given, Mapping) else repr(given)
        raise InputError(f"model.objective: {name} takes {', '.join(known) or 'no arguments'}; {said}")
    return {**CHANGES.get(name, {}), **given}


def _taken(term: type[Term] | None) -> list[str]:
    return [] if term is None else list(inspect.signature(term).parameters)[1:]


def _check_features(term: str, model: nn.Module, name: str) -> None:
    if not isinstance(model, Classifier) or type(model).forward is not Classifier.forward:
        raise InputError(f"model.objective {term}: {name} is a module of its own, not a backbone with a head")
    before = [key for key, one in model.named_parameters() if one.requires_grad and not key.startswith("head.")]
    if not before:
        raise InputError(
            f"model.objective {term}: it acts on the features before the head, which are fixed where the backbone is "
            f"frozen; use a _tune form of {name} (model.finetune says how much of it trains)"
        )


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
