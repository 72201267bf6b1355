"""From names to a classifier whose head sees parts: layers and tokens of a backbone, several backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aigenbench.errors import InputError
from aigenbench.models.build import NOT_OF_THE_FEATURES, build_model, preprocessing_of
from aigenbench.models.parts import Features, Further
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import BUILT_IN, split_source
from aigenbench.models.speed import apply_speed_options

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.probe import Classifier
    from aigenbench.models.tapping import Tapped

_SHARED = ("pretrained", "weights_dir", "channels_last", "compile")


def build_with_parts(
    model_name: str, num_classes: int, arguments: Mapping[str, Any], features: Any = None, backbones: Any = None
) -> nn.Module:
    """As ``build_model``, its head seeing the parts asked for in place of the backbone's own output.

    Args:
        model_name: As of ``build_model``.
        num_classes: Likewise.
        arguments: All others of ``build_model``.
        features: Of its backbone, as of ``Features.of``.
        backbones: Further ones, frozen, beside that of a ``_probe`` model, as of ``Further.all_of``.

    Raises:
        InputError: As of ``build_model``; or there are no such layers or tokens, or no such backbone beside this one.
    """
    wanted, further = Features.of(features), Further.all_of(backbones)
    if wanted.is_default and not further:
        return build_model(model_name, num_classes, **arguments)
    # these change how modules are called, so what is called must be known before
    later = {key: bool(arguments.get(key)) for key in ("compile", "gradient_checkpointing")}
    model = build_model(model_name, num_classes, **{**arguments, **dict.fromkeys(later, False)})
    tapped = [_tapped(model, model_name, wanted, arguments)]
    for one, (name, own) in zip(further, further_arguments(arguments, further), strict=True):
        tapped.append(_tapped(build_model(name, 1, **own), one.name, one.features, own))
    composed = _side_by_side(tapped, num_classes)
    apply_speed_options(model, model_name, False, later["compile"], later["gradient_checkpointing"])
    return composed


def further_arguments(arguments: Mapping[str, Any], further: Sequence[Further]) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments that further backbones are built by: where weights lie and how fast, they share."""
    shared = {key: arguments[key] for key in _SHARED if key in arguments}
    return [(f"{one.name}_probe", {**shared, **one.arguments}) for one in further]


def arguments_of_features(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Those arguments of a factory that change a backbone's features beside its weights, as text."""
    return {key: str(value) for key, value in sorted(arguments.items()) if key not in NOT_OF_THE_FEATURES}


def _tapped(model: nn.Module, name: str, features: Features, arguments: Mapping[str, Any]) -> tuple[Classifier, Tapped]:
    """A model, and its backbone giving the parts asked for."""
    from aigenbench.models.probe import Classifier
    from aigenbench.models.tapping import parts_of

    if not isinstance(model, Classifier):
        raise InputError(f"model.features, model.backbones: {name} is a module of its own, not a backbone with a head")
    if not features.is_default and split_source(model.name)[0] not in BUILT_IN:
        raise InputError(f"model.features: the layers of {name}, a model of yours, are not known; leave features out")
    if not features.is_default and arguments.get("compile"):
        raise InputError(f"model.features: {model.name} cannot be compiled where layers are read; leave compile out")
    tapped = parts_of(model.backbone, model.name, features, (preprocessing_of(model) or Preprocessing()).input_size)
    if not features.is_default and arguments.get("gradient_checkpointing") and tapped.outputs.prefix is None:
        raise InputError(
            f"model.features: the stages of {model.name} run in pieces under gradient_checkpointing; leave it out"
        )
    tapped.arguments = arguments_of_features(arguments)
    return model, tapped


def _side_by_side(tapped: Sequence[tuple[Classifier, Tapped]], num_classes: int) -> Classifier:
    """A classifier whose features are the backbones' parts, with a head of its own; all else is the first's."""
    from aigenbench.models.probe import Classifier
    from aigenbench.models.tapping import SideBySide

    (first, _), names = tapped[0], [model.name for model, _ in tapped]
    if len(tapped) > 1 and not first.frozen:
        raise InputError(
            f"model.backbones: {first.name} is to be tuned; of several backbones none trains: use its _probe form"
        )
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"model.backbones: {twice[0]} is named twice")
    backbone = SideBySide(
        [one for _, one in tapped], [preprocessing_of(model) or Preprocessing() for model, _ in tapped]
    )
    if not first.frozen:
        backbone.rest_idle(backbone.preprocessings[0].input_size)
    return Classifier(
        backbone,
        num_classes,
        first.frozen,
        head_std=first.head_std,
        preprocessing=first.preprocessing,
        name=" + ".join(names),
    )
