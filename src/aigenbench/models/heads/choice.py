"""Which transforms and which head a config names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aigenbench.errors import InputError, nearest
from aigenbench.models.heads.learned import MLP, Fused, Head, Linear
from aigenbench.models.heads.scorers import KNN, Distance, Prototypes
from aigenbench.models.heads.transforms import TRANSFORMS, Transform
from aigenbench.models.parts import Part

HEADS: dict[str, type[Head]] = {
    "linear": Linear,
    "mlp": MLP,
    "fused": Fused,
    "knn": KNN,
    "prototypes": Prototypes,
    "distance": Distance,
}
"""Heads by their names in a config."""
BUILT_IN = (*HEADS, *TRANSFORMS)
Named = tuple[str, Mapping[str, Any]]


def register_head(name: str, head: type[Head]) -> None:
    """Let ``model.head`` name a head of one's own; the arguments it takes there are its constructor's.

    Raises:
        InputError: one of ours has that name.
    """
    HEADS[_free("register_head", name)] = head


def register_transform(name: str, transform: type[Transform]) -> None:
    """Let ``model.transform`` name a transform of one's own; likewise."""
    TRANSFORMS[_free("register_transform", name)] = transform


def _free(function: str, name: str) -> str:
    if name in BUILT_IN:
        raise InputError(f"{function}: {name!r} is one of {', '.join(BUILT_IN)}; give it another name")
    return name


@dataclass(frozen=True)
class HeadChoice:
    """What stands on the features: a row of transforms and a head, by name with their arguments.

    Attributes:
        head: the one.
        transforms: in their order.
    """

    head: Named = ("linear", {})
    transforms: tuple[Named, ...] = ()

    @classmethod
    def of(cls, head: Any = "linear", transform: Any = None) -> HeadChoice:
        """From a config: each a name, or a mapping of the one name to its arguments; of transforms a list too.

        Raises:
            InputError: nothing has that name, or it has no such argument.
        """
        row = [] if transform is None else transform if isinstance(transform, list | tuple) else [transform]
        made = tuple(_named("model.transform", one, TRANSFORMS) for one in row)
        return cls(_named("model.head", head, HEADS), made)

    @property
    def is_default(self) -> bool:
        """One linear layer on the features as they are."""
        return self == HeadChoice()

    @property
    def trains(self) -> bool:
        """Whether the head's weights are learned."""
        return HEADS[self.head[0]].trains

    def said(self) -> dict[str, Any]:
        """What ``of`` makes it of again, in plain values; nothing of the default."""
        return {
            **({} if self.head == HeadChoice().head else {"head": dict([self.head])}),
            **({"transform": [dict([one]) for one in self.transforms]} if self.transforms else {}),
        }

    def built(self, layout: Sequence[Part], n_outputs: int) -> tuple[Head, list[Transform]]:
        """The head and the transforms before it, for features of a layout.

        Raises:
            InputError: an argument is out of range, or one cannot stand where it is asked for.
        """
        transforms: list[Transform] = []
        for name, arguments in self.transforms:
            transforms.append(TRANSFORMS[name](layout, **arguments))
            layout = transforms[-1].layout
        name, arguments = self.head
        head = HEADS[name](layout, n_outputs, **arguments)
        if not head.trains:
            self._check_before_scorer(transforms)
        return head, transforms

    def _check_before_scorer(self, transforms: Sequence[Transform]) -> None:
        for (name, _), transform in zip(self.transforms, transforms, strict=True):
            why = "changes the rows of a training" if transform.needs_rows else "has weights"
            if transform.needs_rows or next(transform.parameters(), None) is not None:
                raise InputError(
                    f"model.transform {name}: it {why}, and {self.head[0]} takes rows once, as they are, and trains "
                    "nothing; leave it out, or use a head that trains"
                )


def _named(key: str, given: Any, known: Mapping[str, type]) -> Named:
    one = {given: None} if isinstance(given, str) else given
    if not isinstance(one, Mapping) or len(one) != 1:
        several = ", or a list of these in their order" if key == "model.transform" else ""
        raise InputError(
            f"{key}: expected one of {', '.join(known)}, or one with its arguments{several}; found {given!r}"
        )
    ((name, arguments),) = one.items()
    if name not in known:
        raise InputError(f"{key}: unknown {name!r}; known: {', '.join(known)}{nearest(str(name), known)}")
    # after the layout, and of a head the outputs
    takes = list(inspect.signature(known[name]).parameters)[1 if key == "model.transform" else 2 :]
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping) or (unknown := [one for one in arguments if one not in takes]):
        is_mapping = isinstance(arguments, Mapping)
        said = f"unknown {unknown[0]!r}{nearest(str(unknown[0]), takes)}" if is_mapping else f"found {arguments!r}"
        raise InputError(f"{key}: {name} takes {', '.join(takes) or 'no arguments'}; {said}")
    return name, dict(arguments)
