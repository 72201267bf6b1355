"""All layers of a configuration merged: config files from left to right, then the command line."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aigenbench.config.layer import COMMAND_LINE, DEFAULT_SEED, LOADER, Layer, get
from aigenbench.config.merge import ParametersOf, merge
from aigenbench.config.names import DATASET_LOADER, DETECTOR, PIPELINE, Path, class_nodes, dotted
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)


# what the original framework's configs say and nothing here needs, by key, with the reason that is told
UNUSED = {
    "move_data_to_local_storage": "images are read where they lie; copy the data set yourself and give its place as "
    "dataset_path",
}


def merge_layers(layers: Sequence[Layer], parameters_of: ParametersOf, allow_order: bool = False) -> dict[str, Any]:
    """All layers over the defaults, left to right.

    The result always has `model.class_path`, `data.class_path`, the loader that the pipeline takes, and the data
    set's path both at the top and in the loader. Warnings name arguments that are dropped and patches for nothing.

    Args:
        layers: in order; the last one wins.
        parameters_of: looks up the names of a class's arguments.
        allow_order: only warn where a model's config stands before the pipeline's and loses keys to it.

    Raises:
        InputError: `key+` on something that is not a list; a model's config that loses keys to a pipeline's.
    """
    check_order(layers, allow_order)
    merged: dict[str, Any] = {
        "trainer": {},
        "model": {"class_path": DETECTOR},
        "data": {"class_path": PIPELINE},
        "seed_everything": DEFAULT_SEED,
    }
    for layer in layers:
        merged = merge(merged, _without_unused(layer, parameters_of), parameters_of, layer.source)
    _place_dataset_path(merged, parameters_of)
    _leave_out_unused(merged, parameters_of)
    return merged


def merged_imports(layers: Iterable[Layer]) -> list[str]:
    """What the layers say to import, before any class is looked up."""
    merged: dict[str, Any] = {}
    for layer in layers:
        given: dict[str, Any] = {k: layer.values[k] for k in ("imports", "imports+") if k in layer.values}
        merged = merge(merged, given, source=layer.source)
    return list(merged.get("imports", []))


def check_order(layers: Sequence[Layer], allowed: bool = False) -> None:
    """Refuse a model's config that stands before the pipeline's and loses keys to it; where allowed, only warn.

    Raises:
        InputError: there is one, and it is not allowed.
    """
    for position, pipeline in enumerate(layers):
        if not _is_pipeline(pipeline):
            continue
        theirs = dict(_leaves(pipeline.values))
        for model in layers[:position]:
            if get(model.values, ("model", "init_args", "model_name")) is None or _is_pipeline(model):
                continue
            lost = [dotted(place) for place, value in _leaves(model.values) if theirs.get(place, value) != value]
            if lost:
                told = f"{model.source} stands before {pipeline.source}, which overrides its {', '.join(lost)}"
                if not allowed:
                    raise InputError(f"{told}: give the pipeline's config first, or say --allow_config_order")
                logger.warning("%s", told)


def source_of(layers: Sequence[Layer], place: Path) -> str:
    """The last layer that gives a value at `place`, as ` (in SOURCE)`; an empty text where none does."""
    for layer in reversed(layers):
        holder = get(layer.values, place[:-1])
        if isinstance(holder, dict) and (place[-1] in holder or f"{place[-1]}+" in holder):
            return f" ({'on' if layer.source == COMMAND_LINE else 'in'} {layer.source})"
    return ""


def _without_unused(layer: Layer, parameters_of: ParametersOf) -> dict[str, Any]:
    """The layer's values without arguments of the original's classes that ours do not take."""
    values = copy.deepcopy(layer.values)
    for place in layer.renamed:
        node = get(values, place)
        known, given = parameters_of(node["class_path"]), node.get("init_args") or {}
        for key in [key for key in given if known is not None and key.removesuffix("+") not in known]:
            logger.warning("%s: %s has no use here: left out", layer.source, dotted((*place, "init_args", key)))
            del given[key]
    return values


def _leave_out_unused(merged: dict[str, Any], parameters_of: ParametersOf) -> None:
    """Drop what only the original framework needs, with a warning, where no class of the user's takes it."""
    for place, node in class_nodes(merged):
        arguments = node.get("init_args") or {}
        for key in [key for key in arguments if key in UNUSED]:
            taken = parameters_of(node["class_path"])
            if taken is not None and key not in taken:
                logger.warning("%s has no use here: left out; %s", dotted((*place, "init_args", key)), UNUSED[key])
                del arguments[key]


def _place_dataset_path(merged: dict[str, Any], parameters_of: ParametersOf) -> None:
    """Give the pipeline its loader, and the loader the path at the top."""
    merged.setdefault("dataset_path", None)
    taken = parameters_of(merged["data"]["class_path"])
    arguments = merged["data"].setdefault("init_args", {})
    if taken is None or LOADER[-1] not in taken:
        return
    loader = {"class_path": DATASET_LOADER} | (arguments.get(LOADER[-1]) or {})
    taken = parameters_of(loader["class_path"])
    if taken is None or "dataset_path" in taken:
        loader["init_args"] = (loader.get("init_args") or {}) | {"dataset_path": merged["dataset_path"]}
    arguments[LOADER[-1]] = loader


def _is_pipeline(layer: Layer) -> bool:
    windows = get(layer.values, ("experiment_info", "sliding_windows_definition"))
    defines = isinstance(windows, dict) and bool({"n_generators_per_window", "benchmark_type"} & set(windows))
    return defines or get(layer.values, ("data", "class_path")) is not None


def _leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*at, key))
    else:
        yield at, value
