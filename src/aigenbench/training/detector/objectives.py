"""What a detector is trained for: how its own loss is changed, and the terms that are added to it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError, nearest
from aigenbench.models.probe import Classifier
from aigenbench.training.detector.tasks import Task
from aigenbench.training.detector.terms import TERMS, Term, positive

CHANGES: dict[str, dict[str, float]] = {
    "cross_entropy": {},
    "label_smoothing": {"epsilon": 0.1},
    "focal": {"gamma": 2.0},
}
"""What changes the task's own loss, with the arguments' defaults; ``cross_entropy`` leaves it as it is."""
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
                hint = nearest(str(name), known)
                raise InputError(f"model.objective: unknown {name!r}; known: {', '.join(known)}{hint}")
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
                check_features(f"model.objective {term}", model, name)
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


def check_features(key: str, model: nn.Module, name: str) -> None:
    """Refuse a term, named by ``key``, that acts on features which a model lacks or does not train.

    Raises:
        InputError: it does.
    """
    if not isinstance(model, Classifier) or type(model).forward is not Classifier.forward:
        raise InputError(f"{key}: {name} is a module of its own, not a backbone with a head")
    after = ("head.", "transforms.")
    before = [of for of, one in model.named_parameters() if one.requires_grad and not of.startswith(after)]
    if not before:
        raise InputError(
            f"{key}: it acts on the features before the head, which are fixed where the backbone is "
            f"frozen; use a _tune form of {name} (model.finetune says how much of it trains)"
        )
