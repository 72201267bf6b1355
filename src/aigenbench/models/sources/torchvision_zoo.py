"""The classification models of torchvision, with any head replaced."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from aigenbench.errors import InputError
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.sources.base import Card, Example, ModelSource, load_into
from aigenbench.models.tapping import BlockOutputs
from aigenbench.models.weights.locate import RemoteFile
from aigenbench.models.weights.reading import StateDict

#: Their published weights were trained on differently scaled images; the network converts.
_WITH_AUXILIARY = ("googlenet", "inception_v3")
_CLASSES = 1000


class Torchvision(ModelSource):
    """``resnet50``, ``vit_b_16`` ...: what ``torchvision.models.list_models(module=torchvision.models)`` lists.

    The features are the input of the last layer, so dropout and hidden layers of a classifier (VGG, AlexNet)
    belong to the backbone.
    """

    name = "torchvision"
    example = Example("mnasnet0_5", (32, 32))

    def names(self) -> Sequence[str]:
        """All classification models."""
        from torchvision import models

        return models.list_models(module=models)

    def card(self, name: str) -> Card | None:
        """The best published weights (``DEFAULT``) and their preprocessing."""
        if name not in self.names():
            return None
        from torchvision import models

        weights = models.get_model_weights(name).DEFAULT
        transform = weights.transforms()
        digits = re.search(r"-([0-9a-f]{8,})\.pth$", weights.url)
        return Card(
            name,
            Preprocessing(
                mean=tuple(transform.mean),
                std=tuple(transform.std),
                input_size=(transform.crop_size[0], transform.crop_size[0]),
                interpolation=transform.interpolation.value,
            ),
            (RemoteFile.at(weights.url, digits.group(1) if digits else ""),),
            "CC-BY-NC-4.0" if "swag" in weights.url else "BSD-3-Clause",
        )

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The network without its last layer and without auxiliary classifiers."""
        from torchvision import models

        if card.name in _WITH_AUXILIARY:
            model_args = {"transform_input": state is not None, "init_weights": state is None, **model_args}
        if card.name.startswith("vit_"):
            model_args = {"image_size": card.preprocessing.input_size[0], **model_args}
        try:
            network = _quietly(lambda: models.get_model(card.name, weights=None, **model_args))
        except (TypeError, ValueError) as error:
            raise InputError(f"model_args of torchvision/{card.name}: {error}") from error
        if state is not None:
            load_into(network, _resized(network, _renamed(card.name, state)))
        if card.name in _WITH_AUXILIARY:
            _drop_auxiliary(network)
        if hasattr(network, "image_size"):
            network.input_size = (network.image_size, network.image_size)  # type: ignore[assignment]
        network.num_features = _remove_last_layer(network)  # type: ignore[assignment]
        network.block_outputs = _block_outputs(card.name)  # type: ignore[assignment]
        return network


def _block_outputs(name: str) -> BlockOutputs:
    if name.startswith("vit_"):
        return BlockOutputs(1, cls=True, norm="encoder.ln")
    return BlockOutputs(channels_last=name.startswith("swin"))


def _quietly(build: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # how GoogLeNet will be initialised one day
        return build()


def _renamed(name: str, state: StateDict) -> StateDict:
    """The published DenseNets have names from before submodules could not hold a dot."""
    if not name.startswith("densenet"):
        return state
    return {re.sub(r"\b(norm|relu|conv)\.([12])\b", r"\1\2", key): value for key, value in state.items()}


def _resized(network: Any, state: StateDict) -> StateDict:
    """The position embeddings of a vision transformer interpolated to its size, as torchvision does."""
    if "encoder.pos_embedding" not in state or not hasattr(network, "image_size"):
        return state
    from torchvision.models.vision_transformer import interpolate_embeddings

    return interpolate_embeddings(network.image_size, network.patch_size, state)


def _drop_auxiliary(network: Any) -> None:
    network.aux_logits = False
    for attribute in ("aux1", "aux2", "AuxLogits"):
        if hasattr(network, attribute):
            setattr(network, attribute, None)


def _remove_last_layer(network: nn.Module) -> int:
    """Put an identity in the last classifying layer's place; return that layer's input width."""
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    name, last = layers[-1]
    assert _CLASSES in (getattr(last, "out_features", None), getattr(last, "out_channels", None)), name
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return last.in_features if isinstance(last, nn.Linear) else last.in_channels
