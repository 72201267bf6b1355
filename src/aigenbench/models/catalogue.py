"""What there is to choose from: names, a model's data sheet, its weights."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError
from aigenbench.models.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from aigenbench.models.registry import (
    BUILT_IN,
    ModelFactoryRegistry,
    built_in_source,
    origin,
    split_source,
    split_suffix,
    unknown_name,
)
from aigenbench.models.sources.base import Card, ModelSource, on_meta
from aigenbench.models.weights.kinds import kind_of
from aigenbench.models.weights.locate import (
    RemoteFile,
    check_weights_arguments,
    fetch,
    find_local,
    locate,
)


@dataclass(frozen=True)
class ModelSheet:
    """A model's data sheet.

    Attributes:
        name: ``source/name``.
        parameters: Of the backbone, without head.
        num_features: D, the head's input width.
        preprocessing: What the weights expect.
        weights: The published files, best first.
        local: Which of them is here already, or None.
        licence: Of the weights; "" where the source states none.
        remark: What is to be said in the weights' place of a user's model.
        layers: How many blocks or stages there are to take features after; 0 where they are not known.
        tokens: What those give to choose from, by ``tokens`` of ``model.features``.
    """

    name: str
    parameters: int
    num_features: int
    preprocessing: Preprocessing
    weights: tuple[RemoteFile, ...]
    local: Path | None
    licence: str
    remark: str = ""
    layers: int = 0
    tokens: tuple[str, ...] = ()


def model_names(pattern: str = "") -> list[str]:
    """All ``source/name`` of the built-in sources, without ``_tune`` and ``_probe``.

    Args:
        pattern: Shell wildcards (``timm/vit_*``) that match with or without the source; or a part of the name.
    """
    names = [f"{source}/{name}" for source in BUILT_IN for name in built_in_source(source).names()]
    if not pattern:
        return names
    if not any(sign in pattern for sign in "*?["):
        pattern = f"*{pattern}*"
    return [
        name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.partition("/")[2], pattern)
    ]


def users_factories() -> dict[str, str]:
    """The users' factories by name, and where each is written."""
    return {name: origin(factory) for name, factory in ModelFactoryRegistry().factories().items()}


def describe_model(model_name: str, **model_args: Any) -> ModelSheet:
    """The data sheet of a model; nothing is downloaded, and of a built-in source's no weights are made.

    Args:
        model_name: As for ``build_model``.
        model_args: Arguments of a user's factory.

    Raises:
        InputError: Nothing knows the name, or a user's factory fails.
    """
    if (users := _users_sheet(model_name, model_args)) is not None:
        return users
    source, card = _card(model_name)
    backbone = on_meta(lambda: source.backbone(card, None, **model_args))
    layers, tokens = _layers(backbone, card)
    return ModelSheet(
        name=f"{source.name}/{card.name}",
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        num_features=int(backbone.num_features),  # type: ignore[arg-type]
        preprocessing=card.preprocessing,
        weights=card.weights,
        local=find_local(card.weights),
        licence=card.licence,
        layers=layers,
        tokens=tokens,
    )


def _layers(backbone: Any, card: Card) -> tuple[int, tuple[str, ...]]:
    """How many blocks or stages features can be taken after, and the tokens that they give."""
    from aigenbench.models.parts import Features
    from aigenbench.models.tapping import blocks_of, parts_of

    size = getattr(backbone, "input_size", None) or card.preprocessing.input_size
    try:
        last = parts_of(backbone, card.name, Features((-1,)), size)
    except InputError:
        return 0, ()
    return len(blocks_of(backbone)), last.outputs.tokens


def fetch_model(model_name: str, weights_dir: str | Path | None = None) -> Path:
    """Download and verify a model's weights; where they are in the weights folder already, nothing happens.

    Raises:
        InputError: No built-in source knows the name; or see ``weights.fetch``.
    """
    chosen, _ = split_source(model_name)
    if chosen in ModelFactoryRegistry().factories():
        raise InputError(
            f"{model_name} is a model of yours: its factory loads its own weights, nothing is to be fetched"
        )
    source, card = _card(model_name)
    return fetch(f"{source.name}/{card.name}", card.weights, weights_dir)


def _users_sheet(model_name: str, model_args: dict[str, Any]) -> ModelSheet | None:
    """The sheet of what a user's factory answers; None where none knows the name."""
    chosen, _ = split_source(model_name)
    if chosen in BUILT_IN or not ModelFactoryRegistry().factories():
        return None
    from aigenbench.models.build import build_users_model, preprocessing_of
    from aigenbench.models.probe import Classifier, feature_extractor

    model = build_users_model(model_name, **model_args)
    if model is None:
        return None
    preprocessing = preprocessing_of(model) or Preprocessing(CLIP_MEAN, CLIP_STD)
    probe = isinstance(model, Classifier)
    extractor: Any = model if probe else feature_extractor(model, preprocessing.input_size)
    whole = model.exposed() if isinstance(model, Classifier) else model
    return ModelSheet(
        name=model_name,
        parameters=sum(parameter.numel() for parameter in whole.parameters()),
        num_features=0 if extractor is None else int(extractor.num_features),
        preprocessing=preprocessing,
        weights=(),
        local=None,
        licence="yours",
        remark="what your factory loads",
    )


def _card(model_name: str) -> tuple[ModelSource, Card]:
    chosen, name = split_source(model_name)
    base, _ = split_suffix(name)
    sources: Sequence[str] = [chosen] if chosen in BUILT_IN else list(BUILT_IN)
    if chosen is not None and chosen in ModelFactoryRegistry().factories():
        sources = []
    for source_name in sources:
        source = built_in_source(source_name)
        card = source.card(base)
        if card is not None:
            return source, card
    raise unknown_name(name, chosen)


def network_of(model_name: str) -> str | None:
    """``source/name`` of the built-in network that a name stands for, without timm's tag of weights.

    None where it is a user's, or may be.
    """
    chosen, _ = split_source(model_name)
    if chosen not in BUILT_IN and ModelFactoryRegistry().factories():
        return None
    try:
        source, card = _card(model_name)
    except InputError:
        return None
    name = card.name.partition(".")[0] if source.name == "timm" else card.name
    return f"{source.name}/{name}"


def ensure_weights(
    model_name: str,
    pretrained: bool = True,
    weights: str | Path | None = None,
    weights_dir: str | Path | None = None,
    **model_args: Any,
) -> Path | None:
    """Have a model's weights at hand before anything heavy is imported or read.

    Args:
        model_name: As for ``build_model``.
        pretrained: Where false, nothing is needed.
        weights: The user's own file.
        weights_dir: See ``weights.weights_folder``.
        model_args: All other arguments of ``build_model``; they do not matter here.

    Returns:
        The file; None where none is needed, or where a user's factory may answer the name.

    Raises:
        InputError: The file is missing and cannot be fetched (see ``weights.locate``), is no file of weights, or is
            named beside ``pretrained: false``.
    """
    chosen, _ = split_source(model_name)
    if chosen not in BUILT_IN and ModelFactoryRegistry().factories():
        return None
    check_weights_arguments(pretrained, weights)
    if not pretrained:
        return None
    if weights:
        path = Path(weights).expanduser()
        kind_of(path, "model_args weights")
        return path
    source, card = _card(model_name)
    return locate(f"{source.name}/{card.name}", card.weights, weights_dir)
