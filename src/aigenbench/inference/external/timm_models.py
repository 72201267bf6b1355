"""A classifier of timm: by name with a file of weights, or a folder with timm's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError, nearest
from aigenbench.files import file_sha256, read_json
from aigenbench.inference.external.functions import as_pil
from aigenbench.inference.external.labels import fake_columns
from aigenbench.inference.external.scorer import NetworkScorer
from aigenbench.models.weights.reading import StateDict, check_finite, first_names, read_weights

WEIGHTS = "model.safetensors"
_OF_WEIGHTS = ("pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def timm_scorer(name: str, weights: Path, fake_labels: Sequence[str]) -> NetworkScorer:
    """A model of timm with all its weights, the classifier's too, from a file.

    Args:
        name: as of ``timm.create_model``.
        weights: safetensors, or a state dict.
        fake_labels: which outputs stand for fake, counted from 0.

    Raises:
        InputError: no such model, or the weights are not its.
    """
    return _scorer(name, weights, weights.stem, {}, fake_labels)


def timm_folder_scorer(folder: Path, fake_labels: Sequence[str]) -> NetworkScorer:
    """The model in a folder as timm pushes it to a hub: ``config.json`` and ``model.safetensors``; raises likewise."""
    config = read_json(folder / "config.json")
    return _scorer(str(config["architecture"]), folder / WEIGHTS, folder.resolve().name, config, fake_labels)


def _scorer(
    architecture: str, weights: Path, name: str, config: Mapping[str, Any], fake_labels: Sequence[str]
) -> NetworkScorer:
    from timm.data import create_transform, resolve_data_config

    state = read_weights(weights)
    given = dict(config.get("pretrained_cfg") or {})
    network = _network(architecture, state, weights, dict(config.get("model_args") or {}))
    classes = int(getattr(network, "num_classes", 0))
    labels = [str(label) for label in config.get("label_names") or given.get("label_names") or range(classes)]
    if len(labels) != classes:
        raise InputError(
            f"{weights.parent}: config.json names {len(labels)} labels, the weights give {classes} outputs"
        )
    fake = fake_columns(labels, fake_labels, name)
    preparation = resolve_data_config(pretrained_cfg={**network.pretrained_cfg, **given})
    return NetworkScorer(
        network,
        fake,
        name=name,
        place=weights,
        sha256=file_sha256(weights),
        identity={"kind": "timm", "architecture": architecture, "fake": [labels[i] for i in fake]},
        prepare=partial(_transformed, create_transform(**preparation, is_training=False)),
    )


def _transformed(transform: Any, pictures: Sequence[Pixels]) -> torch.Tensor:
    """A batch of pictures by timm's own transform."""
    return torch.stack([transform(image) for image in as_pil(pictures)])


def _network(architecture: str, state: StateDict, weights: Path, arguments: dict[str, Any]) -> Any:
    import timm

    base = architecture.split(".", 1)[0]
    if not timm.is_model(base):
        raise InputError(f"timm has no model {base!r}{nearest(base, timm.list_models())}")
    if unfit := [key for key in arguments if key in _OF_WEIGHTS]:
        raise InputError(
            f"{weights.parent}: config.json: model_args {unfit[0]} is not taken; the weights lie beside it"
        )
    published = timm.get_pretrained_cfg(base)
    head = None if published is None else published.classifier
    names = [head] if isinstance(head, str) else list(head or ())
    classifier = next((state[f"{one}.weight"] for one in names if f"{one}.weight" in state), None)
    if classifier is None:
        raise InputError(
            f"weights: {weights} has no classifier ({', '.join(names) or 'none is known'}) of timm's {base}: it gives "
            f"features, no scores; the file has {first_names(state)}"
        )
    try:
        network = timm.create_model(architecture, pretrained=False, **{**arguments, "num_classes": len(classifier)})
        missing, unexpected = network.load_state_dict(state, strict=False)
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"weights: {weights} are not of timm's {base}: {' '.join(str(error).split())[:200]}"
        ) from error
    if missing or unexpected:
        which = f"missing {first_names(missing)}" if missing else f"unknown {first_names(unexpected)}"
        raise InputError(f"weights: {weights} are not all of timm's {base}, or not its alone: {which}")
    check_finite(state, [key for key, _ in network.named_buffers()], str(weights))
    return network
