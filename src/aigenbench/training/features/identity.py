"""What stored features are a function of, beside images and recipe: backbones, their arguments, code and layers."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from aigenbench.errors import InputError
from aigenbench.files import file_sha256
from aigenbench.models.composing import arguments_of_features
from aigenbench.models.parts import Part
from aigenbench.models.probe import Classifier
from aigenbench.models.tapping import SideBySide
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel

_LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "open_clip": "open_clip_torch"}
"""Packages that backbones' classes come from, by the module's name."""
_NOT_USERS = ("aigenbench", "torch", "abc", "builtins", "typing", *_LIBRARIES)


def described_parts(detector: BaseDeepfakeDetectionModel) -> Iterator[tuple[Part, dict[str, Any]]]:
    """The parts of a probe's features, and what of their backbones they depend on.

    Raises:
        InputError: the source of a user's class is not at hand, so nothing says when stored features are out of date.
    """
    model = detector.model
    assert isinstance(model, Classifier), "checked when the run was set up"
    each = [(model.layout, model.backbone, arguments_of_features(detector.model_args), detector.preprocessing)]
    if isinstance(model.backbone, SideBySide):
        each[1:] = [
            (one.parts, one.module, one.arguments, own.for_detector(detector.input_size, None))
            for one, own in model.backbone.each[1:]
        ]
        first = model.backbone.each[0][0]
        each[0] = (first.parts, first.module, *each[0][2:])
    for (parts, backbone, arguments, preprocessing), reference in zip(each, model.backbone_references, strict=True):
        described = {
            "backbone": reference,
            "model_args": described_arguments(arguments),
            "code": described_code(backbone),
            "preprocessing": preprocessing.to_dict(),
        }
        for part in parts:
            # of a backbone's own output nothing more is said, as it was before there were others
            own = {} if part.layer is None else {"part": {"layer": part.layer, "tokens": part.tokens}}
            yield part, described | own


def described_arguments(arguments: Mapping[str, str]) -> dict[str, str]:
    """Arguments of a model's factory, a file by its content; a folder, whose weights are hashed anyway, is left out.

    Where a file lies, and so another machine, makes no other features.
    """
    described = {}
    for name, value in arguments.items():
        path = Path(value).expanduser()
        if "/" not in value:
            described[name] = value
        elif not path.is_dir():
            described[name] = file_sha256(path) if path.is_file() else value
    return described


def described_code(backbone: torch.nn.Module) -> dict[str, str]:
    """What computes a backbone's features: the libraries' versions, and a digest of the source of a user's classes.

    Raises:
        InputError: the source of a user's class is not at hand, so nothing says when stored features are out of date.
    """
    classes = {one for module in backbone.modules() for one in type(module).__mro__}
    versions = {name: version(package) for name, package in _LIBRARIES.items() if _any_of(classes, name)}
    own = sorted(
        (one for one in classes if one.__module__.partition(".")[0] not in _NOT_USERS),
        key=lambda one: f"{one.__module__}.{one.__qualname__}",
    )
    digest = hashlib.sha256()
    for one in own:
        try:
            digest.update(inspect.getsource(one).encode())
        except (OSError, TypeError) as error:
            raise InputError(
                f"data.features: cache needs the source of the backbone's class {one.__qualname__}, which is not at "
                "hand; write it in a file, or use data.features: none"
            ) from error
    return {**versions, **({"source": digest.hexdigest()[:16]} if own else {})}


def _any_of(classes: Iterable[type], library: str) -> bool:
    return any(one.__module__.partition(".")[0] == library for one in classes)
