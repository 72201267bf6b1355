"""Whether keys are spelt right, told from the sources of the classes they go to: importing those takes seconds."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aigenbench.config.merge import NODE_KEYS
from aigenbench.config.names import DATASET_LOADER, DETECTOR, PIPELINE, class_nodes
from aigenbench.files import PACKAGE

_TRAINER = "lightning.pytorch.trainer.Trainer"
_OURS = {
    DETECTOR: "training/detector/base.py",
    PIPELINE: "data/pipeline.py",
    DATASET_LOADER: "data/pipeline.py",
}


def is_spelt_right(config: dict[str, Any]) -> bool:
    """Whether all arguments in merged layers are surely ones that their classes take.

    False says that there may be a mistake: a key is not among the arguments that a class's constructor itself names, or
    the class's source is not where its path says.
    """
    sets: list[tuple[str, Iterable[str]]] = [(_TRAINER, config.get("trainer") or {})]
    if config.get("checkpoint_callback"):
        sets.append(("lightning.pytorch.callbacks.ModelCheckpoint", config["checkpoint_callback"]))
    for _, node in class_nodes({key: config.get(key) for key in ("model", "data", "trainer")}):
        if not set(node) <= set(NODE_KEYS):
            return False
        sets.append((node["class_path"], node.get("init_args") or {}))
    return all(set(given) <= arguments_of(class_path) for class_path, given in sets if given)


def arguments_of(class_path: str) -> set[str]:
    """Arguments that a class's constructor names; none where the class's source is not found."""
    name = class_path.rpartition(".")[2]
    for file in _files(class_path):
        text = file.read_text(encoding="utf-8")
        if f"\nclass {name}" not in text:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return {name for one in node.body for name in _of_constructor(one)}
    return set()


def _of_constructor(node: ast.stmt) -> Iterable[str]:
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        yield from (argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs))


def _files(class_path: str) -> Iterable[Path]:
    """Where the class may be defined: its module's file, or those in its package's folder."""
    if class_path in _OURS:
        return [PACKAGE / _OURS[class_path]]
    module = class_path.rpartition(".")[0]
    top, *rest = module.split(".")
    found = importlib.util.find_spec(top) if top else None
    if found is None or not found.submodule_search_locations:
        return []
    place = Path(found.submodule_search_locations[0], *rest)
    return [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else sorted(place.glob("*.py"))
