"""What a head sees of its backbones: a row of parts, each a vector of one backbone, layer and kind of token.

Importing it imports no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aigenbench.errors import InputError, nearest

TOKENS = ("default", "cls", "patches", "both")


@dataclass(frozen=True)
class Part:
    """One of the vectors that features are concatenated from.

    Attributes:
        backbone: ``source/name``, or "" of a module that has no name.
        width: numbers an image.
        layer: the block, counted from 0, after which it is taken; None of a backbone's own output.
        tokens: ``cls``, ``patches`` (their mean), or ``default``: a backbone's own output, a stage's mean.
    """

    backbone: str
    width: int
    layer: int | None = None
    tokens: str = "default"

    @property
    def name(self) -> str:
        """Such as ``openai/ViT-B/16 layer 6 cls``; of a backbone's own output its name alone."""
        where = "" if self.layer is None else f" layer {self.layer}"
        return f"{self.backbone or 'features'}{where}{'' if self.tokens == 'default' else f' {self.tokens}'}"


@dataclass(frozen=True)
class Features:
    """Which parts of one backbone are asked for.

    Attributes:
        layers: blocks, counted from 0, negative ones from the end; None for the last.
        tokens: one of `TOKENS`.
    """

    layers: tuple[int, ...] | None = None
    tokens: str = "default"

    @classmethod
    def of(cls, value: Any, key: str = "model.features") -> Features:
        """From a config: ``{"layers": [3, 6, -1], "tokens": "cls"}``, either left out, or None.

        Raises:
            InputError: a key is unknown, or a value none of those that it takes.
        """
        given = _checked({} if value is None else value, ("layers", "tokens"), key)
        layers, tokens = given.get("layers", "last"), given.get("tokens", "default")
        if tokens not in TOKENS:
            hint = nearest(str(tokens), TOKENS)
            raise InputError(f"{key}: tokens: expected one of {', '.join(TOKENS)}, found {tokens!r}{hint}")
        if layers == "last":
            return cls(None, tokens)
        if not isinstance(layers, list | tuple) or not layers or any(type(layer) is not int for layer in layers):
            raise InputError(f"{key}: layers: expected last, or a list of blocks such as [3, 6, -1], found {layers!r}")
        return cls(tuple(layers), tokens)

    @property
    def is_default(self) -> bool:
        """Whether they are the backbone's own output."""
        return self == Features()

    def said(self) -> dict[str, Any]:
        """What ``of`` makes them of again, in plain values."""
        return {"layers": "last" if self.layers is None else list(self.layers), "tokens": self.tokens}


@dataclass(frozen=True)
class Further:
    """A backbone beside a model's first.

    Attributes:
        name: as of ``build_model``, without suffix.
        features: what is asked for of it.
        arguments: of its factory.
    """

    name: str
    features: Features
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def all_of(cls, value: Any) -> tuple[Further, ...]:
        """From a config: a list of names, each alone or with ``features`` and ``model_args``; or None.

        Raises:
            InputError: it is something else, or a name is one of a model that is to be tuned.
        """
        if not isinstance(value, list | tuple | None):
            raise InputError(f"model.backbones: expected a list of models' names, found {value!r}")
        return tuple(map(cls._of, value or ()))

    @classmethod
    def _of(cls, entry: Any) -> Further:
        given = {entry: {}} if isinstance(entry, str) else entry
        if not isinstance(given, Mapping) or len(given) != 1 or not isinstance(next(iter(given)), str):
            raise InputError(
                "model.backbones: expected names, or {NAME: {features: {...}, model_args: {...}}} each, found "
                f"{entry!r}"
            )
        ((name, said),) = given.items()
        said = _checked({} if said is None else said, ("features", "model_args"), f"model.backbones: {name}")
        if name.endswith("_tune"):
            raise InputError(f"model.backbones: {name}: further backbones are frozen; write {name[:-5]}")
        arguments = said.get("model_args") or {}
        if not isinstance(arguments, Mapping):
            raise InputError(f"model.backbones: {name}: model_args: expected arguments and values, found {arguments!r}")
        return cls(
            name.removesuffix("_probe"),
            Features.of(said.get("features"), f"model.backbones: {name}: features"),
            dict(arguments),
        )


def _checked(value: Any, known: tuple[str, ...], key: str) -> Mapping[str, Any]:
    """A mapping with none but known keys."""
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: expected {', '.join(known)} with their values, found {value!r}")
    for one in value:
        if one not in known:
            raise InputError(f"{key}: unknown {one!r}; it takes {', '.join(known)}{nearest(str(one), known)}")
    return value
