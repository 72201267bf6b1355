"""The network of an exported detector, built again from its name, and what is done before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError
from aigenbench.inference.artefact import WEIGHTS_FILE, Info
from aigenbench.inference.quantised import restored
from aigenbench.models.composing import build_with_parts
from aigenbench.models.heads.choice import HeadChoice
from aigenbench.models.preprocessing import normalised
from aigenbench.models.probe import Classifier, fake_logits_of_classes, weights_hash
from aigenbench.models.registry import BUILT_IN, split_source
from aigenbench.models.sources.base import built_with, load_errors, load_into
from aigenbench.models.weights.reading import StateDict, read_safetensors


class Network(nn.Module):
    """From uint8 crops to logits of being fake: normalisation, the model, and the classes put together.

    Args:
        model: gives outputs (n, n_outputs) for normalised images (n, 3, h, w).
        info: of the detector.
        whole: the model gives logits of being fake (n,) itself, whatever classes it has.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, model: nn.Module, info: Info, whole: bool = False) -> None:
        super().__init__()
        self.model = model
        self.seen: list[int] | None = None if whole else info.model["seen"]
        preprocessing = info.preprocessing
        self.register_buffer("pixel_mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(preprocessing.std).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def normalised(self, crops: Tensor) -> Tensor:
        """Float32 (n, 3, h, w) of uint8 crops (n, 3, h, w)."""
        return normalised(crops, self.pixel_mean, self.pixel_std)

    def forward(self, images: Tensor) -> Tensor:
        """Float32 logits of being fake (n,), of normalised images (n, 3, h, w)."""
        outputs = self.model(images).float()
        if self.seen is None:
            return outputs.reshape(outputs.shape[0])
        return fake_logits_of_classes(outputs, self.seen)


def load_network(folder: Path, info: Info, backbone_weights: Path | None = None) -> Network:
    """Build the network and load its weights; every tensor comes from a file, none is left as it was drawn.

    Args:
        folder: whose files `check_files` has looked at.
        info: what it says.
        backbone_weights: the file of a backbone that is named by reference; None takes the fetched one.

    Raises:
        InputError: the model is not known here, or the weights are not its.
    """
    path = folder / WEIGHTS_FILE
    state = restored(read_safetensors(path))
    if backbone_weights is not None and info.model["backbone"] is None:
        raise InputError(f"{folder} holds its backbone's weights; leave the file {backbone_weights} out")
    with load_errors(str(info.model["name"]), path):
        return Network(_loaded(info, state, backbone_weights), info)


def _loaded(info: Info, state: StateDict, backbone_weights: Path | None) -> nn.Module:
    if info.model["backbone"] is not None:
        return _on_reference(info, state, backbone_weights)
    if _is_built_in(info):
        return built_with(state, lambda: _built(info, pretrained=False))
    # a user's own module may look at its weights while it is built
    model = _built(info, pretrained=False)
    load_into(model, state)
    return model


def _built(info: Info, **arguments: Any) -> nn.Module:
    model = _made(info, arguments)
    return model.exposed() if isinstance(model, Classifier) else model


def _made(info: Info, arguments: Mapping[str, Any]) -> nn.Module:
    name, imports = info.model["name"], ", ".join(info.model["imports"])
    choice = None
    try:
        choice = head_of(info)
        arguments = {**arguments, **info.model["arguments"]}
        parts = {key: info.model.get(key) for key in ("features", "backbones")}
        model = build_with_parts(name, info.model["n_outputs"], arguments, **parts)
    except InputError as error:
        if not imports or (choice is not None and _is_built_in(info)):
            raise
        raise InputError(f"{error}; its makers' code is {imports}: import that first, if you trust it") from error
    if not choice.is_default:
        if not isinstance(model, Classifier):
            raise InputError(f"{name} is a module of its own; it has no head {choice.head[0]}")
        model.use_head(*choice.built(model.layout, model.num_classes))
    if isinstance(model, Classifier):
        model.images_are(info.preprocessing)
    return model


def head_of(info: Info) -> HeadChoice:
    """The transforms and the head of an exported detector; raises as ``HeadChoice.of``."""
    return HeadChoice.of(info.model.get("head", "linear"), info.model.get("transform"))


def _is_built_in(info: Info) -> bool:
    return split_source(info.model["name"])[0] in BUILT_IN


def _on_reference(info: Info, state: StateDict, weights: Path | None) -> nn.Module:
    """A probe whose backbone is the one that the artefact names by its hash."""
    named: Mapping[str, str] = info.model["backbone"]
    model = _built_frozen(info, {} if weights is None else {"weights": weights})
    found = weights_hash(model.backbone)
    if found != named["sha256"]:
        raise InputError(
            f"the detector stands on {named['name']} with weights {named['sha256'][:12]}, those found here are "
            f"{found[:12]}; give the file it was trained on"
        )
    load_into(model, state)
    return model.exposed()


def _built_frozen(info: Info, arguments: Mapping[str, Any]) -> Classifier:
    model = _made(info, {"pretrained": True, **arguments})
    if not (isinstance(model, Classifier) and model.frozen):
        raise InputError(f"model {info.model['name']!r} is no probe; only a frozen backbone can be named by its hash")
    return model
