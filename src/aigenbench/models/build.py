"""From a model's name to a module that gives logits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aigenbench.errors import InputError
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import (
    BUILT_IN,
    ModelFactory,
    ModelFactoryRegistry,
    built_in_source,
    describe_error,
    split_source,
    split_suffix,
    unknown_name,
)
from aigenbench.models.speed import apply_speed_options

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

NOT_OF_THE_FEATURES = (
    *("pretrained", "weights", "weights_dir", "trusted"),
    *("channels_last", "compile", "gradient_checkpointing"),
)
"""Arguments of model factories that say where weights come from and how fast a model is, not what it computes."""


def build_model(
    model_name: str,
    num_classes: int,
    pretrained: bool = True,
    *,
    channels_last: bool = False,
    compile: bool = False,  # noqa: A002 - the key that users write
    gradient_checkpointing: bool = False,
    **model_args: Any,
) -> nn.Module:
    """A module that gives logits (N, ``num_classes``) for normalised float images (N, 3, H, W).

    ``source/name`` asks that source alone. A bare name is offered to the users' factories in order of
    registration, then to openai, openclip, dinov2, torchvision and timm; the first that answers is used. What
    a user's factory returns is used as it is.

    Args:
        model_name: Such as ``RN50_tune``, ``timm/vit_tiny_patch16_224_probe``; without suffix it is tuned.
        num_classes: 1 for a binary detector.
        pretrained: Load published weights (or ``weights``).
        channels_last: Keep convolutions' weights in channels-last order; faster on tensor cores.
        compile: Compile the forward pass with ``torch.compile`` at its first call.
        gradient_checkpointing: Keep less for the backward pass and compute it again; for large transformers.
        model_args: Passed on to the factory.

    Raises:
        InputError: No source knows the name; weights are missing or unfit; an argument is wrong.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise InputError(f"num_classes must be a whole number of at least 1, found {num_classes!r}")
    model = _resolve(model_name, {"pretrained": pretrained, "num_classes": num_classes, **model_args})
    apply_speed_options(model, model_name, channels_last, compile, gradient_checkpointing)
    return model


def preprocessing_of(model: nn.Module) -> Preprocessing | None:
    """What the model's backbone expects of its images; None where a user's module does not say.

    A user's module says it by an attribute ``preprocessing`` (a ``Preprocessing`` or its dictionary) or by
    timm's ``pretrained_cfg``.
    """
    own = getattr(model, "preprocessing", None)
    if isinstance(own, Preprocessing):
        return own
    if isinstance(own, Mapping):
        return Preprocessing.from_dict(own)
    config = getattr(model, "pretrained_cfg", None)
    if isinstance(config, Mapping) and {"mean", "std", "input_size"} <= set(config):
        return Preprocessing.of_timm(config)
    return None


def _resolve(model_name: str, arguments: dict[str, Any]) -> nn.Module:
    source, name = split_source(model_name)
    if source in BUILT_IN:
        model = built_in_source(source)(name, **arguments)
        if model is None:
            raise unknown_name(name, source)
        return model
    factories = ModelFactoryRegistry().factories()
    if source is not None:
        return _from_one(source, factories[source], name, arguments)
    return _from_any(factories, name, arguments)


def build_users_model(model_name: str, **model_args: Any) -> nn.Module | None:
    """What a user's factory answers to a name, or to it with or without a suffix; built-in sources are not asked.

    Raises:
        InputError: A factory fails; or ``source/name`` names one that does not know the name.
    """
    source, name = split_source(model_name)
    stem, _ = split_suffix(name)
    factories = ModelFactoryRegistry().factories()
    asked = factories if source is None else {source: factories[source]} if source in factories else {}
    kept: list[str] = []
    for form in dict.fromkeys((name, stem, f"{stem}_tune", f"{stem}_probe")):
        for one, factory in asked.items():
            model = _tried(_asked, one, factory, form, {"pretrained": False, "num_classes": 1, **model_args}, kept)
            if model is not None:
                return model
    if kept and source is not None:
        raise InputError(f"model factory {source!r} failed on {name!r}: {'; '.join(dict.fromkeys(kept))}")
    if source in factories:
        raise unknown_name(name, source)
    return None


def _from_one(source: str, factory: ModelFactory, name: str, arguments: dict[str, Any]) -> nn.Module:
    """Ask one user's factory, whose exception is raised as itself."""
    raised: Exception | None = None
    try:
        model = _asked(source, factory, name, arguments)
        if model is not None:
            return model
    except Exception as error:  # noqa: BLE001 - an exception may mean "not this name": the bare one is next
        raised = error
    if name.endswith(("_tune", "_probe")):
        try:
            model = _offered_bare(source, factory, name, arguments)
        except Exception as error:  # noqa: BLE001 - the first exception counts
            raise (raised or error) from None
        if model is not None:
            return model
    if raised is not None:
        raise raised
    raise unknown_name(name, source)


def _from_any(factories: Mapping[str, ModelFactory], name: str, arguments: dict[str, Any]) -> nn.Module:
    """Ask everybody; a user's factory may say "not mine" by any exception, a built-in source only by None."""
    kept: list[str] = []
    for source, factory in factories.items():
        model = _tried(_asked, source, factory, name, arguments, kept)
        if model is not None:
            return model
    for source in BUILT_IN:
        model = built_in_source(source)(name, **arguments)
        if model is not None:
            if kept:
                logger.info("model %s is %s's; factories of yours declined it: %s", name, source, "; ".join(kept))
            return model
    if name.endswith(("_tune", "_probe")):
        for source, factory in factories.items():
            model = _tried(_offered_bare, source, factory, name, arguments, kept)
            if model is not None:
                return model
    error = unknown_name(name, None)
    if kept:
        raise InputError(f"{error}; these factories raised: {'; '.join(dict.fromkeys(kept))}")
    raise error


def _tried(
    ask: Any, source: str, factory: ModelFactory, name: str, arguments: dict[str, Any], kept: list[str]
) -> nn.Module | None:
    try:
        return ask(source, factory, name, arguments)
    except _NoProbeError:
        raise
    except Exception as error:  # noqa: BLE001 - factories may decline a name by any exception
        kept.append(f"{source}: {describe_error(error)}")
        return None


class _NoProbeError(InputError):
    """A factory answers a bare name with a module that a probe cannot be built from."""


def _asked(source: str, factory: ModelFactory, name: str, arguments: dict[str, Any]) -> nn.Module | None:
    from torch import nn

    model = factory(name, **arguments)
    if model is not None and not isinstance(model, nn.Module):
        raise InputError(
            f"model factory {source!r} returned a {type(model).__name__} for {name!r}; "
            "expected a torch.nn.Module, or None for a name it does not know"
        )
    if model is not None:
        logger.info("model %s comes from the factory %r", name, source)
    return model


def _offered_bare(source: str, factory: ModelFactory, name: str, arguments: dict[str, Any]) -> nn.Module | None:
    """Offer ``x`` of ``x_tune`` or ``x_probe``; for a probe, put a frozen backbone and a new head around the answer."""
    from aigenbench.models.probe import Classifier, feature_extractor

    bare, frozen = split_suffix(name)
    model = _asked(source, factory, bare, arguments)
    if model is None or not frozen:
        return model
    preprocessing = preprocessing_of(model)
    backbone = feature_extractor(model, (preprocessing or Preprocessing()).input_size)
    if backbone is None:
        raise _NoProbeError(
            f"model {bare!r} of {source!r} cannot be a probe: its module has neither get_features(x) -> (N, D) nor "
            "timm's forward_features, forward_head(x, pre_logits=True) and num_features; add one, or let the "
            f"factory answer {name!r} itself"
        )
    return Classifier(
        backbone, arguments["num_classes"], frozen=True, preprocessing=preprocessing, name=f"{source}/{bare}"
    )
