"""All layers of a configuration merged: config files from left to right, then the command line."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aigenbench.config.carried import ABSENT, Carried, ParametersOf, Question, as_if_taken, settle
from aigenbench.config.layer import COMMAND_LINE, DEFAULT_SEED, LOADER, Layer, get
from aigenbench.config.merge import merge
from aigenbench.config.names import DATASET_LOADER, DETECTOR, PIPELINE, Path, class_nodes, dotted
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)


# what the original framework's configs say and nothing here needs, by key, with the reason that is told
UNUSED = {
    "move_data_to_local_storage": "images are read where they lie; copy the data set yourself and give its place as "
    "dataset_path",
}


@dataclass(frozen=True)
class Merged:
    """All layers over the defaults, merged once.

    Attributes:
        layers: in order; the last one won.
        tree: the merged mapping, with questions open that take a look at classes.
    """

    layers: tuple[Layer, ...]
    tree: dict[str, Any]

    @property
    def imports(self) -> list[str]:
        """Python files and modules to import, before any class is looked up."""
        return list(self.tree.get("imports", []))

    @cached_property
    def unsettled(self) -> dict[str, Any]:
        """The mapping as far as it is known before any class is looked up: what the classes lack is still in it."""
        return as_if_taken(self.tree)

    def settled(self, parameters_of: ParametersOf) -> dict[str, Any]:
        """The mapping for classes that can be looked up; new at every call.

        It always has `model.class_path`, `data.class_path`, the loader that the pipeline takes, and the data set's path
        both at the top and in the loader. Warnings name arguments that are dropped.

        Args:
            parameters_of: looks up the names of a class's arguments.
        """
        merged: dict[str, Any] = settle(self.tree, parameters_of)
        _place_dataset_path(merged, parameters_of)
        _leave_out_unused(merged, parameters_of)
        return merged

    def source_of(self, place: Path) -> str:
        """The last layer that gives a value at `place`, as ` (in SOURCE)`; an empty text where none does."""
        for layer in reversed(self.layers):
            holder = get(layer.values, place[:-1])
            if isinstance(holder, dict) and (place[-1] in holder or f"{place[-1]}+" in holder):
                return f" ({'on' if layer.source == COMMAND_LINE else 'in'} {layer.source})"
        return ""


def merge_layers(layers: Iterable[Layer], allow_order: bool = False) -> Merged:
    """All layers over the defaults, left to right; a warning names patches for nothing.

    Args:
        layers: in order; the last one wins.
        allow_order: only warn where a model's config stands before the pipeline's and loses keys to it.

    Raises:
        InputError: `key+` on something that is not a list; a model's config that loses keys to a pipeline's.
    """
    layers = tuple(layers)
    check_order(layers, allow_order)
    tree: dict[str, Any] = {
        "trainer": {},
        "model": {"class_path": DETECTOR},
        "data": {"class_path": PIPELINE},
        "seed_everything": DEFAULT_SEED,
    }
    for layer in layers:
        tree = merge(tree, _with_questions(layer), layer.source)
    return Merged(layers, tree)


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


def _with_questions(layer: Layer) -> dict[str, Any]:
    """The layer's values; arguments of the original's classes count only where ours take them."""
    values = copy.deepcopy(layer.values)
    for place in reversed(layer.renamed):  # what is inside first
        node = get(values, place)
        given = node.get("init_args") or {}
        for key, value in given.items():
            told = f"{layer.source}: {dotted((*place, 'init_args', key))} has no use here: left out"
            given[key] = Carried(value, ABSENT, key.removesuffix("+"), Question(node["class_path"], told))
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
